"""A run that a scheduler carries out: handed over here, begun there, and looked after until it has begun."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import ExitCode, SchedulerError, UsageError
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import read_journal
from benchhub_ansible.execution.options import Observer, RunOptions, RunOutcome
from benchhub_ansible.execution.secrets import Secrets
from benchhub_ansible.plan.data import plan_from_data
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.results.record import Ending
from benchhub_ansible.schedulers.base import BatchScheduler, Loss, Request, Scheduler
from benchhub_ansible.schedulers.where import scheduler_for, usable_scheduler
from benchhub_ansible.session import Session, open_journal, prepared

#: Which variables a run was submitted with is in its environment, not in a file: there may be secrets among them.
_NOT_KEPT = ("environ", "variables")
#: How long a run that begins waits for whoever submits it to let go of its folder, in seconds.
_PATIENCE = 60.0


def submit(job: Path, options: RunOptions, observer: Observer) -> tuple[RunFolder, str]:
    """The folder of a run that was handed over, and its ticket. Raises when it was refused: its run has ended then."""
    if options.keep or options.keep_on_failure:
        raise UsageError("a submitted run cannot keep its nodes", hint="take them first, e.g. with salloc")
    scheduler = usable_scheduler(options.where, options.ansible_args)
    batch = _batch(scheduler)
    with prepared(job, options, observer, scheduler) as (session, base):
        folder = session.folder
        kept = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in _NOT_KEPT}
        kept = {**kept, "runs_dir": str(options.runs_dir.absolute())}
        folder.write_json(_path(folder), {"options": kept, "job_dir": str(base)})
        command = [sys.executable, "-m", "benchhub_ansible.cli.main", "begin", str(folder.path)]
        session.journal.write("submit-intent")
        try:
            request = Request.of(session.plan)
            ticket = batch.submit(request, run_id=folder.run_id, command=command, log=log(folder))
        except SchedulerError as error:
            session.end(Ending(status="failed", exit_code=error.exit_code, reason=error.diagnostics[0].message))
            raise
        session.journal.write("submitted", ticket=ticket)
    return folder, ticket


def begin(folder: RunFolder, observer: Observer) -> RunOutcome:
    """The outcome of a submitted run; called where the scheduler has granted its nodes."""
    with folder.locked(_PATIENCE):
        if not waits(folder):
            raise UsageError(f"run {folder.run_id} does not wait to be begun")
        given, plan = _read(folder)
        options = _options(given)
        base = Path(str(given["job_dir"]))
        secrets = Secrets.read(plan.secrets, environ=options.environ, base=base, names=plan.names())
        scheduler = usable_scheduler(options.where, options.ansible_args)
        with open_journal(folder, secrets, observer) as journal:
            observer.begin(plan, folder)
            session = Session(folder, plan, options, journal=journal, secrets=secrets, observer=observer)
            with session.control.signals():
                session.take_over()
                return session.whole(scheduler, base)


def waits(folder: RunFolder) -> bool:
    """Whether a run was handed over and has neither begun nor ended."""
    names = {event["event"] for event in read_journal(folder.journal)}
    return "submitted" in names and not names & {"begun", "run-end"}


def log(folder: RunFolder) -> Path:
    """What the controller of a submitted run prints."""
    return folder.path / "controller.log"


def look_after(folder: RunFolder, observer: Observer) -> str | None:
    """What a submitted run waits for, in words; None when it has begun, or ended, which is written down if it just has.

    A run whose scheduler lost it before it began would be called submitted for ever otherwise.
    """
    if not waits(folder):
        return None
    try:
        told = _batch(_scheduler(folder)).progress_of(ticket(folder))
    except SchedulerError as error:
        return f"what it waits for is not known: {error.diagnostics[0].message}"
    if isinstance(told, Loss):
        reason = f"{told.reason} before the run could begin"
        if log(folder).exists() and log(folder).stat().st_size:
            reason += f"; see {log(folder)}"
        _close(folder, Ending(status="failed", exit_code=told.exit_code, reason=reason), observer)
        return None
    return told


def stop(folder: RunFolder, observer: Observer) -> None:
    """Ends a run that waits to be begun."""
    _batch(_scheduler(folder)).ask_to_end(ticket(folder), begun=False)
    reason = "ended with `benchhub stop` before it began"
    _close(folder, Ending(status="interrupted", exit_code=ExitCode.INTERRUPTED, reason=reason), observer)


def submitted(folder: RunFolder) -> bool:
    """Whether a run was handed over, whatever came of it."""
    return any(event["event"] == "submitted" for event in read_journal(folder.journal))


def ask_to_end(folder: RunFolder) -> None:
    """Asks the controller of a submitted run, wherever it runs, to end it."""
    _batch(_scheduler(folder)).ask_to_end(ticket(folder), begun=True)


def ticket(folder: RunFolder) -> str:
    """By what the scheduler knows a run."""
    return next(str(event["ticket"]) for event in read_journal(folder.journal) if event["event"] == "submitted")


def _close(folder: RunFolder, ending: Ending, observer: Observer) -> None:
    """Writes the end of a run that never began, unless it has begun meanwhile."""
    with folder.locked():
        if not waits(folder):
            return
        given, plan = _read(folder)
        secrets = Secrets.read(plan.secrets, environ={}, base=Path(str(given["job_dir"])), required=False)
        with open_journal(folder, secrets, observer) as journal:
            session = Session(folder, plan, _options(given), journal=journal, secrets=secrets, observer=observer)
            session.end(ending)


def _batch(scheduler: Scheduler) -> BatchScheduler:
    if not isinstance(scheduler, BatchScheduler):
        raise UsageError(
            f"the scheduler {scheduler.name!r} carries out no runs by itself", hint="say: benchhub run; or --on slurm"
        )
    return scheduler


def _scheduler(folder: RunFolder) -> Scheduler:
    return scheduler_for(_options(_read(folder)[0]).where)


def _path(folder: RunFolder) -> Path:
    return folder.path / "submission.json"


def _read(folder: RunFolder) -> tuple[dict[str, Any], Plan]:
    given: dict[str, Any] = folder.read_json(_path(folder))
    return given, plan_from_data(folder.read_json(folder.plan))


def _options(given: dict[str, Any]) -> RunOptions:
    kept: dict[str, Any] = dict(given["options"])
    for name in ("ansible_args", "pass_env"):
        kept[name] = tuple(kept[name])
    return RunOptions(**{**kept, "runs_dir": Path(kept["runs_dir"]), "environ": dict(os.environ)})
