"""The names by which playbooks, inventory and events speak of the same things: groups, plays, tasks, files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask

#: Every slot, in the order of the plan.
ALL_GROUP = "benchhub"
#: Slots of a run that has failed: every play of a stage leaves them out.
FAILED_GROUP = "benchhub_failed"

#: Longest list of step names in a task's name; beyond that it is cut.
_LISTED = 90


def group_name(name: str) -> str:
    """The inventory group of a node type or node name: Ansible wants an identifier, ``my-db`` → ``my_db``."""
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned


def host_patterns(plan: Plan, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """What a play's ``hosts`` says for the types and node names of a stage: slots as they are, the rest as groups."""
    slots = {slot.name for slot in plan.slots}
    return tuple(name if name in slots else group_name(name) for name in hosts)


def shown(text: str) -> str:
    """A name for plays and tasks: one line, a capital first, and nothing that Ansible would take for an expression."""
    line = one_line(text)
    return line[:1].upper() + line[1:] if line else "Unnamed"


def one_line(text: str) -> str:
    """A text within a name: as shown, without the capital."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split()).translate({ord("{"): "(", ord("}"): ")"})


def play_name(stage: PlannedStage, part: int = 1) -> str:
    """The name of a stage's play; a stage that needs several plays numbers them from 2."""
    return shown(stage.title) if part == 1 else f"{shown(stage.title)} (part {part})"


def task_name(stage: PlannedStage, what: str) -> str:
    """``Load | xb --target=…``: the stage and what is done."""
    return f"{shown(stage.title)} | {one_line(what)}"


def listed(tasks: tuple[PlannedTask, ...]) -> str:
    """The names of several tasks in one line, cut where it gets long."""
    text = ""
    for number, task in enumerate(tasks):
        name = one_line(task.name) or task.id
        if text and len(text) + len(name) > _LISTED:
            return f"{text} and {len(tasks) - number} more"
        text = f"{text}, then {name}" if text else name
    return text[: 2 * _LISTED]


def segments(stage: PlannedStage) -> Iterator[tuple[PlannedTask, ...]]:
    """The parts of a stage that are handed over whole: a service, an Ansible-run task, or steps in a row."""
    steps: list[PlannedTask] = []
    for task in stage.tasks:
        if task.long or task.ansible:
            if steps:
                yield tuple(steps)
                steps = []
            yield (task,)
        else:
            steps.append(task)
    if steps:
        yield tuple(steps)


def unit_names(stage: PlannedStage) -> tuple[str | None, ...]:
    """The unit of each segment: ``<stage id>``, ``<stage id>.2`` …, a service's name; None when Ansible runs it."""
    names: list[str | None] = []
    counted = 0
    for segment in segments(stage):
        if segment[0].ansible:
            names.append(None)
        elif segment[0].long:
            names.append(segment[0].service)
        else:
            counted += 1
            names.append(stage.id if counted == 1 else f"{stage.id}.{counted}")
    return tuple(names)


def play_stages(plan: Plan) -> Mapping[str, str]:
    """Play name → stage id, for every play that belongs to one stage."""
    return {
        play_name(stage, part): stage.id
        for stage in (*plan.stages(), *plan.cleanup)
        for part in range(1, 2 + sum(1 for _ in segments(stage)))
    }
