"""``role``: any Ansible role, from ``roles/`` beside the job, from a collection, or wherever Ansible looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import Render, render_all, unknown_keys


class RoleDriver:
    """Parameters: the role's name, or ``{name, tasks_from, vars}``."""

    name = "role"

    def problem(self, params: Any) -> str | None:
        """What is wrong: no name, an unknown key, or variables that are no mapping."""
        if isinstance(params, Mapping):
            if found := unknown_keys(params, ("name", "tasks_from", "vars")):
                return found
            if not isinstance(params.get("vars") or {}, Mapping):
                return "vars of a role is a mapping"
            params = params.get("name")
        return None if isinstance(params, str) and params else "role wants the name of a role"

    def task(self, params: Any, render: Render) -> Mapping[str, Any]:
        """An ``include_role``, with the role's variables for this one use."""
        given = {"name": params} if isinstance(params, str) else params
        arguments = {key: render(given[key]) for key in ("name", "tasks_from") if given.get(key)}
        variables = render_all(given.get("vars") or {}, render)
        return {"ansible.builtin.include_role": arguments, **({"vars": variables} if variables else {})}
