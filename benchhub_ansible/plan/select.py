"""Part of a plan: from a stage on, or one stage alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

from benchhub_ansible.errors import Diagnostic, Severity, UsageError
from benchhub_ansible.job.suggest import closest
from benchhub_ansible.plan.data import plan_hash
from benchhub_ansible.plan.model import Plan, PlannedGroup, PlannedStage, PlannedTask
from benchhub_ansible.source import Source


def _require(plan: Plan, wanted: str, option: str) -> None:
    known = dict.fromkeys(name for stage in plan.stages() for name in (stage.name, stage.id))
    if wanted not in known:
        close = closest(wanted, known)
        stages = ", ".join(dict.fromkeys(stage.name for stage in plan.stages()))
        hint = f"did you mean {close!r}?" if close else f"the stages that run are: {stages}"
        raise UsageError(f"{option}: no stage that runs is called {wanted!r}", hint=hint)


def select(plan: Plan, from_stage: str | None = None, only: str | None = None) -> Plan:
    """The plan without the stages before ``from_stage``, or with no other stage than ``only`` (names or ids).

    Stages of the group that ``from_stage`` stands in all run. Cleanup always stays. A whole plan comes back as it is;
    a part of one has a hash of its own. UsageError when no stage that runs has that name.
    """
    groups = plan.groups
    if from_stage is not None:
        _require(plan, from_stage, "--from")
        first = next(n for n, group in enumerate(groups) if any(from_stage in (s.name, s.id) for s in group.stages))
        groups = groups[first:]
    if only is not None:
        _require(plan, only, "--only")
        groups = tuple(
            replace(group, stages=tuple(stage for stage in group.stages if only in (stage.name, stage.id)))
            for group in groups
        )
    if groups == plan.groups:
        return plan
    part = replace(plan, groups=_known_stops(groups))
    return replace(part, hash=plan_hash(part))


def left_out(whole: Plan, part: Plan, source: Source) -> Iterator[Diagnostic]:
    """A warning for each service that a part of a plan lacks: its stages may run all the same, and measure nothing."""
    for stage, task in _left_out(whole, part):
        yield Diagnostic(
            code="service-left-out",
            severity=Severity.WARNING,
            message=f"service {task.name!r} is left out with its stage {stage.title!r}; stages that run may need it",
            source=source,
            span=task.span,
            hint=f"it has to be up already; else run from its stage on: --from {shlex.quote(stage.name)}",
        )


def _left_out(whole: Plan, part: Plan) -> Iterator[tuple[PlannedStage, PlannedTask]]:
    """The services that would be up while a stage of the part runs, and that no stage of the part starts."""
    kept = {stage.id for stage in part.stages()}
    up: dict[str, tuple[PlannedStage, PlannedTask]] = {}
    seen: set[str] = set()  # services of every turn of a block have one place in the job: it is told once
    for group in whole.groups:
        up |= {task.id: (stage, task) for stage in group.stages for task in stage.tasks if task.long}
        if any(stage.id in kept for stage in group.stages):
            missing = [(stage, task) for stage, task in up.values() if stage.id not in kept and stage.name not in seen]
            yield from missing
            seen |= {stage.name for stage, _task in missing}
        up = {name: found for name, found in up.items() if found[1].service not in group.stops}


def _known_stops(groups: tuple[PlannedGroup, ...]) -> tuple[PlannedGroup, ...]:
    """The groups that still have stages, their stops without the services that no longer start."""
    started = {task.service for group in groups for stage in group.stages for task in stage.tasks if task.long}
    kept = (replace(group, stops=tuple(name for name in group.stops if name in started)) for group in groups)
    return tuple(group for group in kept if group.stages or group.stops)
