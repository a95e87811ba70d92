"""Samples, their aggregates over slots, and their summaries over repetitions.

A value that was not read is missing, never 0; a value that must not be trusted keeps its number but is not valid, and
nothing is computed from it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchhub_ansible.job.model import Metric
from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.results.model import Aggregate, Sample, Service, StageRun, Step, Summary
from benchhub_ansible.results.record import Reading, RunRecord
from benchhub_ansible.results.services import lost_services

_FUNCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "mean": statistics.fmean,
    "min": min,
    "max": max,
}


def samples(
    record: RunRecord, plan: Plan, stages: tuple[StageRun, ...], services: tuple[Service, ...]
) -> tuple[Sample, ...]:
    """One sample per metric, stage run and slot, in the order of the plan."""
    runs = {stage.id: stage for stage in stages}
    lost = lost_services(record, plan, stages, services)
    found: list[Sample] = []
    for stage in (*plan.stages(), *plan.cleanup):
        run = runs[stage.id]
        steps = {(step.task, step.slot): step for step in run.steps}
        for task in stage.tasks:
            for slot in stage.slots if task.metrics else ():
                doubt = _doubt(run, steps.get((task.id, slot)), lost.get(stage.id))
                found.extend(_task_samples(record, run, task, slot, doubt))
    return tuple(found)


def _task_samples(
    record: RunRecord, run: StageRun, task: PlannedTask, slot: str, doubt: str | None
) -> Iterator[Sample]:
    readings = {
        metric.name: record.readings.get((slot, task.id, metric.name))
        or Reading(value=None, reason=doubt or "the output was not collected")
        for metric in task.metrics
    }
    bounds = {metric.name: _out_of_bounds(metric, readings[metric.name].value) for metric in task.metrics}
    # one value that cannot be makes the others of the same run of the task worthless: a dead database answers fast
    guard = next((f"{metric.name} is {bounds[metric.name]}" for metric in task.metrics if bounds[metric.name]), None)
    for metric in task.metrics:
        told = readings[metric.name]
        why = told.reason if told.value is None else bounds[metric.name] or doubt or guard
        yield Sample(
            metric=metric.name,
            stage=run.id,
            task=task.id,
            slot=slot,
            value=told.value,
            valid=told.value is not None and why is None,
            why=why,
            unit=metric.unit,
            better=metric.better,
            required=metric.required,
            warmup=run.warmup,
        )


def _out_of_bounds(metric: Metric, value: float | None) -> str | None:
    if value is None:
        return None
    if metric.min is not None and value < metric.min:
        return f"{value:g}, below its min of {metric.min:g}"
    if metric.max is not None and value > metric.max:
        return f"{value:g}, above its max of {metric.max:g}"
    return None


def _doubt(run: StageRun, step: Step | None, lost: Service | None) -> str | None:
    """Why no value of this step can be trusted, or None."""
    if run.status == "not-run":
        return "the stage did not run"
    if step is not None and step.state != "ok":
        return f"the step is {step.state}, not ok"
    if lost is not None:
        how = "died" if lost.died else "was ended while the stage ran"
        return f"service {lost.name} on {lost.slot} {how}"
    if run.status == "interrupted":
        return "the stage was interrupted"
    return "a step of the stage failed" if run.status == "failed" else None


# -- over slots -----------------------------------------------------------------------------------------------------


def aggregates(plan: Plan, found: tuple[Sample, ...]) -> tuple[Aggregate, ...]:
    """One value per stage run for every metric that has an ``aggregate``."""
    by_run: dict[tuple[str, str], list[Sample]] = {}
    for sample in found:
        by_run.setdefault((sample.task, sample.metric), []).append(sample)
    return tuple(
        _aggregate(stage, task, metric, by_run.get((task.id, metric.name), []))
        for stage in (*plan.stages(), *plan.cleanup)
        for task in stage.tasks
        for metric in task.metrics
        if metric.aggregate in _FUNCTIONS
    )


def _aggregate(stage: PlannedStage, task: PlannedTask, metric: Metric, found: list[Sample]) -> Aggregate:
    bad = next((sample for sample in found if not sample.valid), None)
    why = None
    value = None
    if bad is not None:
        why = f"{bad.slot} has no valid value: {bad.why}"
    elif not found:
        why = "there is no sample"
    else:
        value = float(_FUNCTIONS[metric.aggregate]([sample.value for sample in found if sample.value is not None]))
    return Aggregate(
        metric=metric.name,
        stage=stage.id,
        task=task.id,
        function=metric.aggregate,
        value=value,
        why=why,
        unit=metric.unit,
        better=metric.better,
        warmup=stage.iteration.warmup if stage.iteration else False,
    )


# -- over repetitions -----------------------------------------------------------------------------------------------


def summaries(plan: Plan, found: tuple[Sample, ...], aggregated: tuple[Aggregate, ...]) -> tuple[Summary, ...]:
    """Count, median, min, max, mean and deviation over the measured repetitions, per slot and of the aggregate."""
    stages = {stage.id: stage for stage in (*plan.stages(), *plan.cleanup)}
    names = {task.id: task.name for stage in stages.values() for task in stage.tasks}
    items: tuple[Sample | Aggregate, ...] = (*found, *aggregated)
    series: dict[tuple[object, ...], list[Sample | Aggregate]] = {}
    for item in items:
        if not item.warmup:
            slot = item.slot if isinstance(item, Sample) else None
            key = (stages[item.stage].name, names[item.task], item.metric, _turn(stages[item.stage]), slot)
            series.setdefault(key, []).append(item)
    return tuple(_summary(stages[told[0].stage], names[told[0].task], told) for told in series.values())


def _turn(stage: PlannedStage) -> tuple[tuple[str, str], ...]:
    return tuple(stage.iteration.values.items()) if stage.iteration else ()


def _summary(stage: PlannedStage, task: str, told: list[Sample | Aggregate]) -> Summary:
    first = told[0]
    usable = [item.value for item in told if item.value is not None and (isinstance(item, Aggregate) or item.valid)]
    return Summary(
        metric=first.metric,
        stage=stage.name,
        task=task,
        values=dict(_turn(stage)),
        slot=first.slot if isinstance(first, Sample) else None,
        function=first.function if isinstance(first, Aggregate) else None,
        n=len(usable),
        unusable=len(told) - len(usable),
        median=statistics.median(usable) if usable else None,
        min=min(usable, default=None),
        max=max(usable, default=None),
        mean=statistics.fmean(usable) if usable else None,
        stdev=statistics.stdev(usable) if len(usable) > 1 else None,
        unit=first.unit,
        better=first.better,
    )
