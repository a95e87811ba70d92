"""The road of a run on its nodes: stages, teardown, hold, release; each step in the journal before it is taken."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import Diagnostic, ExitCode, Severity
from benchhub_ansible.execution import sweep
from benchhub_ansible.execution.control import Control
from benchhub_ansible.execution.early import EarlyLaunch, Gate
from benchhub_ansible.execution.environment import ansible_environment
from benchhub_ansible.execution.events import Translator
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Journal
from benchhub_ansible.execution.runner import Launch, Launched, launch
from benchhub_ansible.execution.secrets import Secrets
from benchhub_ansible.plan.limits import preparation_limit
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook.folder import hold_playbook
from benchhub_ansible.playbook.names import FAILED_GROUP
from benchhub_ansible.results.record import Ending
from benchhub_ansible.schedulers.base import Allocation, Scheduler
from benchhub_ansible.values import format_duration

#: Bytes that a launch must be able to write at least.
_ROOM = 2**20

WHOLE, STAGES, TEARDOWN, HOLD = "site.yml", "stages.yml", "teardown.yml", "hold.yml"

_INTERRUPTED = {
    "ctrl-c": "interrupted with Ctrl-C",
    "sigterm": "interrupted by SIGTERM",
    "sighup": "its terminal was closed",
    "stop-verb": "ended with `benchhub stop`",
}


@dataclass(frozen=True, kw_only=True)
class AnsibleSettings:
    """What the user gives every launch: arguments of ansible-playbook and variables of his environment."""

    arguments: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path()


@dataclass
class Facts:
    """What the launches of a run have shown so far."""

    launched: bool = False  # anything may be on the nodes
    prepared: bool = False  # the first stage has begun
    stages_ended: bool = False  # the stages came to their own end, good or bad
    failures: int = 0
    cleanup_failures: int = 0
    unreachable: set[str] = field(default_factory=set)
    last_lines: list[str] = field(default_factory=list)
    teardown_ended: bool = False
    not_cleaned: set[str] = field(default_factory=set)


class Road:
    """Launches playbooks of one run folder and says how the run ended. Used by one thread, under the folder's lock."""

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        *,
        journal: Journal,
        control: Control,
        secrets: Secrets,
        ansible: AnsibleSettings,
        on_notice: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._journal = journal
        self._control = control
        self._secrets = secrets
        self._ansible = ansible
        self._on_notice = on_notice
        self._teardown_told = False
        self._early: tuple[EarlyLaunch, Translator] | None = None
        self._temporary: list[Path] = []  # artifacts for which the run folder had no room
        self.facts = Facts()

    def begin(self, *, and_teardown: bool, reads: Path | None = None) -> None:
        """Starts Ansible before there are nodes. It waits until ``stages`` is called; ``close`` ends it as well.

        Before it waits it reads an inventory of the user, if one is given.
        """
        playbook, ident = _first(and_teardown=and_teardown)
        gate = Gate(self._folder.artifacts / ident / "gate.yml", until=self._folder.inventory, reads=reads)
        translator = self._translator()
        what = self._what(playbook, ident, [gate.source, self._folder.inventory])
        self._early = EarlyLaunch(gate, lambda cancelled: self._run(what, translator, cancelled)), translator

    def read(self, limit: float) -> dict[str, Any] | None:
        """What the inventory holds that ``begin`` was given; None when Ansible ended instead of telling.

        TimeoutError after ``limit`` seconds; KeyboardInterrupt when the user wants the end meanwhile.
        """
        if self._early is None:
            return None
        told = self._early[0].told(lambda: self._control.wants_end, limit)
        if told is None and self._control.wants_end:
            raise KeyboardInterrupt
        return told

    def said(self) -> list[Diagnostic]:
        """A warning with the last lines of the Ansible that waits for its nodes, if it did not like the inventory."""
        lines = [] if self._early is None else self._early[1].last_lines
        text = self._secrets.redact("\n".join(["Ansible said meanwhile:", *lines]))
        return [Diagnostic(code="ansible", severity=Severity.WARNING, message=text)] if lines else []

    def stages(self, *, and_teardown: bool) -> None:
        """Prepares the nodes and runs the stages, each within its limit; with their teardown where nothing is kept.

        A launch costs 0.7 s, so teardown gets one of its own only when this one did not come so far.
        """
        self._control.limit(preparation_limit(self._plan))
        if self._control.cancelled():
            return  # asked to end before anything began
        self.facts.launched = True
        translator = self._launch(*_first(and_teardown=and_teardown))
        facts = self.facts
        facts.stages_ended = translator.teardown_begun or translator.stats
        facts.failures, facts.unreachable = translator.failures, translator.unreachable
        facts.last_lines = translator.last_lines
        if and_teardown:
            self._note_teardown(translator)

    def teardown(self) -> None:
        """Runs the teardown within its own limit, unless it has been."""
        if self.facts.teardown_ended:
            return
        self._on_teardown()
        translator = self._launch(TEARDOWN, self._ident("teardown"), failed=True)
        self._note_teardown(translator)

    def hold(self, seconds: float) -> bool:
        """Collects, and makes the nodes keep everything for so long; False when a node could not be told."""
        self._control.enter_teardown(self._plan.teardown_limit)
        self._folder.write(self._folder.project / HOLD, hold_playbook(self._plan, seconds))
        translator = self._launch(HOLD, self._ident("hold"))
        return translator.stats and not translator.finish_failed

    def release(self, scheduler: Scheduler, allocation: Allocation) -> None:
        """Gives the nodes back."""
        self._journal.write("release-intent", allocation=allocation.id)
        scheduler.release(allocation)
        self._journal.write("released", allocation=allocation.id)

    def close(self) -> None:
        """Ends what the launches left on this machine."""
        if self._early is not None:
            self._early[0].drop()
            self._early = None
        sweep.sweep(self._folder.run_id)
        sweep.remove_control_path_dir(self._folder.run_id)
        for path in self._temporary:
            shutil.rmtree(path, ignore_errors=True)

    def ending(self) -> Ending:
        """How the run ended, as far as its controller can say."""
        facts = self.facts
        if self._control.reason is not None:
            return self._ending_on_request(self._control.reason)
        loss = self._control.loss
        if loss is not None and (facts.unreachable or facts.failures or not facts.stages_ended):
            # Ansible noticed first; the scheduler knows why
            return Ending(status="failed", exit_code=loss.exit_code, reason=loss.reason)
        if facts.unreachable:
            who = ", ".join(sorted(facts.unreachable))
            return Ending(status="failed", exit_code=ExitCode.NODES, reason=f"could not be reached: {who}")
        if facts.failures:
            return Ending(status="failed", exit_code=ExitCode.BENCHMARK, reason=None)
        if not facts.stages_ended:
            said = "\n".join(facts.last_lines) or "it said nothing"
            return Ending(status="failed", exit_code=ExitCode.NODES, reason=f"Ansible ended early: {said}")
        return self._ending_of_teardown()

    def _ending_on_request(self, reason: str) -> Ending:
        """For a run that the user, its limit or the loss of its nodes cut short."""
        if reason == "timeout":
            if self.facts.launched and not self.facts.prepared:
                limit = format_duration(preparation_limit(self._plan))
                reason = f"the nodes were not prepared within {limit}"
                return Ending(status="failed", exit_code=ExitCode.NODES, reason=reason)
            limit = format_duration(self._plan.limit)
            return Ending(status="failed", exit_code=ExitCode.BENCHMARK, reason=f"not done within its limit of {limit}")
        loss = self._control.loss
        if reason == "lost" and loss is not None:
            return Ending(status="failed", exit_code=loss.exit_code, reason=loss.reason)
        return Ending(status="interrupted", exit_code=ExitCode.INTERRUPTED, reason=_INTERRUPTED[reason])

    def _ending_of_teardown(self) -> Ending:
        facts = self.facts
        if facts.cleanup_failures:
            return Ending(status="failed", exit_code=ExitCode.BENCHMARK, reason="a cleanup stage failed")
        if facts.not_cleaned:
            who = ", ".join(sorted(facts.not_cleaned))
            reason = f"teardown failed on {who}; what is left there ends with its lease"
            return Ending(status="failed", exit_code=ExitCode.NODES, reason=reason)
        return Ending(status="success", exit_code=ExitCode.SUCCESS, reason=None)

    def _ident(self, name: str) -> str:
        """A name for a launch that no earlier one of this run has."""
        taken = {path.name for path in self._folder.artifacts.glob(f"{name}*")}
        return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in taken)

    def _launch(self, playbook: str, ident: str, *, failed: bool = False) -> Translator:
        """Runs a playbook; ``failed`` tells it that the stages were broken off, so that what still runs is ended."""
        self._journal.write("launch", playbook=playbook, ident=ident)
        early, self._early = self._early, None
        translator = self._translator() if early is None else early[1]
        try:
            if early is not None:
                done = early[0].finish(self._control.cancelled)
            else:
                inventories = [self._folder.inventory, *([self._mark_failed(ident)] if failed else [])]
                done = self._run(self._what(playbook, ident, inventories), translator, self._control.cancelled)
        finally:
            translator.end()
            if not translator.stats:
                # It was killed or broke: its workers and their connections may live on and disturb what comes next.
                sweep.sweep(self._folder.run_id)
        self._journal.write("launched", playbook=playbook, status=done.status, rc=done.rc, stats=translator.stats)
        return translator

    def _translator(self) -> Translator:
        return Translator(
            self._plan,
            self._journal.write,
            on_notice=self._on_notice,
            on_stages=self._on_stages,
            on_teardown=self._on_teardown,
        )

    def _what(self, playbook: str, ident: str, inventories: Sequence[Path]) -> Launch:
        run_id = self._folder.run_id
        environment = ansible_environment(
            self._ansible.environ,
            run_id=run_id,
            control_path_dir=str(sweep.make_control_path_dir(run_id)),
            passed=self._ansible.passed,
            cwd=self._ansible.cwd,
        )
        return Launch(
            playbook=playbook,
            artifacts=self._artifacts(ident),
            inventories=inventories,
            environment={**environment, **self._secrets.environment()},
            arguments=self._ansible.arguments,
        )

    def _run(self, what: Launch, translator: Translator, cancelled: Callable[[], bool]) -> Launched:
        return launch(self._folder, what, on_event=translator.feed, redact=self._secrets.redact, cancelled=cancelled)

    def _artifacts(self, ident: str) -> Path:
        """Where a launch leaves what it has to write: where nothing can be written any more, in a folder for the time.

        Teardown needs little room, and must not fail for want of it.
        """
        path = self._folder.artifacts / ident
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / ".room").write_bytes(bytes(_ROOM))
            (path / ".room").unlink()
        except OSError:
            if not self._temporary:
                self._temporary.append(Path(tempfile.mkdtemp(prefix="benchhub-artifacts-")))
            path = self._temporary[0] / ident
            path.mkdir(exist_ok=True)
        return path

    def _mark_failed(self, ident: str) -> Path:
        """A second inventory that puts every slot into the group that a failing stage would have put it into."""
        path = self._artifacts(ident) / "failed.yml"
        hosts: dict[str, dict[str, str]] = {slot.name: {} for slot in self._plan.slots}
        self._folder.write(path, json.dumps({FAILED_GROUP: {"hosts": hosts}}, indent=2) + "\n")
        return path

    def _on_stages(self) -> None:
        self.facts.prepared = True
        self._control.limit(self._plan.limit)

    def _on_teardown(self) -> None:
        if not self._teardown_told:
            self._teardown_told = True
            self._journal.write("teardown-begin")
        self._control.enter_teardown(self._plan.teardown_limit)

    def _note_teardown(self, translator: Translator) -> None:
        facts = self.facts
        facts.teardown_ended = translator.stats and translator.teardown_begun
        facts.cleanup_failures += translator.cleanup_failures
        facts.not_cleaned = set(translator.finish_failed)
        if not facts.teardown_ended and translator.teardown_begun:
            facts.not_cleaned = {slot.name for slot in self._plan.slots}
        if facts.teardown_ended:
            self._journal.write("teardown-end", not_cleaned=sorted(facts.not_cleaned))


def _first(*, and_teardown: bool) -> tuple[str, str]:
    """The playbook of a run's first launch, and the name its artifacts get."""
    return WHOLE if and_teardown else STAGES, "run"
