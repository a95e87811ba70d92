"""``template``: a Jinja template beside the job, filled in for each node by Ansible, as a file on the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import Supervised
from benchhub_ansible.drivers.files import file_problem, file_step


class TemplateDriver(Supervised):
    """Parameters: ``src`` (a path, relative to the job file), ``dest``, ``mode``, ``owner``, ``group``."""

    name = "template"

    def problem(self, params: Any) -> str | None:
        """What is wrong with the parameters."""
        return file_problem(params, sources=("src",))

    def step(self, params: Any) -> Mapping[str, Any]:
        """The file, mode 0644 unless the job says another."""
        return {"template": file_step(params)}
