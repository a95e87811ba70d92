"""``benchhub history``: the runs there are, with verdict and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchhub_ansible.cli.options import json_option, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.errors import ResultError
from benchhub_ansible.execution.runs import list_runs
from benchhub_ansible.reports.text import number, plain
from benchhub_ansible.results.store import result_data, values_of


@click.command(epilog="Example: benchhub history --runs-dir runs")
@runs_dir_option
@json_option
def history(runs_dir: Path | None, *, as_json: bool) -> None:
    """List the runs, oldest first, each with its verdict and the median of every metric."""
    runs = runs_dir_of(runs_dir, settings_for())
    rows: list[dict[str, Any]] = []
    for folder in list_runs(runs):
        try:
            data = result_data(folder.path)
        except ResultError:
            continue  # a folder that was made and never used has no journal
        rows.append({"run": folder.run_id, "verdict": data["verdict"]["status"], "values": values_of(data)})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"There are no runs in {runs}.")
    for row in rows:
        click.echo(f"{plain(row['run'])}  {plain(row['verdict'])}")
        # values of a run that is not a success are listed by no name: they are no result
        for name, value in row["values"].items() if row["verdict"] == "success" else ():
            click.echo(f"    {plain(name)}: {number(value['median'], value['unit'])} (n={value['n']})")
