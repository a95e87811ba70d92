"""The one flow: job → plan → nodes → stages → teardown → result, for the command line and for tests alike."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import BenchhubError, ExitCode, ResultError, SchedulerError, UsageError
from benchhub_ansible.execution import runner, sweep
from benchhub_ansible.execution.compiled import Compiled
from benchhub_ansible.execution.control import Control
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Event, Journal, read_journal
from benchhub_ansible.execution.options import Observer, RunOptions, RunOutcome
from benchhub_ansible.execution.outcome import import_what_the_end_needs, result_of, write_outcome
from benchhub_ansible.execution.road import AnsibleSettings, Road
from benchhub_ansible.execution.runs import new_run_id, not_cleaned, state
from benchhub_ansible.execution.secrets import Secrets
from benchhub_ansible.execution.versions import versions
from benchhub_ansible.job.load import LoadedJob, load_file
from benchhub_ansible.job.variables import with_variables
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_from_data
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.plan.select import left_out, select
from benchhub_ansible.results.record import Ending
from benchhub_ansible.schedulers.base import Allocation, Loss, Request, Scheduler
from benchhub_ansible.schedulers.inventory import InventoryScheduler
from benchhub_ansible.schedulers.where import DEFAULT_WHERE, absolute_where, scheduler_for, usable_scheduler

__all__ = ["RunOptions", "not_cleaned", "recover", "run"]


def run(
    job: Path | LoadedJob, options: RunOptions, observer: Observer, *, scheduler: Scheduler | None = None
) -> RunOutcome:
    """The outcome of the whole road. Raises only while nothing has been acquired; then everything is a reason."""
    if options.profile != "default" and (options.keep or options.keep_on_failure):
        raise UsageError(
            f"nodes cannot be kept with the profile {options.profile!r}",
            hint="only the default profile has a supervisor that ends them in time",
        )
    scheduler = scheduler or usable_scheduler(options.where, options.ansible_args)
    with prepared(job, options, observer, scheduler) as (session, base):
        return session.whole(scheduler, base)


@contextlib.contextmanager
def prepared(
    job: Path | LoadedJob, options: RunOptions, observer: Observer, scheduler: Scheduler
) -> Iterator[tuple[Session, Path]]:
    """A run whose journal has begun, under its lock, and the job's folder; nothing has been asked of the scheduler."""
    loaded = load_file(job) if isinstance(job, Path) else job
    for warning in loaded.warnings:
        observer.warning(warning)
    job_path = Path(loaded.job.source.name).absolute()
    plan = make_plan(with_variables(loaded.job, options.variables))
    part = select(plan, from_stage=options.from_stage, only=options.only)
    for warning in left_out(plan, part, loaded.job.source):
        observer.warning(warning)
    plan = part
    runner.warm_up()
    source, base = loaded.job.source, job_path.parent
    secrets = Secrets.read(plan.secrets, environ=options.environ, base=base, source=source, names=plan.names())
    folder = RunFolder(options.runs_dir / new_run_id(plan.job))
    folder.create()
    with folder.locked(), open_journal(folder, secrets, observer) as journal:
        session = Session(folder, plan, options, journal=journal, secrets=secrets, observer=observer)
        with session.control.signals():
            try:
                session.prepare(loaded, job_path, scheduler)
            except BaseException:
                session.discard()
                raise
            observer.begin(plan, folder)
            session.begin(base)
            yield session, base


