"""``copy``: a file beside the job, or a text, as a file on the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import Supervised
from benchhub_ansible.drivers.files import file_problem, file_step


class CopyDriver(Supervised):
    """Parameters: ``src`` (relative to the job file) or ``content``; ``dest``, ``mode``, ``owner``, ``group``."""

    name = "copy"

    def problem(self, params: Any) -> str | None:
        """What is wrong with the parameters."""
        return file_problem(params, sources=("src", "content"))

    def step(self, params: Any) -> Mapping[str, Any]:
        """The file, mode 0644 unless the job says another."""
        return {"copy": file_step(params)}
