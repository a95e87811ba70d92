"""The Job: what the user's file describes, in both notations, frozen, every element with the place it stood at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchhub_ansible.source import Source, Span

#: Drivers that come with benchhub; a plugin adds others through the entry-point group ``benchhub.drivers``.
BUILTIN_DRIVERS = ("shell", "exec", "docker", "copy", "template", "fetch", "module", "role")

#: The name by which every node can be meant in ``nodes:`` of a stage.
ALL_NODES = "all"


@dataclass(frozen=True, kw_only=True)
class NodeRequest:
    """``nodes:`` of the job: a name, its type, how many, and what the machine must have."""

    name: str
    type: str
    count: int = 1
    cpus: int | None = None
    memory: int | None = None  # bytes
    features: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # gres, exclusive: what only some schedulers know
    span: Span


@dataclass(frozen=True, kw_only=True)
class NodeSelector:
    """Which nodes a stage runs on: any of ``types``, any of ``names``, or all."""

    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    all: bool = False
    span: Span


@dataclass(frozen=True, kw_only=True)
class Check:
    """A ready or live check. ``target`` is the text of its kind: host:port, URL, command, pattern, path."""

    kind: str  # tcp | http | command | log | file
    target: str
    timeout: float | None = None  # seconds, as all times here
    interval: float | None = None
    successes: int | None = None
    status: tuple[int, ...] = ()  # http: accepted codes; empty means any 2xx
    body: str | None = None  # http: a regular expression the body must contain
    span: Span


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How many times a failed run-and-finish task is tried again, and the pause before each try."""

    count: int
    delay: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One value to read from a task's output (or from ``file``); outside ``min``/``max`` its sample is invalid."""

    name: str
    unit: str | None = None
    better: str | None = None  # higher | lower
    regex: str | None = None  # the first group is the value
    jsonpath: str | None = None
    plugin: str | None = None  # name in benchhub.metrics
    file: str | None = None  # text; default: standard output
    aggregate: str = "none"  # none | sum | mean | min | max : over the nodes of the stage
    min: float | None = None
    max: float | None = None
    required: bool = True  # a missing required value makes the run's verdict "invalid"
    span: Span


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: a driver, what it is given, and the common task keys."""

    name: str
    driver: str
    params: Any  # as the driver documents: a text, an argv tuple, a mapping
    long: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    chdir: str | None = None
    become: bool = False
    user: str | None = None
    timeout: float | None = None
    retry: Retry | None = None
    when: str | None = None  # a shell command on the node; exit code 0 runs the task, anything else skips it
    ready: Check | None = None
    live: Check | None = None
    shutdown: Task | None = None  # a run-and-finish task of driver shell, exec or docker
    grace: float | None = None  # seconds between TERM and KILL
    metrics: tuple[Metric, ...] = ()
    collect: tuple[str, ...] = ()
    span: Span


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Tasks in order on the nodes the selector names; ``together`` starts them at one instant on all nodes."""

    name: str
    nodes: NodeSelector
    tasks: tuple[Task, ...]
    together: bool = False
    serial: bool = False  # one node after the other, in slot order
    span: Span


@dataclass(frozen=True, kw_only=True)
class StageRef:
    """A stage named in the pipeline or in cleanup."""

    name: str
    span: Span


@dataclass(frozen=True, kw_only=True)
class Group:
    """Stages that run in parallel."""

    stages: tuple[StageRef, ...]
    span: Span


@dataclass(frozen=True, kw_only=True)
class Block:
    """Groups that repeat, once per combination of the matrix; ``warmup`` repetitions come first, not measured."""

    groups: tuple[Group, ...]
    repeat: int = 1
    warmup: int = 0
    matrix: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    span: Span


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A value the job only names: read from the variable ``env`` or the file ``file`` when the run starts."""

    name: str
    env: str | None = None
    file: str | None = None
    span: Span


@dataclass(frozen=True, kw_only=True)
class Job:
    """A checked job: everything it names exists. Only ``load`` makes one."""

    source: Source
    notation: str  # yaml | brace
    name: str
    reason: str | None = None
    workload: str | None = None
    database: str | None = None
    vars: Mapping[str, str] = field(default_factory=dict)
    vars_span: Span | None = None
    secrets: tuple[Secret, ...] = ()
    nodes: tuple[NodeRequest, ...]
    central: str | None = None  # a node name
    central_span: Span | None = None
    stages: tuple[Stage, ...]
    pipeline: tuple[Group | Block, ...]
    cleanup: tuple[StageRef, ...] = ()
    timeout: float | None = None  # of the whole pipeline; default: derived by the plan

    def stage(self, name: str) -> Stage:
        """The stage of that name; KeyError when there is none (load has made sure that references resolve)."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)
