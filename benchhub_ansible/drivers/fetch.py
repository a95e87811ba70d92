"""``fetch``: a file of the node that must exist by now; it is brought to the run folder with the collected files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import Supervised, unknown_keys


class FetchDriver(Supervised):
    """Parameters: the path or glob on the node, as a text or ``{src: …}``."""

    name = "fetch"

    def problem(self, params: Any) -> str | None:
        """What is wrong: no path."""
        if isinstance(params, Mapping):
            if found := unknown_keys(params, ("src",)):
                return found
            params = params.get("src")
        return None if isinstance(params, str) and params else "fetch wants the path of a file on the node"

    def step(self, params: Any) -> Mapping[str, Any]:
        """A step that fails when nothing matches."""
        return {"fetch": params if isinstance(params, str) else params["src"]}
