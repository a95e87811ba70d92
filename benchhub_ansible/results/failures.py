"""Everything that went wrong in a run, each with the line of the job file, the command, and the last lines it wrote."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Clock, Failure, Service, StageRun, Step
from benchhub_ansible.results.record import RunRecord
from benchhub_ansible.results.services import lost_services
from benchhub_ansible.results.stages import FAILED_STATES, is_of_task
from benchhub_ansible.results.units import Unit, stage_units, steps_of_tasks

_COMMAND_KEYS = ("shell", "cmd", "text", "script", "argv", "run", "exec")


def command_text(task: PlannedTask) -> str:
    """The command as the plan has it, references unexpanded, so that no secret is in it."""
    params = task.params
    if isinstance(params, Mapping):
        params = {key: value for key, value in params.items() if value is not None}
    if isinstance(params, Mapping) and len(params) == 1 and next(iter(params)) in _COMMAND_KEYS:
        params = next(iter(params.values()))
    if isinstance(params, str):
        return params
    if isinstance(params, list | tuple):
        return shlex.join(str(part) for part in params)
    if isinstance(params, Mapping):
        return f"{task.driver}: " + ", ".join(f"{key}: {_value_text(value)}" for key, value in params.items())
    return f"{task.driver}: {params}"


def _value_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return shlex.join(str(part) for part in value)
    return str(value)


def failures(
    record: RunRecord, plan: Plan, stages: tuple[StageRun, ...], services: tuple[Service, ...]
) -> tuple[Failure, ...]:
    """All failures, the first in time first; of what was ended on request nothing is a failure."""
    runs = {stage.id: stage for stage in stages}
    found: list[Failure] = []
    for stage in (*plan.stages(), *plan.cleanup):
        found.extend(_stage_failures(record, plan, stage, runs[stage.id]))
    tasks = {task.id: (stage, task) for stage, task in plan.services()}
    found.extend(_service_failure(record, plan, *tasks[service.task], service) for service in services if service.died)
    found.extend(_lost_service_failures(record, plan, runs, services))
    found.extend(_node_failures(record))
    if not found:
        found.extend(_ansible_failures(record))
    stopped = fields.number(record.first("stop-asked").get("t"))
    if stopped is not None:
        found = [failure for failure in found if failure.time is not None and failure.time < stopped]
    found.sort(key=lambda failure: (failure.time is None, failure.time or 0.0))
    return tuple(failure for failure in found if failure is found[0] or not _by_teardown(record, plan, failure))


def _by_teardown(record: RunRecord, plan: Plan, failure: Failure) -> bool:
    """Whether a step of a stage failed when everything was being ended already, because something else had failed."""
    begun = fields.number(record.first("teardown-begin").get("t"))
    if begun is None or failure.time is None or failure.kind not in ("step", "ansible"):
        return False
    return failure.time > begun and failure.stage not in {stage.id for stage in plan.cleanup}


def _stage_failures(record: RunRecord, plan: Plan, stage: PlannedStage, run: StageRun) -> Iterator[Failure]:
    tasks = {task.id: task for task in stage.tasks}
    units = {task.id: unit for unit in stage_units(stage) for task in unit.tasks}
    failed_on = set()
    for step in run.steps:
        if step.state in FAILED_STATES:
            unit = units.get(step.task)
            failed_on.add((step.slot, unit.name if unit else step.task))
            yield _step_failure(record, plan, stage, tasks[step.task], step, unit)
    for unit in stage_units(stage):
        for slot in stage.slots if not unit.service else ():
            found = None if (slot, unit.name) in failed_on else _unit_error(record, slot, unit.name)
            if found is not None:
                yield Failure(
                    kind="step",
                    message=f"{slot}: stage {stage.title!r}: {found[0]}",
                    stage=stage.id,
                    stage_title=stage.title,
                    slot=slot,
                    source=plan.source,
                    line=stage.span.line,
                    last_lines=fields.lines(record.statuses[slot, unit.name].get("tail")),
                    time=found[1],
                )


def _unit_error(record: RunRecord, slot: str, unit: str) -> tuple[str, float | None] | None:
    """Error and time of a unit that failed though none of its steps did; None when it did not."""
    status = record.statuses.get((slot, unit), {})
    if status.get("state") == "failed":
        error = fields.text(status.get("error")) or "ended without saying why"
        return error, record.clocks().get(slot, Clock()).corrected(fields.number(status.get("end")))
    return record.refused.get((slot, unit)) if status else None


def _step_failure(
    record: RunRecord, plan: Plan, stage: PlannedStage, task: PlannedTask, step: Step, unit: Unit | None
) -> Failure:
    tail: tuple[str, ...] = ()
    if unit is not None:
        parts = steps_of_tasks(unit, record.statuses.get((step.slot, unit.name), {})).get(task.id, ())
        tail = next((part.tail for part in parts if part.state in FAILED_STATES and part.tail), ())
    tail = tail or record.tails.get(step.stderr or "", ()) or record.tails.get(step.stdout or "", ())
    if not tail and step.error and unit is None:
        tail = fields.lines(step.error)
    how = _how(step.state, step.exit_code, step.signal, None if unit is None else step.error)
    return Failure(
        kind="step" if unit is not None else "ansible",
        message=f"{step.slot}: stage {stage.title!r}, task {task.name!r} {how}",
        stage=stage.id,
        stage_title=stage.title,
        task=task.id,
        task_name=task.name,
        slot=step.slot,
        source=plan.source,
        line=task.span.line,
        command=command_text(task),
        exit_code=step.exit_code,
        signal=step.signal,
        last_lines=tail,
        stdout=step.stdout,
        stderr=step.stderr,
        time=step.end,
    )


def _how(state: str, exit_code: int | None, signal: int | None, error: str | None) -> str:
    if state == "timeout":
        return "took longer than its timeout"
    if signal:
        return f"was ended by signal {signal}"
    if exit_code:
        return f"ended with exit code {exit_code}"
    return f"failed: {error}" if error else "failed"


def _lost_service_failures(
    record: RunRecord, plan: Plan, runs: Mapping[str, StageRun], services: tuple[Service, ...]
) -> Iterator[Failure]:
    """Services that were told to end while a stage still needed them, by whomever: each once, with the first stage."""
    tasks = {task.id: (stage, task) for stage, task in plan.services()}
    told: set[tuple[str, str]] = set()
    for stage, service in lost_services(record, plan, tuple(runs.values()), services).items():
        if service.died or runs[stage].status not in ("ok", "failed") or (service.slot, service.name) in told:
            continue
        told.add((service.slot, service.name))
        reason = fields.text(record.statuses.get((service.slot, service.name), {}).get("reason"))
        how = f"was ended while stage {runs[stage].title!r} ran" + (f": {reason}" if reason else "")
        found = _service_failure(record, plan, *tasks[service.task], service)
        message = f"{service.slot}: service {service.name!r} {how}"
        yield replace(found, message=message, time=service.stop_at or service.end)


def _how_it_ended(service: Service) -> str:
    if service.exit_code is None and service.signal is None:
        return f"failed: {service.error or 'it ended without saying why'}"
    how = f"exit code {service.exit_code}" if service.exit_code is not None else f"signal {service.signal}"
    return f"ended before it was told to, with {how}" + (f" ({service.error})" if service.error else "")


def _service_failure(
    record: RunRecord, plan: Plan, stage: PlannedStage, task: PlannedTask, service: Service
) -> Failure:
    status = record.statuses.get((service.slot, service.name), {})
    return Failure(
        kind="service",
        message=f"{service.slot}: service {service.name!r} {_how_it_ended(service)}",
        stage=stage.id,
        stage_title=stage.title,
        task=task.id,
        task_name=task.name,
        slot=service.slot,
        source=plan.source,
        line=task.span.line,
        command=command_text(task),
        exit_code=service.exit_code,
        signal=service.signal,
        last_lines=fields.lines(status.get("tail")) or record.tails.get(service.log or "", ()),
        stdout=service.log,
        time=service.end,
    )


def _node_failures(record: RunRecord) -> Iterator[Failure]:
    """Actions that could not reach a node or whose supervisor could not do as asked: these tell nothing of the job."""
    seen = set()
    for event, slot, told in record.slot_results():
        status = told.get("status")
        unreachable = status == "unreachable"
        if not unreachable and (status != "failed" or told.get("units") or told.get("services")):
            continue
        if event.get("op") in ("check", "wait_for") and not unreachable:
            continue  # a ready check that did not pass is the service's failure, or told by the task that waited
        error = fields.text(told.get("error")) or fields.text(event.get("msg")) or "no reason given"
        if unreachable:
            error = f"cannot be reached: {error.removeprefix('cannot be reached: ')}"
        known = (slot, "unreachable" if unreachable else error)  # whoever asks next will not reach it either
        if known not in seen:
            seen.add(known)
            yield Failure(
                kind="node",
                message=f"{slot}: {error}",
                slot=slot,
                last_lines=(),
                time=fields.number(event.get("t")),
            )


def _ansible_failures(record: RunRecord) -> Iterator[Failure]:
    """What Ansible itself says failed; asked only when nothing better is known."""
    for event in record.named("ansible-task"):
        if event.get("status") in ("failed", "unreachable"):
            yield _ansible_failure(record, event)
    if not any(event.get("status") in ("failed", "unreachable") for event in record.named("ansible-task")):
        for event in record.named("action"):
            if event.get("failed") is True:
                yield _ansible_failure(record, event)


def _ansible_failure(record: RunRecord, event: Mapping[str, Any]) -> Failure:
    host, task = fields.text(event.get("host")), fields.text(event.get("task")) or fields.text(event.get("op"))
    found = _planned(record, event)
    said = fields.lines(event.get("msg"))
    return Failure(
        kind="ansible",
        message=f"{host or 'a node'}: Ansible task {task!r} {event.get('status') or 'failed'}",
        stage=found[0].id if found else fields.text(event.get("stage")),
        stage_title=found[0].title if found else None,
        task=found[1].id if found else None,
        task_name=found[1].name if found else task,
        slot=host,
        source=record.plan.source if record.plan and found else None,
        line=found[1].span.line if found else None,
        command=command_text(found[1]) if found else None,
        exit_code=fields.integer(event.get("rc")),
        last_lines=said,
        time=fields.number(event.get("t")),
    )


def _planned(record: RunRecord, event: Mapping[str, Any]) -> tuple[PlannedStage, PlannedTask] | None:
    for stage in (*record.plan.stages(), *record.plan.cleanup) if record.plan else ():
        for task in stage.tasks:
            if is_of_task(event, stage, task):
                return stage, task
    return None
