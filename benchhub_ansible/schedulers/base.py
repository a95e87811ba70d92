"""What a scheduler is given, what it gives, and the protocol every one of them keeps.

A scheduler turns a Request into an Allocation. The session writes the intent to the run's journal before it calls
``acquire`` and the allocation right after, so that ``recover`` can give back what a dead controller had taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from benchhub_ansible.errors import ExitCode, SchedulerError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.limits import preparation_limit
from benchhub_ansible.plan.model import Plan, Slot

#: Tells the user what an ``acquire`` that takes long is waiting for, e.g. ``"position 3 in the queue"``.
Progress = Callable[[str], None]
#: Whether the user has asked for the end: an ``acquire`` that waits asks often and raises SchedulerError.
Cancelled = Callable[[], bool]

#: Single values by name.
Facts = Mapping[str, str | float | bool | None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The nodes a plan needs: its slots in order, and for each node name what the machine must have."""

    slots: tuple[Slot, ...]
    nodes: tuple[NodeRequest, ...]
    limit: float = 0.0  # seconds the run may take, preparing the nodes and teardown among them
    lease: float = 0.0  # seconds after which a node ends by itself what a dead controller left on it

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The request of a plan."""
        limit = preparation_limit(plan) + plan.limit + plan.teardown_limit
        return cls(slots=plan.slots, nodes=plan.requests, limit=limit, lease=plan.lease)

    def node(self, slot: Slot) -> NodeRequest:
        """What the machine of a slot must have."""
        return next(node for node in self.nodes if node.name == slot.node)


@dataclass(frozen=True, kw_only=True)
class AllocatedNode:
    """The machine behind one slot. ``vars`` are Ansible connection variables; they are written to the inventory."""

    slot: str
    host: str
    address: str
    vars: Mapping[str, Any] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)  # what the scheduler knows of the machine, for the result


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The right to a node for every slot of a request, until ``expires`` (epoch seconds; None: no end)."""

    id: str
    scheduler: str
    nodes: tuple[AllocatedNode, ...]
    expires: float | None = None
    owned: bool = False  # there is something to give back
    data: Mapping[str, Any] = field(default_factory=dict)  # what release and recover need; JSON, no secrets
    facts: Facts = field(default_factory=dict)  # what to know of it afterwards, for the result
    inventory_source: str | None = None  # absolute path of the user's inventory, whose variables stay there

    def as_data(self) -> dict[str, Any]:
        """The allocation as JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The allocation that ``as_data`` gave; KeyError or TypeError when it is not one."""
        nodes = tuple(AllocatedNode(**node) for node in data["nodes"])
        return cls(**{**data, "nodes": nodes})


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Why the nodes of an allocation can be used no more, in words for the report, and the exit code of the run."""

    reason: str
    exit_code: ExitCode = ExitCode.SCHEDULER


#: Called, from any thread, when an allocation is lost while a run uses it; only the first call counts.
Lost = Callable[[Loss], None]


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """One row of ``benchhub nodes``: a machine, its type, and who has it until when.

    ``lease`` is what ``benchhub nodes release`` takes.
    """

    name: str
    type: str
    address: str
    facts: Mapping[str, str] = field(default_factory=dict)
    holder: str | None = None
    until: float | None = None
    lease: str | None = None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One row of the queue: a run that waits for nodes, since when (epoch seconds), for what, and why it waits."""

    run_id: str
    holder: str
    since: float
    needs: str
    reason: str = ""


