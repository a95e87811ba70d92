"""What a result depends on beside the job."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for key, name in (("benchhub", "benchhub-ansible"), ("ansible_core", "ansible-core"), ("ansible_runner",) * 2):
        with contextlib.suppress(PackageNotFoundError):
            found[key] = version(name.replace("_", "-"))
    return found
