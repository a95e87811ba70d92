"""What became of the long-running tasks."""

from __future__ import annotations

from benchhub_ansible.plan.model import Plan, PlannedTask
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Clock, Service
from benchhub_ansible.results.record import RunRecord


def services(record: RunRecord, plan: Plan) -> tuple[Service, ...]:
    """One row per service and slot, in the order they start; one whose stage never began is ``not-run``."""
    clocks = record.clocks()
    return tuple(
        _service(record, stage.id, task, slot, clocks.get(slot, Clock()))
        for stage, task in plan.services()
        for slot in stage.slots
    )


def _service(record: RunRecord, stage: str, task: PlannedTask, slot: str, clock: Clock) -> Service:
    name = task.service or task.id
    status = record.statuses.get((slot, name))
    if status is None:
        begun = ("stage-begin", stage) in record.stage_events
        return Service(name=name, stage=stage, task=task.id, slot=slot, state="unknown" if begun else "not-run")
    log = f"collected/{slot}/units/{name}/01.out"
    state = fields.text(status.get("state")) or "unknown"
    told = fields.flag(status.get("told"))
    return Service(
        name=name,
        stage=stage,
        task=task.id,
        slot=slot,
        state=state,
        start=clock.corrected(fields.number(status.get("start"))),
        end=clock.corrected(fields.number(status.get("end"))),
        ready_after=_ready_after(record, slot, name, status.get("ready")),
        exit_code=fields.integer(status.get("exit")),
        signal=fields.integer(status.get("signal")),
        told=told,
        died=state == "failed" and told is not True,
        error=fields.text(status.get("error")),
        log=log if log in record.paths else None,
    )


def _ready_after(record: RunRecord, slot: str, name: str, ready: object) -> float | None:
    """Seconds until the ready check passed: of the status, else of the wait_for action that named the service."""
    told = fields.number(fields.mapping(ready).get("elapsed"))
    if told is not None:
        return told
    for event, host, result in record.slot_results():
        if host == slot and name in (event.get("title"), event.get("service")) and result.get("state") == "ready":
            return fields.number(result.get("elapsed"))
    return None
