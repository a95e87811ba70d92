"""The protocol of a report plugin (entry-point group ``benchhub.reports``), and the way to one by name."""

from __future__ import annotations

from typing import Protocol

from benchhub_ansible.registry import load
from benchhub_ansible.results.model import Result


class Report(Protocol):
    """A rendering of a result; made without arguments."""

    def render(self, result: Result, *, color: bool, width: int) -> str:
        """The whole text, a newline at its end; ``color`` and ``width`` (columns) only matter on a terminal."""
        ...


def render(name: str, result: Result, *, color: bool = False, width: int = 100) -> str:
    """The report of that name; PluginError when there is none."""
    report: Report = load("report", name)()
    return report.render(result, color=color, width=width)
