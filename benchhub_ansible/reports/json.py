"""The result as JSON, as ``result.json`` holds it."""

from __future__ import annotations

from benchhub_ansible.results.model import Result
from benchhub_ansible.results.store import result_text


class JsonReport:
    """``schemas/result.schema.json`` describes it."""

    def render(self, result: Result, *, color: bool, width: int) -> str:  # noqa: ARG002 - the protocol's
        """The same bytes as result.json."""
        return result_text(result)