class Scheduler(Protocol):
    """Where nodes come from. Every method raises SchedulerError with the next step to take, and nothing else.

    One whose ``acquire`` never waits for nodes that others have may say ``immediate = True``: Ansible is then started
    while ``check`` and ``acquire`` do their work.
    """

    name: str

    @classmethod
    def from_where(cls, text: str) -> Self:
        """A scheduler from what follows its name in WHERE; UsageError, saying what is valid, for nonsense."""
        ...

    @classmethod
    def unusable(cls) -> str | None:
        """Why no scheduler of this kind can work on this machine, with the mend; None when one can. Asks no node."""
        ...

    def warm_up(self) -> None:
        """Begins, without waiting, what takes long and needs no request; what goes wrong is told by the next call."""
        ...

    def check(self, request: Request) -> None:
        """Returns when the request can be satisfied some day; raises at once when it never can."""
        ...

    def acquire(self, request: Request, *, run_id: str, progress: Progress, cancelled: Cancelled) -> Allocation:
        """A node for every slot, all or none; may wait, telling ``progress`` and asking ``cancelled``."""
        ...

    def keep(self, allocation: Allocation, lost: Lost) -> AbstractContextManager[None]:
        """While entered, renews the right to the nodes and calls ``lost`` when it has ended all the same.

        It is entered right after ``acquire`` and left before ``release``. Entering does not wait; leaving
        asks once more at most, so that nodes which could not be reached are told as lost when they are.
        """
        ...

    def extend(self, allocation: Allocation, until: float) -> float:
        """Keeps the nodes although no run uses them, for ``--keep``; until when that is granted, at most ``until``.

        Times are epoch seconds. At the time returned the nodes are free again, whoever is there to release them.
        """
        ...

    def release(self, allocation: Allocation) -> None:
        """Gives the nodes back; a second call, or one for an allocation that has ended, does nothing."""
        ...

    def recover(self, run_id: str, allocation: Allocation | None) -> None:
        """Gives back what a dead controller had taken, also when only its intent is known (``allocation`` None)."""
        ...

    def nodes(self) -> tuple[NodeState, ...]:
        """The machines there are."""
        ...

    def waiting(self) -> tuple[Waiting, ...]:
        """The runs that wait for nodes, the next one first."""
        ...

    def end(self, lease: str, *, force: bool) -> None:
        """Ends a lease, or a place in the queue, by what ``nodes`` calls it; without ``force`` not that of a live run.

        SchedulerError when there is no such lease.
        """
        ...


@runtime_checkable
class BatchScheduler(Protocol):
    """A scheduler that can carry out a whole run by itself, beside what every Scheduler does. It raises as they do.

    A run is handed over with a command that begins it on one of its nodes; there, ``acquire`` gives the nodes that the
    scheduler has granted for it. ``ticket`` is what ``submit`` returned.
    """

    def submit(self, request: Request, *, run_id: str, command: Sequence[str], log: Path) -> str:
        """A ticket for a run that begins once its nodes are granted; what the command prints goes to ``log``."""
        ...

    def progress_of(self, ticket: str) -> str | Loss:
        """What a run waits for that has not begun, in words; why it never will when it has gone."""
        ...

    def ask_to_end(self, ticket: str, *, begun: bool) -> None:
        """Takes a run out of the queue; of one that has begun, asks the controller to end it, as SIGTERM does."""
        ...


class Lender:
    """What a scheduler that takes nothing from anybody need not write: base class for those, optional for others."""

    name: str

    def warm_up(self) -> None:
        """Does nothing."""

    def keep(self, allocation: Allocation, lost: Lost) -> AbstractContextManager[None]:  # noqa: ARG002 - never lost
        """Does nothing: what is lent needs no renewal."""
        return nullcontext()

    def extend(self, allocation: Allocation, until: float) -> float:  # noqa: ARG002 - nothing to extend
        """Grants everything: the nodes are taken from nobody."""
        return until

    def release(self, allocation: Allocation) -> None:
        """Does nothing: nothing was taken."""

    def recover(self, run_id: str, allocation: Allocation | None) -> None:
        """Does nothing: nothing was taken."""

    def waiting(self) -> tuple[Waiting, ...]:
        """Nobody."""
        return ()

    def end(self, lease: str, *, force: bool) -> None:  # noqa: ARG002 - there are none
        """Raises: there are no leases."""
        raise SchedulerError(
            f"there is no lease {lease!r}: the scheduler {self.name!r} lends nodes without leases",
            hint="name the scheduler that has it, e.g. --on pool:lab.yml",
        )
