"""What became of every planned stage: its steps, its status, how closely it started, and what of ours ran meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Clock, StageRun, Start, Step, Together
from benchhub_ansible.results.record import RunRecord
from benchhub_ansible.results.units import StepStatus, Unit, stage_units, steps_of_tasks

#: A stage with such a step has failed.
FAILED_STATES = frozenset({"failed", "timeout"})
_DONE_STATES = frozenset({"ok", "skipped"})


def stage_runs(record: RunRecord, plan: Plan) -> tuple[StageRun, ...]:
    """Every stage of the plan in order, then the cleanup stages."""
    clocks = record.clocks()
    return tuple(
        _stage_run(record, stage, clocks, cleanup=cleanup)
        for stages, cleanup in ((plan.stages(), False), (plan.cleanup, True))
        for stage in stages
    )


def _stage_run(record: RunRecord, stage: PlannedStage, clocks: Mapping[str, Clock], *, cleanup: bool) -> StageRun:
    begin = record.stage_events.get(("stage-begin", stage.id), {})
    end = record.stage_events.get(("stage-end", stage.id), {})
    begun = bool(begin) and (end.get("status") != "ok" or _left_a_trace(record, stage))
    steps = tuple(_steps(record, stage, clocks, begun=begun))
    status = _status(record, stage, steps, begun=begun, told=fields.text(end.get("status")))
    starts = [step.start for step in steps if step.start is not None]
    ends = [step.end for step in steps if step.end is not None]
    has_service = any(task.long for task in stage.tasks)
    start = min(starts) if starts and not has_service else fields.number(begin.get("t"))
    finish = max(ends) if ends and not has_service else fields.number(end.get("t"))
    if status == "not-run":
        start = finish = None
    elif status == "interrupted" and not end:
        finish = None
    turn = stage.iteration
    return StageRun(
        id=stage.id,
        name=stage.name,
        title=stage.title,
        status=status,
        line=stage.span.line,
        slots=stage.slots,
        cleanup=cleanup,
        values=dict(turn.values) if turn else {},
        repetition=turn.repetition if turn else None,
        repetitions=turn.repetitions if turn else None,
        warmup=turn.warmup if turn else False,
        start=start,
        end=finish,
        duration=None if start is None or finish is None else max(0.0, finish - start),
        together=_together(record, stage, clocks) if stage.together else None,
        ours_cpu={slot: _ours_cpu(record, stage, slot) for slot in stage.slots},
        steps=steps,
    )


def _left_a_trace(record: RunRecord, stage: PlannedStage) -> bool:
    """Whether anything ran: a play whose hosts had all failed before ends at once, and Ansible calls that ok."""
    return any((slot, unit.name) in record.statuses for unit in stage_units(stage) for slot in stage.slots) or any(
        is_of_task(event, stage, task)
        for task in stage.tasks
        for slot in stage.slots
        for event in record.ansible_tasks.get(slot, ())
    )


# -- steps ----------------------------------------------------------------------------------------------------------


def _steps(record: RunRecord, stage: PlannedStage, clocks: Mapping[str, Clock], *, begun: bool) -> Iterator[Step]:
    """One step per run-and-finish task and slot, in the order of the job; services have a list of their own."""
    units = {task.id: unit for unit in stage_units(stage) for task in unit.tasks}
    for task in stage.tasks:
        if task.long:
            continue
        for slot in stage.slots:
            clock = clocks.get(slot, Clock())
            step = None
            if not task.ansible or _began(record, stage, task, slot):
                step = _supervised_step(record, units[task.id], task, slot, clock)
            step = step or _ansible_step(record, stage, task, slot)
            yield step or Step(task=task.id, name=task.name, slot=slot, state="unknown" if begun else "not-run")


def _supervised_step(record: RunRecord, unit: Unit, task: PlannedTask, slot: str, clock: Clock) -> Step | None:
    status = record.statuses.get((slot, unit.name))
    if status is None:
        return None
    parts = steps_of_tasks(unit, status).get(task.id)
    if not parts:
        return None
    # a driver may make several steps of a task: the first that did not end well speaks for it, else the last
    told = next((part for part in parts if part.state not in _DONE_STATES), parts[-1])
    return Step(
        task=task.id,
        name=task.name,
        slot=slot,
        state=told.state,
        start=clock.corrected(parts[0].start),
        end=clock.corrected(told.end),
        exit_code=told.exit_code,
        signal=told.signal,
        attempts=told.attempts,
        error=told.error,
        **_output_paths(record, slot, unit, told),
    )


def _output_paths(record: RunRecord, slot: str, unit: Unit, told: StepStatus) -> dict[str, str | None]:
    base = f"collected/{slot}/units/{unit.name}"
    paths = {"stdout": f"{base}/{told.stdout}", "stderr": f"{base}/{told.stderr}"}
    return {key: path if path in record.paths else None for key, path in paths.items()}


def _began(record: RunRecord, stage: PlannedStage, task: PlannedTask, slot: str) -> bool:
    """Whether a module was begun there as an async job: what became of it is then known to the supervisor alone."""
    return task.background and any(
        event.get("status") == "started" and is_of_task(event, stage, task)
        for event in record.ansible_tasks.get(slot, ())
    )


def _ansible_step(record: RunRecord, stage: PlannedStage, task: PlannedTask, slot: str) -> Step | None:
    """What Ansible itself said of a task: module and role, and every task of the portable profile."""
    events = [event for event in record.ansible_tasks.get(slot, ()) if is_of_task(event, stage, task)]
    if not events:
        return None
    if task.driver == "module":  # not what asked for its condition, nor what looked whether all slots are done
        events = [event for event in events if str(event.get("task")).endswith(f"| {task.name}")] or events
    worst = next((event for event in events if event.get("status") in ("failed", "unreachable")), events[-1])
    end = fields.number(worst.get("t"))
    first = fields.number(events[0].get("t"))
    took = fields.number(events[0].get("duration"))
    state = {"failed": "failed", "unreachable": "failed", "skipped": "skipped", "ok": "ok"}
    return Step(
        task=task.id,
        name=task.name,
        slot=slot,
        state=state.get(str(worst.get("status")), "unknown"),
        start=None if first is None or took is None else first - took,
        end=end,
        exit_code=fields.integer(worst.get("rc")),
        error=fields.text(worst.get("msg")) if worst.get("status") in ("failed", "unreachable") else None,
    )


def is_of_task(event: Mapping[str, Any], stage: PlannedStage, task: PlannedTask) -> bool:
    """Whether an ``ansible-task`` event tells of this task; a task's name says stage and task."""
    name = fields.text(event.get("task")) or ""
    if event.get("stage") == stage.id:
        own = sum(1 for other in stage.tasks if other.ansible)
        return task.name in name or (own == 1 and task.ansible)
    return event.get("stage") is None and stage.title in f"{event.get('play')} {name}" and task.name in name


