"""``exec``: a program and its arguments; no shell reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchhub_ansible.drivers.base import Supervised


def _argv(params: Any) -> Any:
    return params.get("argv") if isinstance(params, Mapping) else params


class ExecDriver(Supervised):
    """Parameters: ``{argv: […]}``, or the list alone: the program and its arguments."""

    name = "exec"
    serves = True

    def problem(self, params: Any) -> str | None:
        """What is wrong: not a list, an empty one, or one of something else than texts."""
        params = _argv(params)
        if isinstance(params, str) or not isinstance(params, Sequence) or not params:
            return "exec wants a list: the program, then its arguments"
        if not all(isinstance(item, str) for item in params):
            return "every argument is a text; put numbers in quotes"
        return None if params[0] else "the program's name is empty"

    def step(self, params: Any) -> Mapping[str, Any]:
        """The argv as it stands."""
        return {"argv": list(_argv(params))}
