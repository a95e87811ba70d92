"""ansible-runner's events as events of the journal.

Shapes: ``playbook_on_play_start`` and ``runner_on_*`` of ansible-runner's display callback; results of our actions
carry ``benchhub: {version, op, hosts}`` (docs/reference/run-folder.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from benchhub_ansible.plan.model import Plan
from benchhub_ansible.plan.segments import unit_names
from benchhub_ansible.playbook.names import play_stages, shown

Write = Callable[..., object]

_STATUS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
    "runner_item_on_failed": "failed",
}
_KEPT_LINES = 15
_ERROR = re.compile(r"\[?ERROR\b|[\w-]+: error: ")
#: Lines that are kept of an error of Ansible itself, the first of them the error.
_ERROR_LINES = 5
_MESSAGE_LIMIT = 4000


class Translator:
    """Follows the plays of one launch and writes stage, action and task events."""

    def __init__(
        self,
        plan: Plan,
        write: Write,
        *,
        on_notice: Callable[[str], None],
        on_stages: Callable[[], None],
        on_teardown: Callable[[], None],
    ) -> None:
        self._on_stages = on_stages
        self._on_teardown = on_teardown
        self._plan = plan
        self._stage_of_play = play_stages(plan)
        every = (*plan.stages(), *plan.cleanup)
        self._stage_of_unit = {unit: stage.id for stage in every for unit in unit_names(stage) if unit}
        self._stage_of_title = {shown(stage.title): stage.id for stage in every}
        self._write = write
        self._on_notice = on_notice
        self._open: dict[str, str] = {}  # stage id → its status so far
        self._group_of = {stage.id: group.number for group in plan.groups for stage in group.stages}
        self._cleanup = frozenset(stage.id for stage in plan.cleanup)
        self._seen: set[str] = set()
        self._coming: str | None = None  # the stage of the play that runs
        self.teardown_begun = False
        self.stats = False
        self.unreachable: set[str] = set()
        self.failures = 0  # of stages
        self.cleanup_failures = 0
        self.finish_failed: set[str] = set()  # slots that may still hold something of ours
        self._erred = False
        self.last_lines: list[str] = []

    def feed(self, event: Mapping[str, Any]) -> None:
        """Takes one event of ansible-runner."""
        kind, data = event.get("event"), event.get("event_data") or {}
        if kind == "playbook_on_play_start":
            self._play(str(data.get("name", "")), str(data.get("playbook", "")))
        elif kind == "playbook_on_task_start":
            self._begin()  # only now: a play whose hosts have all failed starts as well, and then does nothing
        elif kind in _STATUS:
            self._result(_STATUS[str(kind)], data)
        elif kind == "playbook_on_stats":
            self._close_all()
            self.stats = True
        elif kind == "verbose":
            self._output(str(event.get("stdout", "")))

    def end(self) -> None:
        """Closes the stages that a cancelled launch left open."""
        self._close_all(interrupted=True)

    def _play(self, name: str, playbook: str) -> None:
        stage = self._coming = self._stage_of_play.get(name)
        if stage in self._group_of:
            self._close_others(self._group_of[stage])
        elif stage in self._cleanup or _is_teardown(name, playbook) or self.teardown_begun:
            self._teardown()
            self._close_all()

    def _teardown(self) -> None:
        if not self.teardown_begun:
            self._close_all()
            self.teardown_begun = True
            self._on_teardown()

    def _begin(self) -> None:
        stage = self._coming
        if stage is not None and stage not in self._seen:
            if not self._seen and not self.teardown_begun:
                self._on_stages()
            self._seen.add(stage)
            self._open[stage] = "ok"
            slots = next(s.slots for s in (*self._plan.stages(), *self._plan.cleanup) if s.id == stage)
            self._write("stage-begin", stage=stage, slots=list(slots))

    def _close_others(self, group: int) -> None:
        for stage in [s for s in self._open if self._group_of.get(s) != group]:
            self._end(stage)

    def _close_all(self, *, interrupted: bool = False) -> None:
        for stage in list(self._open):
            self._end(stage, interrupted=interrupted)

    def _end(self, stage: str, *, interrupted: bool = False) -> None:
        status = self._open.pop(stage)
        self._write("stage-end", stage=stage, status="interrupted" if interrupted and status == "ok" else status)

    def _result(self, status: str, data: Mapping[str, Any]) -> None:
        res = data.get("res") or {}
        told = res.get("benchhub")
        play, task = str(data.get("play", "")), str(data.get("task", ""))
        failed = status in ("failed", "unreachable") and not data.get("ignore_errors")
        if failed:
            self._count(play)
        if isinstance(told, Mapping) and isinstance(told.get("hosts"), Mapping):
            self._action(play, task, told, failed=failed, res=res, data=data)
        elif play in self._stage_of_play or (failed and not self.teardown_begun):
            self._ansible_task(play, task, status, failed=failed, res=res, data=data)

    def _count(self, play: str) -> None:
        if not self.teardown_begun:
            self.failures += 1
        elif self._stage_of_play.get(play) in self._cleanup:
            self.cleanup_failures += 1

    def _action(
        self,
        play: str,
        task: str,
        told: Mapping[str, Any],
        *,
        failed: bool,
        res: Mapping[str, Any],
        data: Mapping[str, Any],
    ) -> None:
        hosts: Mapping[str, Any] = told["hosts"]
        if not self.teardown_begun:
            self.unreachable.update(
                h for h, v in hosts.items() if isinstance(v, Mapping) and v.get("status") == "unreachable"
            )
        if told.get("op") == "finish":
            self.finish_failed = {h for h, v in hosts.items() if isinstance(v, Mapping) and v.get("status") != "ok"}
        units = [pair for host in hosts.values() if isinstance(host, Mapping) for pair in _units(host)]
        names = {unit for unit, _status in units}
        if failed:
            self._mark_failed(play, task, {unit for unit, status in units if status.get("state") == "failed"})
        extra = {key: told[key] for key in told if key not in ("version", "op", "hosts")}
        self._write(
            "action",
            **{"unit": next(iter(names)) if len(names) == 1 else None, **extra},
            playbook=_short(str(data.get("playbook", ""))),
            play=play,
            task=task,
            op=told.get("op"),
            stage=self._stage_of_play.get(play),
            hosts=hosts,
            failed=failed,
            msg=_message(res),
        )

    def _ansible_task(
        self, play: str, task: str, status: str, *, failed: bool, res: Mapping[str, Any], data: Mapping[str, Any]
    ) -> None:
        if status == "unreachable" and not self.teardown_begun:
            self.unreachable.add(str(data.get("host", "")))
        if failed:
            self._mark_failed(play, task)
        if status == "ok" and res.get("ansible_job_id") and not res.get("finished"):
            status = "started"  # an async job: how it ends is told by the unit that watches it
        self._write(
            "ansible-task",
            playbook=_short(str(data.get("playbook", ""))),
            play=play,
            task=task,
            host=data.get("host"),
            status=status,
            rc=res.get("rc"),
            msg=_message(res) if failed else None,
            duration=data.get("duration"),
            stage=self._stage_of_play.get(play),
            path=_short(str(data.get("task_path", ""))),
        )

    def _mark_failed(self, play: str, task: str, units: Iterable[str] = ()) -> None:
        """Marks the stage of the play; in a join the stages of the units or of the task's name; else every open one."""
        stage = self._stage_of_play.get(play) or self._stage_of_title.get(task.split(" | ", 1)[0])
        stages = {stage} if stage else {self._stage_of_unit.get(unit, "") for unit in units}
        for name in stages & self._open.keys() or set(self._open):
            self._open[name] = "failed"

    def _output(self, line: str) -> None:
        clean = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).strip()
        if clean.startswith("benchhub: "):
            self._on_notice(clean.removeprefix("benchhub: "))
        elif clean and self._erred:
            self.last_lines = [*self.last_lines, clean][:_ERROR_LINES]
        elif _ERROR.match(clean):
            # what follows explains it, or is the help of all options: the error itself must not be pushed out
            self._erred, self.last_lines = True, [clean]
        elif clean:
            self.last_lines = [*self.last_lines, clean][-_KEPT_LINES:]


def _units(host: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    units = host.get("units")
    for unit, status in units.items() if isinstance(units, Mapping) else ():
        yield str(unit), status if isinstance(status, Mapping) else {}


def _is_teardown(play: str, playbook: str) -> bool:
    return play.lower().startswith("teardown") or playbook.endswith("teardown.yml")


def _short(path: str) -> str:
    """The path below ``project/``: the rest of it says nothing."""
    return path.rsplit("/project/", 1)[-1]


def _message(res: Mapping[str, Any]) -> str:
    """What a failed task says for itself, with the last lines of what it printed."""
    parts = [str(res.get(key, "")).strip() for key in ("msg", "stderr", "module_stderr")]
    return "\n".join(dict.fromkeys(part for part in parts if part))[-_MESSAGE_LIMIT:]