# -- status ---------------------------------------------------------------------------------------------------------


def _status(record: RunRecord, stage: PlannedStage, steps: tuple[Step, ...], *, begun: bool, told: str | None) -> str:
    states = {step.state for step in steps}
    service_failed = any(
        record.statuses.get((slot, unit.name), {}).get("state") == "failed"
        and not record.statuses[slot, unit.name].get("ready")
        for unit in stage_units(stage)
        if unit.service
        for slot in stage.slots
    )
    unit_failed = any(
        record.statuses.get((slot, unit.name), {}).get("state") == "failed" or (slot, unit.name) in record.refused
        for unit in stage_units(stage)
        if not unit.service
        for slot in stage.slots
    )
    # a failed group may mark all its stages: steps that are known to have ended well know better
    all_well = bool(steps) and states <= _DONE_STATES and not any(task.long for task in stage.tasks)
    told_failed = told == "failed" and not all_well
    if states & FAILED_STATES or unit_failed or told_failed or (service_failed and told != "ok"):
        return "failed"
    if not begun and told == "ok":
        return "not-run"
    known = begun or any((slot, unit.name) in record.statuses for unit in stage_units(stage) for slot in stage.slots)
    if not known and not states - {"not-run"}:
        return "not-run"
    if states and states == {"skipped"} and len(steps) == len(stage.tasks) * len(stage.slots):
        return "skipped"
    left_alone = _ended_before(steps, record.broken_off) and not any(task.long for task in stage.tasks)
    if states <= _DONE_STATES and (told == "ok" or left_alone):
        return "ok"
    return "ok" if told == "ok" and not states & {"killed", "running", "pending"} else "interrupted"


def _ended_before(steps: tuple[Step, ...], instant: float | None) -> bool:
    """Whether all steps had ended by then: what ends later, in good order or not, was no longer left to itself."""
    return instant is None or all(step.end is not None and step.end <= instant for step in steps)


# -- start together and quiet ---------------------------------------------------------------------------------------


def _together(record: RunRecord, stage: PlannedStage, clocks: Mapping[str, Clock]) -> Together | None:
    starts = []
    for slot in stage.slots:
        told = fields.mapping(record.statuses.get((slot, stage.id), {}).get("together"))
        clock = clocks.get(slot, Clock())
        target, started = fields.number(told.get("target")), fields.number(told.get("started"))
        late = fields.number(told.get("late"))
        if late is None and target is not None and started is not None:
            late = started - target
        starts.append(Start(slot=slot, target=clock.corrected(target), started=clock.corrected(started), late=late))
    known = [start for start in starts if start.started is not None]
    if not known:
        return None
    spread = None
    if len(known) == len(starts):  # the spread of some of the slots would look better than it was
        times = [start.started for start in known if start.started is not None]
        spread = max(times) - min(times)
    return Together(starts=tuple(starts), spread=spread, uncertainty=_uncertainty(known, clocks))


def _uncertainty(starts: list[Start], clocks: Mapping[str, Clock]) -> float | None:
    """How wrong the spread can be: the two worst clocks err in opposite directions; None when one was not measured."""
    each = [clocks.get(start.slot, Clock()).uncertainty for start in starts]
    known = sorted(value for value in each if value is not None)
    return sum(known[-2:]) if len(known) == len(each) else None


def _ours_cpu(record: RunRecord, stage: PlannedStage, slot: str) -> float | None:
    told = [
        fields.number(record.statuses.get((slot, unit.name), {}).get("ours_cpu"))
        for unit in stage_units(stage)
        if not unit.service
    ]
    known = [value for value in told if value is not None]
    return sum(known) if known and len(known) == len(told) else None
