"""Watching a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchhub_ansible.cli.board import Board, Row
from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.reports.text import plain
from benchhub_ansible.shown import visible, visible_lines, without_colours

_STYLES = {"waiting": "dim", "running": "cyan", "ok": "green", "failed": "bold red", "interrupted": "yellow"}
#: Lines of the live table that are no stages: head, rule, what is waited for, spare.
_FRAME = 6

_REASONS = {
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


class _Failures:
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
        self._failures = _Failures()

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
            self._say(_REASONS.get(str(entry["reason"]), str(entry["reason"])))
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


class LiveWatch:
    """A table of stages by slots that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board: Board | None = None
        self._begun = time.time()
        self._run_id = ""
        self._waiting = ""
        self._failures = _Failures()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def warning(self, diagnostic: Diagnostic) -> None:
        """The diagnostic above the table."""
        self._console.print(Text(diagnostic.render(), style="yellow"))

    def begin(self, plan: Plan, folder: RunFolder) -> None:
        """The table appears."""
        self._board, self._run_id = Board(plan), folder.run_id
        self._live.start()

    def event(self, entry: Mapping[str, Any]) -> None:
        """The table follows; a failure is told above it, where it stays."""
        if self._board is not None:
            self._board.feed(entry)
        if entry["event"] in ("stage-begin", "stage-end"):
            self._waiting = ""
        if failure := self._failures.text(entry):
            self._say(failure, style="red")
        if entry["event"] == "stop-asked":
            self._say(_REASONS.get(str(entry["reason"]), str(entry["reason"])), style="yellow")

    def _say(self, text: str, *, style: str) -> None:
        self._console.print(Text(visible_lines(text), style=style))

    def notice(self, text: str) -> None:
        """What is waited for, below the table."""
        self._waiting = visible_lines(text)

    def _render(self) -> RenderableType:
        board = self._board
        if board is None:
            return Text("")
        head = Text(f"{self._run_id}  {board.doing}  {time.time() - self._begun:.0f} s", style="bold")
        return Group(head, board_table(board, self._console.height - _FRAME), Text(self._waiting, style="dim"))


def board_table(board: Board, height: int) -> Table:
    """The table of a board; of more stages than ``height`` those around the ones that run."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    table.add_column("time", justify="right")
    for column in board.columns():
        table.add_column(Text(visible(column)), overflow="ellipsis")
    for row in _window(list(board.rows.values()), max(3, height)):
        style = _STYLES[row.state]
        table.add_row(
            Text(visible(row.stage.title), style=style), Text(_took(row), style="dim"), *map(Text, board.cells(row))
        )
    return table


def _window(rows: list[Row], height: int) -> list[Row]:
    if len(rows) <= height:
        return rows
    active = next((n for n, row in enumerate(rows) if row.ended is None), len(rows) - 1)
    first = min(max(0, active - height // 2), len(rows) - height)
    return rows[first : first + height]


def _took(row: Row) -> str:
    if row.begun is None:
        return ""
    return f"{(row.ended or time.time()) - row.begun:.1f} s"
