"""``benchhub plan``: what would run, before anything does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchhub_ansible.cli.options import json_option, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.cli.validate import load_named, print_warnings
from benchhub_ansible.errors import UsageError
from benchhub_ansible.execution.runs import find_run
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_from_data, plan_to_data
from benchhub_ansible.plan.diff import diff
from benchhub_ansible.plan.model import Plan, PlannedStage
from benchhub_ansible.playbook import describe
from benchhub_ansible.shown import visible, visible_lines
from benchhub_ansible.values import format_duration

_EPILOG = """\b
Examples:
  benchhub plan job.yml
  benchhub plan job.yml --mermaid > pipeline.mmd
  benchhub plan job.yml --diff latest"""

#: Where no terminal says how wide it is, wide enough that commands are seldom broken.
_WIDTH = 160
_SHOWN_SLOTS = 4


@click.command(epilog=_EPILOG)
@click.argument("job", type=click.Path(allow_dash=True))
@json_option
@click.option("--mermaid", is_flag=True, help="Print the pipeline as a Mermaid flowchart.")
@click.option("--diff", "run", metavar="RUN", help="Show what changed since a run: its id, a part of it, or a path.")
@runs_dir_option
def plan(job: str, *, as_json: bool, mermaid: bool, run: str | None, runs_dir: Path | None) -> None:
    """Show what would run: stages by node, exact commands, checks and limits. Nothing is run."""
    if sum((as_json, mermaid, run is not None)) > 1:
        raise UsageError("--json, --mermaid and --diff do not go together", hint="give one of them")
    loaded = load_named(job)
    print_warnings(loaded.warnings)
    made = make_plan(loaded.job)
    if as_json:
        click.echo(json.dumps(plan_to_data(made), indent=2))
    elif mermaid:
        click.echo(describe.mermaid(made))
    elif run is not None:
        where = runs_dir_of(runs_dir, settings_for(None if job == "-" else Path(job)))
        _print_diff(_plan_of(run, where), made, run=run, job=job)
    else:
        _print_table(made)


def _plan_of(run: str, runs_dir: Path) -> Plan:
    """The plan of a run, of a compiled folder, or of a file that holds one."""
    given = Path(run)
    path = given if given.is_file() else given / "plan.json"
    if not path.exists():
        path = find_run(runs_dir, run).plan
    try:
        return plan_from_data(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as cause:
        raise UsageError(
            f"--diff {run}: there is no plan of a run: {cause}", hint="name a run, or its folder"
        ) from None


def _print_diff(old: Plan, new: Plan, *, run: str, job: str) -> None:
    lines = diff(old, new, old_name=run, new_name=job)
    click.echo("\n".join(map(visible, lines)) if lines else "The same plan: nothing that runs has changed.")


def _print_table(made: Plan) -> None:
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)
    console.print(visible(f"{made.job} ({made.source}), plan {made.hash[:12]}"))
    console.print(visible(_slots(made)))
    table = Table(show_lines=True)
    for heading in ("group", "stage", "on", "what runs", "checks and limits"):
        table.add_column(heading, overflow="fold")
    for group in made.groups:
        for stage in group.stages:
            _add_stage(table, made, str(group.number), stage)
        if group.stops:
            table.add_row(str(group.number), "", "", Text(visible(f"stop {', '.join(group.stops)}")), "")
    for stage in made.cleanup:
        _add_stage(table, made, "cleanup", stage)
    console.print(table)
    console.print(
        f"At most {format_duration(made.limit)}, then {format_duration(made.teardown_limit)} to tear down; nodes end "
        f"what runs {format_duration(made.lease)} after the last word from a controller."
    )


def _slots(made: Plan) -> str:
    nodes = dict.fromkeys((slot.node, slot.type) for slot in made.slots)
    counts = {node: sum(slot.node == node for slot in made.slots) for node, _ in nodes}
    listed = ", ".join(f"{node} ({counts[node]}, {kind})" for node, kind in nodes)
    return f"Nodes: {listed}; central: {made.central or 'none'}"


def _add_stage(table: Table, made: Plan, group: str, stage: PlannedStage) -> None:
    how = [word for word, meant in (("together", stage.together), ("one by one", stage.serial)) if meant]
    title = Text(visible(stage.title + (f" ({', '.join(how)})" if how else "")))
    more = len(stage.slots) - _SHOWN_SLOTS
    slots = ", ".join(stage.slots[:_SHOWN_SLOTS]) + (f" and {more} more" if more > 0 else "")
    for number, task in enumerate(stage.tasks):
        first = number == 0
        table.add_row(
            group if first else "",
            title if first else "",
            visible(slots) if first else "",
            Text(visible_lines(describe.command(made, task))),
            Text(visible_lines("\n".join(describe.notes(made, task)))),
        )
