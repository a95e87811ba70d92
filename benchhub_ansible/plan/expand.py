"""The pipeline unrolled: blocks into turns (matrix values, warm-ups, repetitions), stages into planned stages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchhub_ansible.job.model import Block, Check, Group, Job, Retry, Stage, StageRef, Task
from benchhub_ansible.plan.model import Iteration, Plan, PlannedGroup, PlannedStage, PlannedTask
from benchhub_ansible.plan.place import Placement
from benchhub_ansible.values import slug, substitute

#: Filled in by the pass that sets limits; no limit of a job is negative.
UNSET = -1.0


@dataclass(kw_only=True)
class Names:
    """Hands out ids, each once: the second ``load`` becomes ``load-2``."""

    taken: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def unique(self, wanted: str) -> str:
        """The wanted id, or the first free one that continues it."""
        name = wanted
        while name in self.taken:
            self.counts[wanted] = self.counts.get(wanted, 1) + 1
            name = f"{wanted}-{self.counts[wanted]}"
        self.taken.add(name)
        return name


def _turns(block: Block) -> Iterator[Iteration]:
    """One Iteration per turn: for each combination of the matrix the warm-ups, then the measured repetitions."""
    for values in itertools.product(*block.matrix.values()):
        combination = dict(zip(block.matrix, values, strict=True))
        for repetitions, warmup in ((block.warmup, True), (block.repeat, False)):
            for repetition in range(1, repetitions + 1):
                yield Iteration(values=combination, repetition=repetition, repetitions=repetitions, warmup=warmup)


def iteration_tag(iteration: Iteration) -> str:
    """What an id says of a turn: ``threads-8-r2``, ``w1``; empty for the only turn of its kind."""
    parts = [f"{slug(key)}-{slug(value)}" for key, value in iteration.values.items()]
    if iteration.warmup or iteration.repetitions > 1:
        parts.append(f"{'w' if iteration.warmup else 'r'}{iteration.repetition}")
    return "-".join(parts)


def _title(name: str, iteration: Iteration | None) -> str:
    """``load (threads=8, 2 of 5)``, ``load (threads=8, warm-up)``."""
    if iteration is None:
        return name
    parts = [f"{key}={value}" for key, value in iteration.values.items()]
    if iteration.warmup:
        parts.append(f"warm-up {iteration.repetition} of {iteration.repetitions}")
    elif iteration.repetitions > 1:
        parts.append(f"{iteration.repetition} of {iteration.repetitions}")
    return f"{name} ({', '.join(parts)})" if parts else name


class _Values:
    """`vars` and the matrix of one turn, put into every text of a task; what is not theirs stays."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, text: str) -> str:
        return substitute(text, self._values.get) if "${" in text else text

    def any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {str(key): self.any(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return tuple(self.any(item) for item in value)
        return value

    def optional(self, value: str | None) -> str | None:
        return None if value is None else self.text(value)

    def check(self, check: Check | None) -> Check | None:
        if check is None:
            return None
        return replace(check, target=self.text(check.target), body=self.optional(check.body))


def _task(task: Task, task_id: str, values: _Values) -> PlannedTask:
    return PlannedTask(
        id=task_id,
        name=_plain(values.text(task.name)),
        driver=task.driver,
        params=values.any(task.params),
        long=task.long,
        env={key: values.text(value) for key, value in task.env.items()},
        chdir=values.optional(task.chdir),
        become=task.become,
        user=values.optional(task.user),
        timeout=UNSET if task.timeout is None else task.timeout,
        when=values.optional(task.when),
        ready=values.check(task.ready),
        live=values.check(task.live),
        shutdown=None if task.shutdown is None else _task(task.shutdown, f"{task_id}.shutdown", values),
        grace=UNSET if task.grace is None else task.grace,
        metrics=tuple(replace(metric, file=values.optional(metric.file)) for metric in task.metrics),
        collect=tuple(values.text(pattern) for pattern in task.collect),
        span=task.span,
        retry=task.retry or Retry(count=0),
    )


def _plain(text: str) -> str:
    """A name as it is read: `$${x}` shows as `${x}`."""
    return text.replace("$${", "${")


class _Expansion:
    """One walk over the pipeline; ids are unique over all of it, cleanup included."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job = job
        self._stages = {stage.name: stage for stage in job.stages}
        self._placement = Placement(plan.slots)
        self._names = Names()

    def stage(self, ref: StageRef, iteration: Iteration | None) -> PlannedStage:
        stage = self._stages[ref.name]
        wanted = slug(stage.name)
        if iteration is not None and (tag := iteration_tag(iteration)):
            wanted = f"{wanted}-{tag}"
        stage_id = self._names.unique(wanted)
        title = _title(stage.name, iteration)
        if stage_id != wanted:  # another stage's name shows the same: say which
            title = f"{title} ({stage_id.rpartition('-')[2]})"
        hosts = self._placement.hosts(stage.nodes)
        return PlannedStage(
            id=stage_id,
            name=stage.name,
            title=title,
            slots=self._placement.slots(hosts),
            hosts=hosts,
            tasks=self._tasks(stage, stage_id, iteration),
            together=stage.together,
            serial=stage.serial,
            iteration=iteration,
            span=stage.span,
        )

    def _tasks(self, stage: Stage, stage_id: str, iteration: Iteration | None) -> tuple[PlannedTask, ...]:
        values = _Values({**self._job.vars, **(iteration.values if iteration else {})})
        return tuple(_task(task, f"{stage_id}.{number:02}", values) for number, task in enumerate(stage.tasks, 1))

    def groups(self) -> Iterator[PlannedGroup]:
        number = 0
        for item in self._job.pipeline:
            turns: Iterator[Iteration | None] = _turns(item) if isinstance(item, Block) else iter([None])
            inner: tuple[Group, ...] = item.groups if isinstance(item, Block) else (item,)
            for iteration in turns:
                for group in inner:
                    number += 1
                    yield PlannedGroup(number=number, stages=tuple(self.stage(ref, iteration) for ref in group.stages))


def expand_pipeline(job: Job, plan: Plan) -> Plan:
    """The plan with its groups and cleanup stages; limits and service names are still open."""
    expansion = _Expansion(job, plan)
    groups = tuple(expansion.groups())
    return replace(plan, groups=groups, cleanup=tuple(expansion.stage(ref, None) for ref in job.cleanup))
