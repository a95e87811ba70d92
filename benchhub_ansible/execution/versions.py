"""What a result depends on beside the job."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTIONS = {
    "benchhub": "benchhub-ansible",
    "ansible_core": "ansible-core",
    "ansible_runner": "ansible-runner",
}


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for key, name in _DISTRIBUTIONS.items():
        with contextlib.suppress(PackageNotFoundError):
            found[key] = version(name)
    return found
