"""``benchhub recover``: finishes what a dead controller left."""

from __future__ import annotations

from pathlib import Path

import click

from benchhub_ansible.cli.options import (
    json_option,
    run_argument,
    runs_dir_of,
    runs_dir_option,
    settings_for,
)
from benchhub_ansible.cli.run import show_outcome, watch
from benchhub_ansible.errors import ExitCode, UsageError
from benchhub_ansible.shown import visible

_EPILOG = """\b
Examples:
  benchhub recover                 the latest run that lost its controller
  benchhub recover --all"""


@click.command(epilog=_EPILOG)
@run_argument
@click.option("--all", "every", is_flag=True, help="Every run that lost its controller.")
@runs_dir_option
@json_option
@click.pass_context
def recover(ctx: click.Context, run: str | None, runs_dir: Path | None, *, every: bool, as_json: bool) -> None:
    """Tear down, give back and report RUN, whose controller died (default: the latest that did)."""
    from benchhub_ansible import session  # noqa: PLC0415
    from benchhub_ansible.execution.runs import find_run, lost_runs  # noqa: PLC0415

    settings = settings_for()
    where = runs_dir_of(runs_dir, settings)
    if run is not None:
        folders = [find_run(where, run)]
    else:
        lost = list(lost_runs(where))
        folders = lost if every else lost[-1:]
    if not folders:
        raise UsageError(f"no run in {where} lost its controller", hint="say which run, or where runs are: --runs-dir")
    options = session.RunOptions(ansible_args=settings.ansible_args or (), pass_env=settings.pass_env or ())
    for folder in folders:
        with watch() as observer:
            outcome = session.recover(folder, options, observer)
        show_outcome(outcome, as_json=as_json)
        not_cleaned = session.not_cleaned(folder)
        if not_cleaned:
            left = visible(", ".join(not_cleaned))
            click.echo(f"not cleaned: {left}; what is left there ends with its lease", err=True)
            ctx.exit(ExitCode.NODES)
    ctx.exit(ExitCode.SUCCESS)
