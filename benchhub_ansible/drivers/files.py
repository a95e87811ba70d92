"""What ``copy`` and ``template`` have in common: a file of the controller that becomes a file of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import unknown_keys

#: Parameters that say what the file is like on the node.
FILE_KEYS = ("dest", "mode", "owner", "group")


def file_problem(params: Any, *, sources: tuple[str, ...]) -> str | None:
    """What is wrong: no destination, not exactly one source, an unknown key, a mode that is no text."""
    if not isinstance(params, Mapping):
        return f"it wants a mapping with {' or '.join(sources)}, and dest"
    if found := unknown_keys(params, (*sources, *FILE_KEYS)):
        return found
    if sum(key in params for key in sources) != 1:
        return f"it wants exactly one of {', '.join(sources)}"
    if not params.get("dest"):
        return "it wants dest, the path on the node"
    wrong = [key for key, value in params.items() if not isinstance(value, str)]
    return f"{wrong[0]} is a text; put it in quotes" if wrong else None


def file_step(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the mode filled in: what a file may be read by is never left to a node's umask."""
    return {**params, "mode": params.get("mode", "0644")}
