"""Parts of stages: what the default profile hands over whole, and how a part is told, found and ordered."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchhub_ansible.plan.background import why_in_place
from benchhub_ansible.plan.limits import task_limit
from benchhub_ansible.plan.model import PlannedStage, PlannedTask
from benchhub_ansible.plan.segments import segments, unit_names
from benchhub_ansible.playbook.plays import Data, shown_line

#: Seconds that a unit may take beyond the sum of its tasks' limits before the node ends it.
_DEADLINE_MARGIN = 30
#: Where Ansible keeps the results of its async jobs on a node: a folder that only the supervisor's user and its login
#: user can read, and that goes with the run.
_ASYNC_DIR = "{{ benchhub_run_dir }}/.async"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A segment of a stage with the unit it runs as, and which part of its stage it is, from 1."""

    stage: PlannedStage
    tasks: tuple[PlannedTask, ...]
    unit: str | None
    number: int

    @property
    def kind(self) -> str:
        """``steps``, ``service``, ``ansible`` (in place), or ``job``: an async job, and the steps that follow it."""
        first = self.tasks[0]
        if first.ansible:
            return "ansible" if first.in_place else "job"
        return "service" if first.long else "steps"

    @property
    def deadline(self) -> int:
        """Seconds after which the node ends what runs of it."""
        return math.ceil(sum(map(task_limit, self.tasks))) + _DEADLINE_MARGIN


def parts(stage: PlannedStage) -> list[Part]:
    """The segments of a stage in order."""
    pairs = zip(segments(stage), unit_names(stage), strict=True)
    return [Part(stage=stage, tasks=tasks, unit=unit, number=n) for n, (tasks, unit) in enumerate(pairs, 1)]


def keywords(*parts: Part) -> Data:
    """Of a play in which Ansible runs something itself: how the supervisor finds that when the run is broken off."""
    kinds = {part.kind for part in parts}
    found: Data = {}
    if kinds & {"ansible", "job"}:
        found["environment"] = {"BENCHHUB_UNIT": "{{ benchhub_run_id }}/{{ inventory_hostname }}/~ansible"}
    if "job" in kinds:
        found["vars"] = {"ansible_async_dir": _ASYNC_DIR}
    return found


def how(part: Part) -> tuple[str, ...]:
    """What the header says of a task that Ansible runs itself in a parallel group: whether others wait for it."""
    task = part.tasks[0]
    if part.kind == "job":
        return (f'Its task "{shown_line(task.name)}" runs as an async job beside the other stages.',)
    if part.kind == "ansible":
        told = f'Its task "{shown_line(task.name)}" runs in place, and what starts after it has to wait:'
        return (told, f"{why_in_place(part.stage, task)}.")
    return ()


def order(part: Part) -> tuple[int, float]:
    """Within a wave: what goes on in the background comes first, what Ansible runs in place comes last.

    Of steps those that may take longest come first: each start costs some 50 ms, which a shorter stage can spare. An
    async job is started by Ansible, which takes longer.
    """
    kind = {"steps": 1 if part.stage.together else 0, "job": 2, "service": 3, "ansible": 4}[part.kind]
    return kind, -part.deadline if part.kind in ("steps", "job") else 0
