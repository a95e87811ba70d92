"""The Result: everything known of a run. Reports read this and nothing else; ``result.json`` is this as data.

All times are seconds since the epoch on the controller's clock: a time that a node told is corrected by that node's
clock offset when the offset is larger than its uncertainty. A value that is not known is None, never 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Written into result.json; raised when the meaning of a field changes.
RESULT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """What was run."""

    name: str | None
    source: str | None = None
    reason: str | None = None
    workload: str | None = None
    database: str | None = None
    plan_hash: str | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One thing that went wrong, and where; ``command`` still holds its references, so no secret."""

    kind: str  # step | service | node | ansible
    message: str
    stage: str | None = None
    stage_title: str | None = None
    task: str | None = None
    task_name: str | None = None
    slot: str | None = None
    source: str | None = None
    line: int | None = None
    command: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    last_lines: tuple[str, ...] = ()
    stdout: str | None = None
    stderr: str | None = None
    time: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the run ended: success, failed, invalid, interrupted or lost; ``running`` while its controller lives."""

    status: str
    reason: str | None
    exit_code: int | None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A node's clock less the controller's, in seconds, and how wrong that can be."""

    offset: float | None = None
    uncertainty: float | None = None

    def corrected(self, time: float | None) -> float | None:
        """A time of that node on the controller's clock; unchanged while the offset may be nothing but uncertainty."""
        if time is None or self.offset is None or abs(self.offset) <= (self.uncertainty or 0.0):
            return time
        return time - self.offset


@dataclass(frozen=True, kw_only=True)
class Node:
    """Who played a slot."""

    slot: str
    node: str
    type: str
    address: str | None = None
    facts: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One task of a stage on one slot. Output paths are below the run folder, and given when the file is there."""

    task: str
    name: str
    slot: str
    state: str  # ok | failed | timeout | skipped | not-run | killed | running | pending | unknown
    start: float | None = None
    end: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    attempts: int | None = None
    error: str | None = None
    stdout: str | None = None
    stderr: str | None = None


@dataclass(frozen=True, kw_only=True)
class Start:
    """When one slot of a ``start: together`` stage really started, and how late that was, in seconds."""

    slot: str
    target: float | None
    started: float | None
    late: float | None


@dataclass(frozen=True, kw_only=True)
class Together:
    """How closely the slots of a stage started; ``spread`` is last less first, ``uncertainty`` how wrong it can be."""

    starts: tuple[Start, ...]
    spread: float | None
    uncertainty: float | None


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """One planned stage and what became of it."""

    id: str
    name: str
    title: str
    status: str  # ok | failed | skipped | not-run | interrupted
    line: int
    slots: tuple[str, ...]
    cleanup: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    repetition: int | None = None
    repetitions: int | None = None
    warmup: bool = False
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    together: Together | None = None
    ours_cpu: Mapping[str, float | None] = field(default_factory=dict)  # CPU seconds of our supervisor, by slot
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Service:
    """A long-running task on one slot; ``told``: it ended because it was told to. If not, it died."""

    name: str
    stage: str
    task: str
    slot: str
    state: str
    start: float | None = None
    end: float | None = None
    ready_after: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    told: bool | None = None
    stop_at: float | None = None
    died: bool = False
    error: str | None = None
    log: str | None = None


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container that a task made. ``digest`` is the image's in its registry; one built on the node has none."""

    stage: str
    slot: str
    name: str | None = None
    engine: str | None = None
    image: str | None = None
    image_id: str | None = None
    digest: str | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measured value; None is missing, one that is not ``valid`` must not be used, and ``why`` says so."""

    metric: str
    stage: str
    task: str
    slot: str
    value: float | None
    valid: bool
    why: str | None = None
    unit: str | None = None
    better: str | None = None
    required: bool = True
    warmup: bool = False


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A metric of one stage run over its slots, only when every slot's sample is there and valid; else None and why."""

    metric: str
    stage: str
    task: str
    function: str  # sum | mean | min | max
    value: float | None
    why: str | None = None
    unit: str | None = None
    better: str | None = None
    warmup: bool = False


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A metric over the measured repetitions of a stage: of one slot, or of the aggregate (``slot`` None)."""

    metric: str
    stage: str  # the job's stage name
    task: str  # the job's task name
    values: Mapping[str, str]
    slot: str | None
    function: str | None
    n: int  # valid values
    unusable: int  # measured repetitions without a valid value
    median: float | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    stdev: float | None = None  # of the sample (n - 1); None below two values
    unit: str | None = None
    better: str | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything known of a run."""

    run_id: str
    job: JobInfo
    profile: str
    versions: Mapping[str, str | float | int | bool | None]
    where: str | None
    scheduler: str | None
    allocation: Mapping[str, str | float | int | bool | None]  # its id, and what the scheduler tells of it
    started: float | None
    ended: float | None
    verdict: Verdict
    nodes: tuple[Node, ...] = ()
    stages: tuple[StageRun, ...] = ()
    services: tuple[Service, ...] = ()
    containers: tuple[Container, ...] = ()
    samples: tuple[Sample, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    summaries: tuple[Summary, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def duration(self) -> float | None:
        """Seconds from the first to the last event, or None."""
        return None if self.started is None or self.ended is None else max(0.0, self.ended - self.started)


def result_to_data(result: Result) -> dict[str, Any]:
    """The result as JSON data, as ``schemas/result.schema.json`` describes it."""
    return {"version": RESULT_VERSION, **dataclasses.asdict(result), "duration": result.duration}
