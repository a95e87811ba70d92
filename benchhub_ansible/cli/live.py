"""Watching a run on a terminal: a table of stages by slots that is redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchhub_ansible.cli.board import Board, Row
from benchhub_ansible.cli.watch import REASONS, Failures
from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.shown import visible, visible_lines

_STYLES = {"waiting": "dim", "running": "cyan", "ok": "green", "failed": "bold red", "interrupted": "yellow"}
#: Lines of the table that are no stages: head, rule, what is waited for, spare.
_FRAME = 6


class LiveWatch:
    """A table of stages by slots that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board: Board | None = None
        self._begun = time.time()
        self._run_id = ""
        self._waiting = ""
        self._failures = Failures()
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
            self._say(REASONS.get(str(entry["reason"]), str(entry["reason"])), style="yellow")

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
