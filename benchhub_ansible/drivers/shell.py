"""``shell``: a script for sh, or for ``executable``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import Supervised, unknown_keys


class ShellDriver(Supervised):
    """Parameters: the script as a text, or a mapping ``{text, executable}``."""

    name = "shell"
    serves = True

    def problem(self, params: Any) -> str | None:
        """What is wrong: no script, an empty one, or an executable that is no text."""
        if isinstance(params, Mapping):
            if found := unknown_keys(params, ("text", "executable")):
                return found
            if not isinstance(params.get("executable") or "", str):
                return "executable is the path of a shell"
            params = params.get("text")
        if not isinstance(params, str):
            return "shell wants a script, as a text"
        return None if params.strip() else "the script is empty"

    def step(self, params: Any) -> Mapping[str, Any]:
        """The script, and the executable when it is not sh."""
        if isinstance(params, str):
            return {"shell": params}
        executable = {"executable": params["executable"]} if params.get("executable") else {}
        return {"shell": params["text"], **executable}
