"""``benchhub stop``: ends a run in order."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from pathlib import Path

import click

from benchhub_ansible.cli.options import looked_after, run_argument, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.cli.run import Duration, show_outcome, watch
from benchhub_ansible.errors import ExitCode, NodesError, UsageError
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.shown import visible
from benchhub_ansible.values import format_duration

_EPILOG = """\b
Example:
  benchhub stop 20261123-193012"""

_LIMIT = 900.0


@click.command(epilog=_EPILOG)
@run_argument
@click.option("--timeout", type=Duration(), default=_LIMIT, help="How long to wait for its end (default: 15m).")
@runs_dir_option
@click.pass_context
def stop(ctx: click.Context, run: str | None, runs_dir: Path | None, timeout: float) -> None:
    """End RUN (default: the latest): its services are stopped, its files collected, its nodes given back."""
    from benchhub_ansible import session  # noqa: PLC0415
    from benchhub_ansible.execution.runs import find_run, state  # noqa: PLC0415

    settings = settings_for()
    folder = find_run(runs_dir_of(runs_dir, settings), run)
    if folder.alive():
        _ask(folder, timeout)
        click.echo(visible(f"run {folder.run_id}: {state(folder)}"))
        ctx.exit(ExitCode.SUCCESS)
    if looked_after(folder) is not None:
        from benchhub_ansible import submission  # noqa: PLC0415

        with watch() as observer:
            submission.stop(folder, observer)
        click.echo(visible(f"run {folder.run_id}: {state(folder)}"))
        ctx.exit(ExitCode.SUCCESS)
    if state(folder) != "kept":
        hint = f"finish it with: benchhub recover {folder.run_id}" if state(folder) == "lost" else None
        raise UsageError(f"run {folder.run_id} does not run ({state(folder)})", hint=hint)
    options = session.RunOptions(ansible_args=settings.ansible_args or (), pass_env=settings.pass_env or ())
    with watch() as observer:
        outcome = session.recover(folder, options, observer)
    show_outcome(outcome, as_json=False)
    ctx.exit(ExitCode.SUCCESS)


def _ask(folder: RunFolder, timeout: float) -> None:
    """Sends the controller a SIGTERM, with a note that it was us, and waits for its end."""
    from benchhub_ansible import submission  # noqa: PLC0415

    controller = folder.read_json(folder.controller)
    submitted = submission.submitted(folder)
    if not submitted and controller.get("host") != platform.node():
        raise UsageError(f"run {folder.run_id} is run by {controller.get('host')}", hint="call benchhub stop there")
    folder.write(folder.stop_request, "")
    if submitted:
        submission.ask_to_end(folder)  # its scheduler passes it on, wherever the controller is
    else:
        # The lock is held, so the process lives and the number is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(controller["pid"]), signal.SIGTERM)
    end = time.monotonic() + timeout
    while folder.alive():
        if time.monotonic() > end:
            raise NodesError(
                f"run {folder.run_id} has not ended within {format_duration(timeout)}",
                hint=f"benchhub status {folder.run_id} shows what it waits for; stop again to hurry it",
            )
        time.sleep(0.1)
