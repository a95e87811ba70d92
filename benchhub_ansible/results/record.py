"""The RunRecord: a run folder in memory. A Result is a pure function of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchhub_ansible.plan.model import Plan
from benchhub_ansible.results import fields

if TYPE_CHECKING:
    from benchhub_ansible.results.model import Clock


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an extractor found: a finite value, or None and the reason why there is none."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the controller says that the run ended: its ``run-end`` event, or what it is about to write there."""

    status: str
    exit_code: int | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run folder in memory; every part may be missing.

    ``statuses`` and ``readings`` are what collected files and, where these are missing, the journal's actions say, by
    (slot, unit) and (slot, task id, metric name). ``tails`` holds the last lines of collected outputs, ``paths`` which
    files the folder has, both by path relative to it.
    """

    run_id: str
    plan: Plan | None
    events: tuple[Mapping[str, Any], ...] = ()
    running: bool = False
    statuses: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    readings: Mapping[tuple[str, str, str], Reading] = field(default_factory=dict)
    tails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    ending: Ending | None = None
    problems: tuple[str, ...] = ()

    def named(self, *names: str) -> Iterator[Mapping[str, Any]]:
        """The events of these names in order."""
        return (event for event in self.events if event.get("event") in names)

    def first(self, *names: str) -> Mapping[str, Any]:
        """The first event of these names, or an empty one."""
        return next(self.named(*names), {})

    @cached_property
    def broken_off(self) -> float | None:
        """When the end was asked for, or a controller that nobody asked was heard of last; None while it lives."""
        asked = fields.number(self.first("stop-asked").get("t"))
        if asked is not None:
            return asked
        ended = self.ending is not None and not self.first("recover-begin")
        if self.running or ended:
            return None
        heard = itertools.takewhile(lambda event: event.get("event") != "recover-begin", self.events)
        return max((time for event in heard if (time := fields.number(event.get("t"))) is not None), default=None)

    @cached_property
    def stage_events(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """The first ``stage-begin`` and ``stage-end`` of every stage, by (event, stage id)."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for event in self.named("stage-begin", "stage-end"):
            found.setdefault((str(event["event"]), str(event.get("stage"))), event)
        return found

    @cached_property
    def ansible_tasks(self) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
        """The ``ansible-task`` events of every host in order."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for event in self.named("ansible-task"):
            found.setdefault(str(event.get("host")), []).append(event)
        return {host: tuple(events) for host, events in found.items()}

    @cached_property
    def refused(self) -> Mapping[tuple[str, str], tuple[str, float | None]]:
        """Error and time, by (slot, unit), of units that ended well and yet are no good: they started late."""
        found: dict[tuple[str, str], tuple[str, float | None]] = {}
        for event, slot, told in self.slot_results():
            units = fields.mapping(told.get("units"))
            well = all(fields.mapping(status).get("state") in ("ok", "stopped") for status in units.values())
            if told.get("status") == "failed" and well and not told.get("services"):
                error = fields.text(told.get("error")) or "failed"
                found |= {(slot, unit): (error, fields.number(event.get("t"))) for unit in units}
        return found

    def slot_results(self) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
        """Every (action event, slot, what the action says of that slot), in order."""
        for event in self.named("action"):
            for slot, told in fields.mapping(event.get("hosts")).items():
                yield event, slot, fields.mapping(told)

    def clocks(self) -> Mapping[str, Clock]:
        """The clock of each slot, as last measured."""
        from benchhub_ansible.results.model import Clock  # noqa: PLC0415 - a run needs records long before results

        found: dict[str, Clock] = {}
        for _event, slot, told in self.slot_results():
            clock = fields.mapping(told.get("clock"))
            if clock:
                offset, uncertainty = fields.number(clock.get("offset")), fields.number(clock.get("uncertainty"))
                found[slot] = Clock(offset=offset, uncertainty=uncertainty)
        return found


#: A unit in one of these states will not change any more.
FINAL_STATES = frozenset({"ok", "failed", "stopped", "killed"})


def merge_statuses(
    events: tuple[Mapping[str, Any], ...], collected: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The newest status of every unit: the collected file, unless only the journal knows how the unit ended."""
    merged: dict[tuple[str, str], Mapping[str, Any]] = {}
    for _event, slot, told in RunRecord(run_id="", plan=None, events=events).slot_results():
        for source in ("units", "services"):
            for unit, status in fields.mapping(told.get(source)).items():
                if isinstance(status, Mapping):
                    merged[slot, unit] = {**merged.get((slot, unit), {}), **fields.mapping(status)}
    for key, status in collected.items():
        told = merged.get(key, {})
        if status.get("state") in FINAL_STATES or told.get("state") not in FINAL_STATES:
            merged[key] = {**told, **status}
    return merged
