"""The names by which playbooks, inventory and events speak of the same things: groups, plays, tasks, files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.plan.segments import segments

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


def play_stages(plan: Plan) -> Mapping[str, str]:
    """Play name → stage id, for every play that belongs to one stage."""
    return {
        play_name(stage, part): stage.id
        for stage in (*plan.stages(), *plan.cleanup)
        for part in range(1, 2 + sum(1 for _ in segments(stage)))
    }