def recover(folder: RunFolder, options: RunOptions, observer: Observer) -> RunOutcome:
    """Finishes the road of a run whose controller died, or that was kept; UsageError when nothing is to be finished."""
    before = state(folder)
    if before == "running":
        raise UsageError(
            f"run {folder.run_id} has a controller that lives", hint=f"end it with: benchhub stop {folder.run_id}"
        )
    if before == "submitted":
        raise UsageError(
            f"run {folder.run_id} was submitted and has not begun", hint=f"end it with: benchhub stop {folder.run_id}"
        )
    if before not in ("lost", "kept"):
        raise UsageError(f"run {folder.run_id} has ended ({before}): there is nothing to recover")
    events = list(read_journal(folder.journal))
    if not events:
        sweep.sweep(folder.run_id)  # Ansible may have been started
        sweep.remove_control_path_dir(folder.run_id)
        raise _never_begun(folder)
    plan = plan_from_data(folder.read_json(folder.plan))
    begin = next((event for event in events if event["event"] == "run-begin"), {})
    base = Path(str(begin.get("job_dir") or "."))
    secrets = Secrets.read(plan.secrets, environ=options.environ, base=base, required=False)
    with folder.locked(), open_journal(folder, secrets, observer) as journal:
        observer.begin(plan, folder)
        session = Session(folder, plan, options, journal=journal, secrets=secrets, observer=observer)
        with session.control.signals():
            return session.finish(events, kept=before == "kept", where=str(begin.get("where", DEFAULT_WHERE)))


def _never_begun(folder: RunFolder) -> BenchhubError:
    if folder.journal.exists() and b"\n" in folder.journal.read_bytes():
        return ResultError(f"{folder.journal} holds no event that can be read: what the run took is not known")
    return UsageError(f"run {folder.run_id} has not begun: there is nothing to recover", hint=f"rm -r {folder.path}")


def open_journal(folder: RunFolder, secrets: Secrets, observer: Observer) -> Journal:
    """The run's journal, secrets masked."""
    return Journal(folder.journal, redact=secrets.redact, listener=observer.event)


