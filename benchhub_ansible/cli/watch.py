"""Watching a run in plain lines, and the words for it; ``live`` draws a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.reports.text import plain
from benchhub_ansible.shown import visible_lines, without_colours

REASONS = {
    "ctrl-c": "Ctrl-C: ending in order; once more to hurry",
    "sigterm": "SIGTERM: ending in order",
    "sighup": "the terminal was closed: ending in order",
    "stop-verb": "benchhub stop: ending in order",
    "lost": "what the run needs is lost: ending it",
    "timeout": "the limit of the run has passed: ending it",
}


def told(message: object) -> str:
    """What a node said, line by line, none of them endless."""
    return "\n".join(plain(without_colours(line), limit=500) for line in str(message).splitlines())


class Failures:
    """What to say of events that tell of a failure: a node that cannot be reached is told of once."""

    def __init__(self) -> None:
        self._unreachable: set[str] = set()

    def text(self, entry: Mapping[str, Any]) -> str | None:
        """The words, or None when there is nothing, or nothing new, to say."""
        if entry["event"] not in ("action", "ansible-task") or not (entry.get("failed") or entry.get("status") in _BAD):
            return None
        hosts = entry.get("hosts")
        found = hosts if isinstance(hosts, Mapping) else {str(entry.get("host")): entry}
        gone = {
            slot for slot, said in found.items() if isinstance(said, Mapping) and said.get("status") == "unreachable"
        }
        again = gone & self._unreachable
        self._unreachable |= gone
        if again and again == found.keys():
            return None
        lines = told(entry.get("msg")).splitlines()
        kept = [line for line in lines if not any(line.startswith(f"{slot}: ") for slot in again)]
        return f"failed: {entry.get('task')}: " + "\n".join(kept) if kept or not lines else None


class PlainWatch:
    """One line an event that matters; nothing is ever redrawn and there are no colours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = time.time()
        self._titles: dict[str, str] = {}
        self._stage_begun: dict[str, float] = {}
        self._failures = Failures()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def warning(self, diagnostic: Diagnostic) -> None:
        """The diagnostic as it is rendered everywhere."""
        self._stream.write(diagnostic.render() + "\n")

    def begin(self, plan: Plan, folder: RunFolder) -> None:
        """The run's id and where it lies."""
        self._titles = {stage.id: stage.title for stage in (*plan.stages(), *plan.cleanup)}
        self._say(f"run {folder.run_id} in {folder.path}")

    def event(self, entry: Mapping[str, Any]) -> None:
        """A line, when the event is of interest to a person."""
        name = entry["event"]
        title = self._titles.get(str(entry.get("stage")), "")
        if name == "stage-begin":
            self._stage_begun[str(entry["stage"])] = entry["t"]
            self._say(f"stage {title}: started on {_names(entry['slots'])}")
        elif name == "stage-end":
            took = entry["t"] - self._stage_begun.get(str(entry["stage"]), entry["t"])
            self._say(f"stage {title}: {entry['status']} after {took:.1f} s")
        elif failure := self._failures.text(entry):
            self._say(failure)
        elif name == "stop-asked":
            self._say(REASONS.get(str(entry["reason"]), str(entry["reason"])))
        elif name == "teardown-begin":
            self._say("tearing down")

    def notice(self, text: str) -> None:
        """A line."""
        self._say(text)

    def _say(self, text: str) -> None:
        self._stream.write(f"{time.time() - self._begun:7.1f} s  {visible_lines(text)}\n")
        self._stream.flush()


_BAD = ("failed", "unreachable")


def _names(slots: list[str]) -> str:
    return ", ".join(slots) if len(slots) <= 6 else f"{len(slots)} nodes"
