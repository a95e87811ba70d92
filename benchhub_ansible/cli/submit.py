"""``benchhub submit``: hands a whole run to a scheduler; and ``begin``, which the scheduler calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchhub_ansible.cli.options import json_option, runs_dir_option
from benchhub_ansible.cli.run import job_options, run_options, show_outcome, watch

_EPILOG = """\b
Examples:
  benchhub submit job.yml --on slurm
  benchhub submit job.yml --on slurm:partition=main,time=2h --var threads=8
  benchhub status"""


@click.command(epilog=_EPILOG)
@job_options
@runs_dir_option
@json_option
def submit(job: Path, **given: Any) -> None:
    """Hand the whole run of JOB to the scheduler of WHERE, and return.

    status, logs, report and stop work on it from now on. The folder of the runs must be on a file system that the
    nodes share.
    """
    from benchhub_ansible import submission  # noqa: PLC0415 - only the verb that is called pays

    with watch() as observer:
        folder, ticket = submission.submit(job, run_options(job, given), observer)
    if given["as_json"]:
        click.echo(json.dumps({"version": 1, "run": folder.run_id, "ticket": ticket, "folder": str(folder.path)}))
        return
    click.echo(f"run {folder.run_id} was submitted as {ticket}; see: benchhub status {folder.run_id}")


@click.command(epilog="Example: what `benchhub submit` has the scheduler call: benchhub begin runs/RUN")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.pass_context
def begin(ctx: click.Context, folder: Path) -> None:
    """Carry out a submitted run on the nodes it was granted."""
    from benchhub_ansible import submission  # noqa: PLC0415
    from benchhub_ansible.execution.folder import RunFolder  # noqa: PLC0415

    with watch() as observer:
        outcome = submission.begin(RunFolder(folder), observer)
    show_outcome(outcome, as_json=False)
    ctx.exit(outcome.exit_code)
