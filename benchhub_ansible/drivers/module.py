"""``module``: any Ansible module by its full name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import Render, render_all

_FULL_NAME = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def _name_and_arguments(params: Any) -> tuple[Any, Any]:
    """Of ``NAME``, ``{NAME: {…}}`` or ``{name: NAME, args: {…}}``."""
    if isinstance(params, str):
        return params, {}
    if isinstance(params, Mapping) and len(params) == 1 and "name" not in params:
        name, arguments = next(iter(params.items()))
        return name, {} if arguments is None else arguments
    if isinstance(params, Mapping) and set(params) <= {"name", "args"}:
        return params.get("name"), params.get("args") or {}
    return None, {}


class ModuleDriver:
    """Parameters: ``{ansible.builtin.package: {name: wrk}}``, or the bare name of a module without arguments."""

    name = "module"

    def problem(self, params: Any) -> str | None:
        """What is wrong: no full name, or arguments that are no mapping."""
        name, arguments = _name_and_arguments(params)
        if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
            return "module wants one module by its full name, e.g. {ansible.builtin.package: {name: wrk}}"
        return None if isinstance(arguments, Mapping) else "the module's arguments are a mapping"

    def task(self, params: Any, render: Render) -> Mapping[str, Any]:
        """The module with its arguments."""
        name, arguments = _name_and_arguments(params)
        return {name: render_all(arguments, render)}
