"""The Plan: the job resolved. Every stage, task, slot, order and limit; nothing that an allocation decides.

Every string called a *text* (see values.py) may still hold RUNTIME_REFERENCE references and nothing else; `vars` and
matrix names are already replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchhub_ansible.job.model import Check, Metric, NodeRequest, Retry, Secret
from benchhub_ansible.source import Span

#: Written into plan.json; raised when the meaning of a field changes.
PLAN_VERSION = 1

#: Drivers whose tasks Ansible runs itself.
ANSIBLE_RUN = frozenset({"module", "role"})


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one node: ``db`` or ``loader-2``. ``index`` counts from 0 among the slots of the same type."""

    name: str
    node: str
    type: str
    index: int


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """A task with all its limits filled in. ``id`` is unique in the plan and safe as a file name."""

    id: str  # "<stage id>.<two digits>", e.g. "load.01", "load-threads-8-r2.01"
    name: str
    driver: str
    params: Any  # texts, tuples and mappings of texts
    long: bool
    service: str | None = None  # long-running: name unique in the plan, e.g. "cassandra", safe as a file name
    env: Mapping[str, str] = field(default_factory=dict)
    chdir: str | None = None
    become: bool = False
    user: str | None = None
    timeout: float  # seconds for one try; of a service: its deadline
    retry: Retry = Retry(count=0)
    when: str | None = None
    ready: Check | None = None  # its timeout and successes are set, and the interval of what is no command
    live: Check | None = None
    shutdown: PlannedTask | None = None
    grace: float
    metrics: tuple[Metric, ...] = ()
    collect: tuple[str, ...] = ()
    background: bool = False  # a module that runs as an async job, beside the other stages of its group
    span: Span

    @property
    def ansible(self) -> bool:
        """Whether Ansible runs it itself, as it runs any module or role; all else is handed to the supervisor."""
        return self.driver in ANSIBLE_RUN

    @property
    def in_place(self) -> bool:
        """Whether Ansible runs it and waits for it, and with it whatever starts afterwards."""
        return self.ansible and not self.background


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """Which turn of a block a stage belongs to: matrix values, repetition counted from 1, warm-up or measured."""

    values: Mapping[str, str] = field(default_factory=dict)
    repetition: int = 1
    repetitions: int = 1
    warmup: bool = False


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """One run of a stage. ``id`` is unique in the plan; ``name`` is the job's, ``title`` also says the iteration."""

    id: str
    name: str
    title: str
    slots: tuple[str, ...]
    hosts: tuple[str, ...]  # what the play's `hosts` names: types or node names, as groups of the inventory
    tasks: tuple[PlannedTask, ...]
    together: bool = False
    serial: bool = False
    iteration: Iteration | None = None
    span: Span


@dataclass(frozen=True, kw_only=True)
class PlannedGroup:
    """Stages that run in parallel; then ``stops``: the services of a block's turn, which end with the turn."""

    number: int  # from 1
    stages: tuple[PlannedStage, ...]
    stops: tuple[str, ...] = ()  # service names, in the order to stop them
    limit: float = 0.0  # seconds: no stage of the group can take longer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All of it. ``hash`` is over everything but where things stood in the file and why the job was run."""

    job: str  # the job's name
    source: str  # the job file's name, for messages
    reason: str | None = None
    workload: str | None = None
    database: str | None = None
    vars: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    requests: tuple[NodeRequest, ...]
    slots: tuple[Slot, ...]
    central: str | None  # a slot name
    groups: tuple[PlannedGroup, ...]
    cleanup: tuple[PlannedStage, ...] = ()
    limit: float  # seconds for all groups together
    teardown_limit: float
    lease: float  # seconds a node waits without word from a controller before it ends what runs there
    hash: str = ""

    def stages(self) -> Iterator[PlannedStage]:
        """The stages of all groups in order, cleanup not among them."""
        for group in self.groups:
            yield from group.stages

    def services(self) -> Iterator[tuple[PlannedStage, PlannedTask]]:
        """The long-running tasks in the order they start."""
        for stage in self.stages():
            for task in stage.tasks:
                if task.long:
                    yield stage, task

    def names(self) -> Iterator[str]:
        """By what the plan calls its parts in playbooks, events and reports."""
        yield self.job
        for slot in self.slots:
            yield from (slot.name, slot.node, slot.type)
        for stage in (*self.stages(), *self.cleanup):
            yield from (stage.id, stage.title)
            for task in stage.tasks:
                yield from (task.id, task.name, task.service or "", *(metric.name for metric in task.metrics))

    def slot(self, name: str) -> Slot:
        """The slot of that name."""
        return next(slot for slot in self.slots if slot.name == name)
