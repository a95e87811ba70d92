"""The state of every stage on every slot, as the journal tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchhub_ansible.plan.model import Plan, PlannedStage
from benchhub_ansible.plan.segments import unit_names

#: Above so many slots a column stands for a node type.
_MOST_COLUMNS = 8

_ENDED = {"ok": "ok", "failed": "failed", "stopped": "ok", "killed": "failed"}
MARKS = {"waiting": "·", "running": "…", "ok": "ok", "failed": "FAILED", "interrupted": "stopped"}


@dataclass
class Row:
    """One stage: since when, until when, and its state on each slot."""

    stage: PlannedStage
    begun: float | None = None
    ended: float | None = None
    cells: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The stage's state: the worst of its slots."""
        states = set(self.cells.values())
        return next((s for s in ("failed", "interrupted", "running", "waiting") if s in states), "ok")


class Board:
    """Stages by slots, fed with journal events in order."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        stages = (*plan.stages(), *plan.cleanup)
        self.rows = {s.id: Row(stage=s, cells=dict.fromkeys(s.slots, "waiting")) for s in stages}
        self._stage_of_unit = {unit: s.id for s in stages for unit in unit_names(s) if unit}
        self._last_unit = {s.id: next((u for u in reversed(unit_names(s)) if u), None) for s in stages}
        self.doing = "starting"

    def feed(self, event: Mapping[str, Any]) -> None:
        """Takes one event."""
        name = event.get("event")
        row = self.rows.get(str(event.get("stage")))
        if name == "stage-begin" and row:
            row.begun = event["t"]
            row.cells = dict.fromkeys(row.cells, "running")
            self.doing = "running"
        elif name == "stage-end" and row:
            row.ended = event["t"]
            end = str(event.get("status"))
            row.cells = {s: (end if c == "running" or end == "ok" else c) for s, c in row.cells.items()}
            if end == "failed" and row.state != "failed":
                row.cells = dict.fromkeys(row.cells, "failed")
        elif name == "action":
            self._units(event)
        else:
            self.doing = _DOING.get(str(name), self.doing)

    def _units(self, event: Mapping[str, Any]) -> None:
        hosts = event.get("hosts")
        for slot, told in hosts.items() if isinstance(hosts, Mapping) else ():
            units = told.get("units") if isinstance(told, Mapping) else None
            for unit, status in units.items() if isinstance(units, Mapping) else ():
                stage = self._stage_of_unit.get(unit, "")
                state = _ENDED.get(str(status.get("state")) if isinstance(status, Mapping) else "")
                row = self.rows.get(stage)
                if row is None or state is None or row.cells.get(slot) != "running":
                    continue
                if state == "failed" or unit == self._last_unit[stage]:
                    row.cells[slot] = state

    def columns(self) -> tuple[str, ...]:
        """The slots, or where these are many the node types."""
        slots = [slot.name for slot in self._plan.slots]
        if len(slots) <= _MOST_COLUMNS:
            return tuple(slots)
        return tuple(dict.fromkeys(slot.type for slot in self._plan.slots))

    def cells(self, row: Row) -> Iterator[str]:
        """What a row says in each column: a state, or of a type ``ok 99/100``."""
        type_of = {slot.name: slot.type for slot in self._plan.slots}
        for column in self.columns():
            if column in row.cells or column in type_of:
                yield MARKS[row.cells[column]] if column in row.cells else ""
                continue
            states = [state for slot, state in row.cells.items() if type_of[slot] == column]
            worst = next((s for s in ("failed", "interrupted", "running", "waiting", "ok") if s in states), None)
            yield f"{MARKS[worst]} {states.count(worst)}/{len(states)}" if worst else ""


_DOING = {
    "acquire-intent": "acquiring nodes",
    "acquired": "starting Ansible",
    "stop-asked": "ending in order (once more to hurry)",
    "teardown-begin": "tearing down",
    "teardown-end": "torn down",
    "release-intent": "giving the nodes back",
    "run-end": "ended",
    "kept": "kept",
}
