"""What became of the long-running tasks."""

from __future__ import annotations

from collections.abc import Mapping

from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Clock, Service, StageRun
from benchhub_ansible.results.record import RunRecord

#: Seconds by which Ansible's word that a task of its own has ended may be late, on a busy controller.
_EVENT_LAG = 5.0


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
        stop_at=clock.corrected(fields.number(status.get("stop_at"))),
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


def lost_services(
    record: RunRecord, plan: Plan, stages: tuple[StageRun, ...], services: tuple[Service, ...]
) -> dict[str, Service]:
    """By stage id, a service that the stage could count on and that was on its way out before the stage was over.

    Whoever ended it: itself, somebody on the node, or the node when its lease ran out. Services that a turn of a block
    has stopped in order are none of the stages' that follow.
    """
    runs = {stage.id: stage for stage in stages}
    clocks = record.clocks()
    found: dict[str, Service] = {}
    up: set[str] = set()
    for group in plan.groups:
        up |= {task.service or task.id for stage in group.stages for task in stage.tasks if task.long}
        here = tuple(service for service in services if service.name in up)
        for stage in group.stages:
            lost = next((service for service in here if _was_lost(service, stage, runs[stage.id], clocks)), None)
            if lost is not None:
                found[stage.id] = lost
        up -= set(group.stops)
    return found


def _was_lost(service: Service, stage: PlannedStage, run: StageRun, clocks: Mapping[str, Clock]) -> bool:
    if run.start is None:
        return False
    leaving, needed = service.stop_at or service.end, _needed_until(stage, run)
    if service.died:  # one that died before the stage was not there for the stage at all
        return run.end is None or leaving is None or leaving <= run.end
    if leaving is None or needed is None:
        return False
    # It was told to end, as every service is at last: only clocks that agree can say that it was too early.
    worst = max((clocks.get(slot, Clock()).uncertainty or 0.0 for slot in run.slots), default=0.0)
    return leaving < needed - worst - (clocks.get(service.slot, Clock()).uncertainty or 0.0)


def _needed_until(stage: PlannedStage, run: StageRun) -> float | None:
    """When the last step that was not a service surely still ran."""
    told_late = {task.id for task in stage.tasks if task.ansible}
    ends = [step.end - (_EVENT_LAG if step.task in told_late else 0.0) for step in run.steps if step.end is not None]
    return max(ends, default=None)
