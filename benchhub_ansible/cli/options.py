"""What several verbs share: options, settings, and completion of run ids."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from benchhub_ansible.settings import Settings, load_settings

if TYPE_CHECKING:
    from benchhub_ansible.execution.folder import RunFolder

_RUNS_DIR = "runs"

Command = Callable[..., Any]


def settings_for(job: Path | None = None) -> Settings:
    """The settings that count for a job, or for the current folder."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return load_settings(job.absolute().parent if job is not None else Path.cwd(), Path(home))


def runs_dir_of(given: Path | None, settings: Settings) -> Path:
    """The folder of the runs: the command line, else the settings, else ``runs``."""
    return given or Path(settings.runs_dir or _RUNS_DIR)


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    from benchhub_ansible.execution.runs import list_runs  # noqa: PLC0415 - only when completing

    runs = list_runs(runs_dir_of(ctx.params.get("runs_dir"), settings_for()))
    return [CompletionItem(run.run_id) for run in reversed(runs) if incomplete in run.run_id]


def run_argument(command: Command) -> Command:
    """Adds RUN: an id, a unique part of one, a path, or nothing for the latest."""
    return click.argument("run", required=False, shell_complete=_complete_run)(command)


def runs_dir_option(command: Command) -> Command:
    """Adds ``--runs-dir``."""
    path = click.Path(path_type=Path, file_okay=False)
    return click.option("--runs-dir", type=path, help="Folder of the runs (default: runs).")(command)


def looked_after(folder: RunFolder) -> str | None:
    """What a submitted run waits for that has not begun; one that never will is written off first. None for others."""
    from benchhub_ansible.execution.runs import state  # noqa: PLC0415 - these take time to import

    if state(folder) != "submitted":
        return None
    from benchhub_ansible import submission  # noqa: PLC0415
    from benchhub_ansible.cli.run import watch  # noqa: PLC0415

    with watch() as observer:
        return submission.look_after(folder, observer)


def json_option(command: Command) -> Command:
    """Adds ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)
