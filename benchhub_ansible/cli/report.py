"""``benchhub report RUN``: the result of a run, rendered again."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from benchhub_ansible.cli.options import looked_after, run_argument, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.errors import UsageError
from benchhub_ansible.execution.runs import find_run
from benchhub_ansible.registry import names
from benchhub_ansible.reports.base import render
from benchhub_ansible.results.build import build_result


def _formats() -> str:
    return ", ".join(names("report"))


@click.command(epilog="Example: benchhub report latest --format markdown -o report.md")
@run_argument
@click.option(
    "--format", "name", default="console", show_default=True, help="Name of a report: console, markdown, json."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of printing.")
@runs_dir_option
def report(run: str | None, name: str, output: Path | None, runs_dir: Path | None) -> None:
    """Render the result of RUN again: an id, a part of one, a path, or nothing for the latest.

    It is made from the run's journal and collected files, so it works on a run whose controller was killed. Nothing is
    written unless -o says where.
    """
    if name not in names("report"):
        raise UsageError(f"there is no report named {name!r}", hint=f"there are: {_formats()}")
    folder = find_run(runs_dir_of(runs_dir, settings_for()), run)
    looked_after(folder)
    result = build_result(folder.path)
    terminal = output is None and sys.stdout.isatty()
    text = render(name, result, color=terminal, width=shutil.get_terminal_size((120, 24)).columns if terminal else 120)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as cause:
        raise UsageError(f"{output} cannot be written: {cause.strerror}") from cause
