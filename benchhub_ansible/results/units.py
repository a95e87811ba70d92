"""Which unit of the supervisor a task runs in, and what the unit's status says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchhub_ansible.plan.model import PlannedStage, PlannedTask
from benchhub_ansible.plan.segments import segments, unit_names
from benchhub_ansible.results import fields

_OUTPUT_NAME = re.compile(r"[0-9A-Za-z_-]+\.(?:out|err)")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit as planned: the tasks of a steps segment, or one service."""

    name: str
    tasks: tuple[PlannedTask, ...]
    service: bool


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """What a unit's status says of one step; ``stdout`` and ``stderr`` are bare file names."""

    name: str | None
    state: str
    start: float | None = None
    end: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    attempts: int | None = None
    error: str | None = None
    tail: tuple[str, ...] = ()
    stdout: str | None = None
    stderr: str | None = None


def stage_units(stage: PlannedStage) -> Iterator[Unit]:
    """The units of a stage in order: ``<stage id>``, ``<stage id>.2``, … for steps; a service's has its name."""
    for tasks, name in zip(segments(stage), unit_names(stage), strict=True):
        if name is not None:
            yield Unit(name=name, tasks=tasks, service=tasks[0].long)


def output_name(value: Any, default: str) -> str:
    """A file name from a status, or the default when it is none: a node must not choose which file we read."""
    return value if isinstance(value, str) and _OUTPUT_NAME.fullmatch(value) else default


def step_statuses(status: Mapping[str, Any]) -> tuple[StepStatus, ...]:
    """The steps of a unit's status in order."""
    steps = []
    for number, raw in enumerate(fields.sequence(status.get("steps")), 1):
        step = fields.mapping(raw)
        steps.append(
            StepStatus(
                name=fields.text(step.get("name")),
                state=fields.text(step.get("state")) or "unknown",
                start=fields.number(step.get("start")),
                end=fields.number(step.get("end")),
                exit_code=fields.integer(step.get("rc")),
                signal=fields.integer(step.get("signal")),
                attempts=fields.integer(step.get("attempts")),
                error=fields.text(step.get("error")),
                tail=fields.lines(step.get("tail")),
                stdout=output_name(step.get("stdout"), f"{number:02}.out"),
                stderr=output_name(step.get("stderr"), f"{number:02}.err"),
            )
        )
    return tuple(steps)


def steps_of_tasks(unit: Unit, status: Mapping[str, Any]) -> dict[str, tuple[StepStatus, ...]]:
    """The steps of each task by task id: one to one when the numbers agree, else by name."""
    steps = step_statuses(status)
    if len(steps) == len(unit.tasks):
        return {task.id: (step,) for task, step in zip(unit.tasks, steps, strict=True)}
    found: dict[str, list[StepStatus]] = {}
    position = 0
    for step in steps:
        for index in range(position, len(unit.tasks)):
            if step.name in (unit.tasks[index].name, unit.tasks[index].id):
                position = index
                break
        if unit.tasks:
            found.setdefault(unit.tasks[position].id, []).append(step)
    return {task: tuple(steps) for task, steps in found.items()}
