"""``benchhub status``: a run seen from another terminal."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchhub_ansible.cli.options import (
    json_option,
    looked_after,
    run_argument,
    runs_dir_of,
    runs_dir_option,
    settings_for,
)

_EPILOG = """\b
Examples:
  benchhub status
  benchhub status 20261123-193012 --json"""


@click.command(epilog=_EPILOG)
@run_argument
@runs_dir_option
@json_option
def status(run: str | None, runs_dir: Path | None, *, as_json: bool) -> None:
    """Show how far RUN (default: the latest) is, stage by stage, or how it ended."""
    from benchhub_ansible.cli.board import Board  # noqa: PLC0415 - only the verb that is called pays
    from benchhub_ansible.execution.journal import read_journal  # noqa: PLC0415
    from benchhub_ansible.execution.runs import find_run, state  # noqa: PLC0415
    from benchhub_ansible.plan.data import plan_from_data  # noqa: PLC0415
    from benchhub_ansible.shown import visible  # noqa: PLC0415

    folder = find_run(runs_dir_of(runs_dir, settings_for()), run)
    waits = looked_after(folder)
    board = Board(plan_from_data(folder.read_json(folder.plan)))
    last: dict[str, Any] = {}
    for event in read_journal(folder.journal):
        board.feed(event)
        last = event
    if as_json:
        stages = [
            {
                "stage": row.stage.id,
                "title": row.stage.title,
                "state": row.state,
                "begun": row.begun,
                "ended": row.ended,
                "slots": row.cells,
            }
            for row in board.rows.values()
        ]
        data = {
            "version": 1,
            "run": folder.run_id,
            "state": state(folder),
            "doing": waits or board.doing,
            "stages": stages,
        }
        click.echo(json.dumps(data, indent=2))
        return
    _show(folder.run_id, state(folder), board, last)
    if waits is not None:
        click.echo(visible(waits))


def _show(run_id: str, run_state: str, board: Any, last: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415

    from benchhub_ansible.cli.live import board_table  # noqa: PLC0415
    from benchhub_ansible.shown import visible_lines  # noqa: PLC0415

    console = Console(highlight=False, no_color=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 120)
    doing = f", {board.doing}" if run_state == "running" else ""
    console.print(f"run {run_id}: {run_state}{doing}", markup=False)
    if run_state == "lost":
        console.print(f"its controller ended without a word; finish it with: benchhub recover {run_id}", markup=False)
    if run_state == "kept":
        until = last.get("until")
        left = f"{max(0.0, until - time.time()):.0f} s more" if isinstance(until, int | float) else "some time"
        console.print(f"kept for {left}; end it with: benchhub stop {run_id}", markup=False)
    if last.get("event") == "run-end" and last.get("reason"):
        console.print(visible_lines(last["reason"]), markup=False)
    console.print(board_table(board, 10**6))