class Session:
    """One run under its lock: what ``run`` and ``recover`` have in common."""

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        options: RunOptions,
        *,
        journal: Journal,
        secrets: Secrets,
        observer: Observer,
    ) -> None:
        self.folder = folder
        self.plan = plan
        self._options = options
        self._compiled = Compiled(folder=folder, plan=plan, options=options)
        self.journal = journal
        self._secrets = secrets
        self._observer = observer
        self.control = Control(
            stop_request=folder.stop_request, on_ask=lambda reason: journal.write("stop-asked", reason=reason)
        )
        journal.on_failure = self._no_room
        ansible = AnsibleSettings(
            arguments=options.ansible_args, passed=options.pass_env, environ=options.environ, cwd=Path.cwd()
        )
        self._road = Road(
            folder,
            plan,
            journal=journal,
            control=self.control,
            secrets=secrets,
            ansible=ansible,
            on_notice=self._notice,
        )

    def _notice(self, text: str) -> None:
        self._observer.notice(self._secrets.redact(text))

    def _no_room(self, error: OSError) -> None:
        """Ends the run: what happens next could not be told or recovered."""
        reason = f"the journal in {self.folder.path} cannot be written: {error.strerror}"
        self.control.lose(Loss(reason=reason, exit_code=ExitCode.RESULT))
        self._notice(reason)

    def prepare(self, loaded: LoadedJob, job_path: Path, scheduler: Scheduler) -> None:
        """Writes what is known before there are nodes: job, plan, playbooks; and asks whether there can be nodes."""
        try:
            self._compiled.write_job(loaded, job_path)
            if isinstance(scheduler, InventoryScheduler):
                self._road.begin(and_teardown=self._tears_down_at_once, reads=scheduler.path)
                scheduler.read_by(self._road.read)
            elif getattr(scheduler, "immediate", False):
                self._road.begin(and_teardown=self._tears_down_at_once)
        except OSError as error:
            raise ResultError(f"{self.folder.path} cannot be written: {error.strerror}") from error
        try:
            scheduler.check(Request.of(self.plan))
        except SchedulerError as error:
            if self.control.wants_end:  # a terminal sends Ctrl-C to the programs that a scheduler asks as well
                raise KeyboardInterrupt from None
            raise SchedulerError(*error.diagnostics, *self._road.said()) from None

    def discard(self) -> None:
        """Leaves nothing of a run that came to nothing before it began."""
        self._road.close()
        self.folder.discard()

    @property
    def _tears_down_at_once(self) -> bool:
        return not (self._options.keep or self._options.keep_on_failure)

    def take_over(self) -> None:
        """Says that a run which was prepared elsewhere begins here."""
        self._sign()
        self.journal.write("begun", host=platform.node())

    def _sign(self) -> None:
        """Says who holds the lock, for ``benchhub stop``."""
        controller = {"pid": os.getpid(), "started": time.time(), "host": platform.node()}
        self.folder.write_json(self.folder.controller, controller)

    def begin(self, job_dir: Path) -> None:
        """Opens the journal of the run: from its first line on ``recover`` can finish whatever was begun."""
        folder, plan, options = self.folder, self.plan, self._options
        self._sign()
        self.journal.write(
            "run-begin",
            run_id=folder.run_id,
            job=plan.job,
            job_dir=str(job_dir),
            plan_hash=plan.hash,
            profile=options.profile,
            versions=versions(),
            where=absolute_where(options.where),
        )

    def whole(self, scheduler: Scheduler, job_dir: Path) -> RunOutcome:
        """Acquires, runs the stages, and takes the way back whatever happened."""
        try:
            allocation = self._acquire(scheduler)
        except SchedulerError as error:
            self._road.close()
            reason = self._secrets.redact("; ".join(d.message for d in error.diagnostics))
            ending = Ending(status="failed", exit_code=error.exit_code, reason=reason)
            if self.control.wants_end:
                ending = replace(ending, status="interrupted", exit_code=ExitCode.INTERRUPTED)
            outcome = self.end(ending)
            for diagnostic in error.diagnostics:
                self._observer.warning(diagnostic)
            return outcome
        except BaseException:
            self._road.close()
            raise
        defect: Exception | None = None
        kept = contextlib.ExitStack()
        try:
            kept.enter_context(scheduler.keep(allocation, self.control.lose))
            held = self._on_nodes(scheduler, allocation, job_dir)
            if held is not None:
                kept.close()
                return held
        except Exception as error:  # noqa: BLE001 - whatever broke, what was taken must be given back first
            defect = error
        return self._way_back(scheduler, allocation, job_dir, kept, defect)

    def _on_nodes(self, scheduler: Scheduler, allocation: Allocation, job_dir: Path) -> RunOutcome | None:
        """Runs the stages; the outcome when the nodes are kept, None when the way back has to follow."""
        self._compiled.write_inventory(allocation, job_dir)
        threading.Thread(target=import_what_the_end_needs, daemon=True).start()
        self._road.stages(and_teardown=self._tears_down_at_once)
        return None if self._tears_down_at_once or not self._may_keep() else self._hold(scheduler, allocation)

    def _acquire(self, scheduler: Scheduler) -> Allocation:
        request = Request.of(self.plan)
        self.journal.write("acquire-intent", requests=[f"{n.count} {n.type}" for n in request.nodes])
        allocation = scheduler.acquire(
            request,
            run_id=self.folder.run_id,
            progress=self._waits,
            cancelled=lambda: self.control.wants_end,
        )
        try:
            self.folder.write_json(self.folder.allocation, allocation.as_data())
            self.journal.write("acquired", allocation=allocation.as_data())
        except BenchhubError:
            self._road.release(scheduler, allocation)
            raise
        return allocation

    def _waits(self, text: str) -> None:
        self.journal.write("waiting", text=text)
        self._notice(text)

    def _may_keep(self) -> bool:
        failed = self._road.ending().status != "success"
        return self.control.reason is None and (self._options.keep or failed)

    def _hold(self, scheduler: Scheduler, allocation: Allocation) -> RunOutcome | None:
        """The outcome of a run whose nodes stay up; None when they could not be told to, so that teardown follows."""
        ending = self._road.ending()
        try:
            until = scheduler.extend(allocation, time.time() + self._options.keep_for)
        except SchedulerError as error:
            self._notice(f"{error}: everything is torn down")
            return None
        if not self._road.hold(max(0.0, until - time.time())):
            self._notice("a node could not be told to keep what runs: everything is torn down")
            return None
        if self.control.wants_end:
            return None  # asked for meanwhile: who asks for the end does not want nodes that stay up
        self._road.close()
        result = result_of(self.folder, ending)
        verdict = result.verdict
        self.journal.write(
            "kept", until=until, status=verdict.status, exit_code=verdict.exit_code, reason=verdict.reason
        )
        return write_outcome(self.folder, result, kept_until=until)

    def _way_back(
        self,
        scheduler: Scheduler,
        allocation: Allocation,
        job_dir: Path,
        kept: contextlib.ExitStack,
        defect: Exception | None,
    ) -> RunOutcome:
        """Teardown, release, end; each of them although the one before failed. The nodes stay ours for the first."""
        problems: list[Exception] = [] if defect is None else [defect]
        steps: list[Callable[[], None]] = [
            kept.close,
            partial(self._road.release, scheduler, allocation),
            self._road.close,
        ]
        if self._road.facts.launched:
            steps[:0] = [partial(self._restore, allocation, job_dir), self._road.teardown]
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the next step has to be taken all the same
                problems.append(error)
                self._notice(str(error))
        ending = self._road.ending()
        if defect is not None or (problems and ending.status == "success"):
            code = problems[0].exit_code if isinstance(problems[0], BenchhubError) else ExitCode.NODES
            ending = Ending(status="failed", exit_code=code, reason="; ".join(map(str, problems)))
        outcome = self.end(ending)
        for problem in problems:
            if problem is defect or not isinstance(problem, BenchhubError | OSError):
                raise problem
        return outcome

    def _restore(self, allocation: Allocation, job_dir: Path) -> None:
        if self._compiled.restore(allocation, job_dir):
            self._notice(f"{self.folder.path} was removed: what teardown needs is written again")

    def finish(self, events: list[Event], *, kept: bool, where: str) -> RunOutcome:
        """The way back for a run that this process did not begin."""
        self._sign()
        self.journal.write("recover-begin", by=os.getpid())
        self._road.close()
        scheduler = scheduler_for(where)
        names = {event["event"] for event in events}
        if "launch" in names:
            self._road.facts.launched = True
            self._road.teardown()
        if "released" not in names and names & {"acquire-intent", "submit-intent"}:
            self._give_back(scheduler, acquired="acquired" in names)
        self._road.close()
        self.journal.write("recovered", by=os.getpid())
        return self.end(_ending_before(events) if kept else _LOST)

    def _give_back(self, scheduler: Scheduler, *, acquired: bool) -> None:
        allocation = None
        if acquired:
            try:
                allocation = Allocation.from_data(self.folder.read_json(self.folder.allocation))
            except (ResultError, KeyError, TypeError) as error:
                self._notice(f"what was acquired is not known ({error}): it is looked for by the run's id")
        self.journal.write("release-intent", allocation=allocation.id if allocation else None)
        scheduler.recover(self.folder.run_id, allocation)
        self.journal.write("released", allocation=allocation.id if allocation else None)

    def end(self, ending: Ending) -> RunOutcome:
        """Writes how the run ended: the journal's last line, result and report."""
        self.control.settle()
        result = result_of(self.folder, ending)
        verdict = result.verdict
        entry = self.journal.write("run-end", status=verdict.status, exit_code=verdict.exit_code, reason=verdict.reason)
        return write_outcome(self.folder, replace(result, ended=entry["t"]))


_LOST = Ending(
    status="interrupted",
    exit_code=ExitCode.INTERRUPTED,
    reason="its controller ended without a word; recovered afterwards",
)


def _ending_before(events: list[Event]) -> Ending:
    """What was said of a kept run before it was kept."""
    kept: dict[str, Any] = next((event for event in reversed(events) if event["event"] == "kept"), {})
    return Ending(status=str(kept.get("status")), exit_code=kept.get("exit_code"), reason=kept.get("reason"))
