"""The parts of a stage that are handed over whole, and the units of the supervisor that they run as."""

from __future__ import annotations

from collections.abc import Iterator

from benchhub_ansible.plan.model import PlannedStage, PlannedTask


def segments(stage: PlannedStage) -> Iterator[tuple[PlannedTask, ...]]:
    """A service, a task that Ansible runs in place, or steps in a row; a module in the background may lead them."""
    steps: list[PlannedTask] = []
    for task in stage.tasks:
        alone = task.long or task.in_place
        if steps and (alone or task.background):
            yield tuple(steps)
            steps = []
        if alone:
            yield (task,)
        else:
            steps.append(task)
    if steps:
        yield tuple(steps)


def unit_names(stage: PlannedStage) -> tuple[str | None, ...]:
    """The unit of each segment: ``<stage id>``, ``<stage id>.2`` …, a service's name; None where Ansible runs it."""
    names: list[str | None] = []
    counted = 0
    for segment in segments(stage):
        first = segment[0]
        if first.in_place:
            names.append(None)
        elif first.long:
            names.append(first.service)
        else:
            counted += 1
            names.append(stage.id if counted == 1 else f"{stage.id}.{counted}")
    return tuple(names)
