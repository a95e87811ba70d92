"""``benchhub compare A B``: the values of two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchhub_ansible.cli.options import json_option, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.execution.runs import find_run
from benchhub_ansible.reports.text import number, plain
from benchhub_ansible.results.store import result_data, values_of

_NOTE = "Medians and their difference only: whether it is more than noise is not tested yet."


@click.command(epilog="Example: benchhub compare 20261123-193012 latest")
@click.argument("first")
@click.argument("second")
@runs_dir_option
@json_option
def compare(first: str, second: str, runs_dir: Path | None, *, as_json: bool) -> None:
    """Print the metrics of FIRST and SECOND with their difference."""
    runs = runs_dir_of(runs_dir, settings_for())
    both = [result_data(find_run(runs, name).path) for name in (first, second)]
    rows = _rows(values_of(both[0]), values_of(both[1]))
    warnings = _warnings(both)
    if as_json:
        click.echo(
            json.dumps({"runs": [run["run_id"] for run in both], "warnings": warnings, "values": rows}, indent=2)
        )
        return
    for row in rows:
        shown = [number(row[key], row["unit"]) for key in ("first", "second")]
        change = f"  {row['change']:+.1%}" if row["change"] is not None else ""
        click.echo(f"{plain(row['metric'])}: {shown[0]} → {shown[1]}{change}")
    for warning in warnings:
        click.echo(f"warning: {plain(warning)}")
    click.echo(_NOTE)


def _rows(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys((*first, *second)):
        old, new = (values.get(name, {}).get("median") for values in (first, second))
        known = old is not None and new is not None
        rows.append(
            {
                "metric": name,
                "unit": {**second.get(name, {}), **first.get(name, {})}.get("unit"),
                "first": old,
                "second": new,
                "difference": new - old if known else None,
                "change": (new - old) / abs(old) if known and old else None,
            }
        )
    return rows


def _warnings(both: list[dict[str, Any]]) -> list[str]:
    found = [
        f"{run['run_id']} is {run['verdict']['status']}: its values are no result"
        for run in both
        if run["verdict"]["status"] != "success"
    ]
    if both[0]["job"]["plan_hash"] != both[1]["job"]["plan_hash"]:
        found.append("the two runs have different plans")
    return found
