"""What did not come home from the nodes, as warnings: a number may rest on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchhub_ansible.plan.model import Plan
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import StageRun
from benchhub_ansible.results.record import RunRecord

#: The actions that bring files home.
_BRINGING = frozenset({"collect", "finish"})
_NOT_BEGUN = frozenset({"not-run", "skipped"})


def losses(record: RunRecord, plan: Plan, stages: tuple[StageRun, ...]) -> Iterator[str]:
    """A sentence for each file, output or pattern that was wanted and is not there, or not whole."""
    for (slot, unit), status in record.statuses.items():
        if warning := fields.text(status.get("warning")):
            yield f"{slot}: {unit}: {warning}"
    wanted = _wanted(plan, stages)
    found: dict[str, None] = {}
    for event, slot, told in record.slot_results():
        if event.get("op") in _BRINGING:
            found.update(dict.fromkeys(_of_slot(slot, told, wanted.get(slot, {}))))
    yield from found


def _of_slot(slot: str, told: Mapping[str, Any], wanted: Mapping[re.Pattern[str], str]) -> Iterator[str]:
    for text in _texts(told, "lost"):
        yield f"{slot}: lost: {text}"
    for text in _texts(told, "cut"):
        yield f"{slot}: left out: {text}, of which the beginning and the end are here"
    for text in _texts(told, "unreadable"):
        yield f"{slot}: not collected: {text}"
    for pattern in _texts(told, "missing"):
        for regex, task in wanted.items():
            if regex.fullmatch(pattern):
                yield f"{slot}: not collected: nothing matched {pattern!r}, which task {task!r} names"
                break
    if told.get("status") == "unreachable":
        yield f"{slot}: not collected: the node could not be reached"
    elif told.get("status") != "ok":
        yield f"{slot}: not collected: {fields.text(told.get('error')) or 'the node did not answer'}"


def _texts(told: Mapping[str, Any], key: str) -> Iterator[str]:
    return (str(item) for item in fields.sequence(told.get(key)))


def _wanted(plan: Plan, stages: tuple[StageRun, ...]) -> dict[str, dict[re.Pattern[str], str]]:
    """Slot → what the tasks there wanted of stages that began; a reference in a pattern stands for anything."""
    begun = {stage.id for stage in stages if stage.status not in _NOT_BEGUN}
    found: dict[str, dict[re.Pattern[str], str]] = {}
    for stage in (*plan.stages(), *plan.cleanup):
        for task in stage.tasks if stage.id in begun else ():
            for pattern in task.collect:
                parts = re.split(r"\$\{[^}]*\}", pattern)
                regex = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
                for slot in stage.slots:
                    found.setdefault(slot, {}).setdefault(regex, task.name)
    return found
