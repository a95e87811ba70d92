"""The scheduler ``pool:PATH``: machines of a lab file, shared by leases that one host keeps.

Requests are served in the order in which they came; ``turns`` says when a later one may go ahead. A lease lives as long
as its controller renews it, and after that for the time that the nodes need to end by themselves what still runs there.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from benchhub_ansible.errors import SchedulerError, UsageError
from benchhub_ansible.schedulers.base import (
    AllocatedNode,
    Allocation,
    Cancelled,
    Lender,
    Lost,
    NodeState,
    Progress,
    Request,
    Waiting,
)
from benchhub_ansible.schedulers.matching import Matching, Shortage
from benchhub_ansible.schedulers.pool.lab import Lab, Machine, read_lab
from benchhub_ansible.schedulers.pool.leases import Glance, Lease, LeaseBook, Waiter
from benchhub_ansible.schedulers.pool.renewal import Renewal
from benchhub_ansible.schedulers.pool.turns import Ask
from benchhub_ansible.schedulers.pool.words import SHOWN, described, node_state, user, why
from benchhub_ansible.schedulers.where import parse_options
from benchhub_ansible.values import clock, format_duration, parse_duration

#: Seconds that nodes get to end what a dead controller left, or what was kept, before the next run has them.
SETTLE = 60.0
#: Seconds between two signs of life in the queue.
_SIGN = 5.0
#: Seconds between two looks at the book, by the first in the queue and at most by those far behind.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
#: Seconds after which a user is told again what has not changed.
_AGAIN = 60.0
_OPTIONS = re.compile(r"(?:,[a-z_]+=[^,/]*)+\Z")


class PoolScheduler(Lender):
    """Leases machines: all that a run needs or none, first come first served."""

    name = "pool"

    def __init__(self, lab: Lab, *, wait: float | None = None) -> None:
        self._lab = lab
        self._wait = lab.wait if wait is None else wait

    @classmethod
    def from_where(cls, text: str) -> Self:
        """The scheduler of ``PATH`` or ``PATH,wait=10m``; JobError for a lab file with mistakes."""
        found = _OPTIONS.search(text)
        options = parse_options(cls.name, found[0].removeprefix(",") if found else "", ("wait",))
        path = Path(text[: found.start()] if found else text).expanduser()
        if not text or not path.is_file():
            problem = f"{path}: no such file" if text else "no path is given"
            raise UsageError(f"--on pool:{text}: {problem}", hint="say: --on pool:lab.yml (or pool:lab.yml,wait=10m)")
        try:
            wait = parse_duration(options["wait"]) if "wait" in options else None
        except ValueError as error:
            raise UsageError(f"--on pool:{text}: wait: {error}", hint="for example wait=10m") from None
        return cls(read_lab(path.absolute()), wait=wait)

    @classmethod
    def unusable(cls) -> str | None:
        """Never: what it needs is in Python. Whether leases can be kept beside a lab file depends on that file."""
        return None

    # -- asking --------------------------------------------------------------------------------------------------------

    def check(self, request: Request) -> None:
        """Returns when the machines of the lab would be enough if all were free; raises naming what is missing."""
        matching = Matching()
        for fitting in self._fitting(request):
            matching.add(fitting)
        shortages = matching.shortages()
        if shortages:
            there = dict.fromkeys(kind for machine in self._lab.machines for kind in machine.types)
            hint = f"types of its machines: {', '.join(there)}; see them all: benchhub nodes --on pool:{self._lab.path}"
            raise SchedulerError(*dict.fromkeys(self._never(request, short) for short in shortages), hint=hint)

    def nodes(self) -> tuple[NodeState, ...]:
        """The machines of the lab, and who has them until when."""
        with self._book() as book:
            leases = book.state()[0]
        holders = {machine: lease for lease in leases for machine in lease.machines}
        return tuple(node_state(machine, holders.get(machine.name)) for machine in self._lab.machines)

    def waiting(self) -> tuple[Waiting, ...]:
        """The queue."""
        with self._book() as book:
            leases, queue = book.state()
        return tuple(
            Waiting(
                run_id=waiter.run_id,
                holder=waiter.holder,
                since=waiter.since,
                needs=waiter.needs,
                reason=why(waiter, leases),
            )
            for waiter in queue
        )

    # -- getting -------------------------------------------------------------------------------------------------------

    def acquire(self, request: Request, *, run_id: str, progress: Progress, cancelled: Cancelled) -> Allocation:
        """A lease of all machines that are needed, when it is the turn of this run and they are free."""
        self.check(request)
        length = max(self._lab.lease, request.lease + SETTLE if request.lease else 0.0)
        ask = Ask(run_id=run_id, fitting=self._fitting(request))
        needs = ", ".join(f"{node.count} {described(node)}" for node in request.nodes)
        with self._book() as book, _place(book, ask, needs):
            turn = _Turn(book, ask, self._lab, progress=progress)
            lease = turn.wait(cancelled, limit=self._wait, length=length, run_limit=request.limit)
        nodes = tuple(
            _allocated(slot.name, self._lab[name]) for slot, name in zip(request.slots, lease.machines, strict=True)
        )
        data = {"leases": str(self._lab.leases), "length": length}
        return Allocation(id=run_id, scheduler=self.name, nodes=nodes, expires=lease.expires, owned=True, data=data)

    # -- keeping and giving back ---------------------------------------------------------------------------------------

    def keep(self, allocation: Allocation, lost: Lost) -> AbstractContextManager[None]:
        """Renews the lease, and tells when it has ended all the same."""
        return Renewal(_leases_of(allocation), allocation.id, length=float(allocation.data["length"]), lost=lost)

    def extend(self, allocation: Allocation, until: float) -> float:
        """Keeps the machines until then, and for a minute more in which the nodes end what was kept."""
        with LeaseBook(_leases_of(allocation)) as book:
            if not book.extend(allocation.id, until=until, expires=until + SETTLE):
                raise SchedulerError("the machines cannot be kept: their lease has ended")
        return until

    def release(self, allocation: Allocation) -> None:
        """Ends the lease."""
        with LeaseBook(_leases_of(allocation)) as book:
            book.end(allocation.id, "released")

    def recover(self, run_id: str, allocation: Allocation | None) -> None:
        """Ends the lease of a run, or its place in the queue, whatever it had got to."""
        leases = self._lab.leases if allocation is None else _leases_of(allocation)
        if leases.exists():
            with LeaseBook(leases) as book:
                book.end(run_id, "recovered")

    def end(self, lease: str, *, force: bool) -> None:
        """Ends a lease or a place in the queue by its run id, or a unique part of it."""
        with self._book() as book:
            leases, queue = book.state()
            every: dict[str, Lease | Waiter] = {waiter.run_id: waiter for waiter in queue}
            every.update({held.run_id: held for held in leases})
            run_id = _named(lease, tuple(every), self._lab.path)
            item = every[run_id]
            if not force:
                _refuse_live(item)
            book.end(run_id, f"by {user()} with `benchhub nodes release`")

    def _book(self) -> LeaseBook:
        return LeaseBook(self._lab.leases)

    def _fitting(self, request: Request) -> tuple[tuple[str, ...], ...]:
        """For each slot the machines that fit; slots of one node share one tuple."""
        machines = {
            node.name: tuple(machine.name for machine in self._lab.machines if machine.fits(node))
            for node in request.nodes
        }
        return tuple(machines[slot.node] for slot in request.slots)

    def _never(self, request: Request, short: Shortage) -> str:
        nodes = dict.fromkeys(request.slots[number].node for number in short.slots)
        counts = {name: sum(slot.node == name for slot in request.slots) for name in nodes}
        if short.machines:
            counts = {name: sum(request.slots[number].node == name for number in short.slots) for name in nodes}
        wanted = " and ".join(f"{counts[node.name]} {described(node)}" for node in request.nodes if node.name in nodes)
        if not short.machines:
            return f"{self._lab.path}: the job needs {wanted}, and no machine of the pool is like that"
        count = len(short.machines)
        some = ", ".join(short.machines[:SHOWN]) + (", …" if count > SHOWN else "")
        only = f"only {count} machine{'s' if count > 1 else ''} of the pool fit{'' if count > 1 else 's'}: {some}"
        return f"{self._lab.path}: the job needs {wanted}, and {only}"


class _Turn:
    """One run in the queue of an open book."""

    def __init__(self, book: LeaseBook, ask: Ask, lab: Lab, *, progress: Progress) -> None:
        self._book = book
        self._ask = ask
        self._lab = lab
        self._machines = frozenset(machine.name for machine in lab.machines)
        self._progress = progress
        self._told: tuple[str, float] = ("", 0.0)

    def wait(self, cancelled: Cancelled, *, limit: float, length: float, run_limit: float) -> Lease:
        """The lease, when it is there; SchedulerError when the user or the limit ends the wait."""
        began = seen = time.monotonic()
        while True:
            glance = self._book.glance(self._ask.run_id, self._machines)
            if glance is None:
                raise self._expelled()
            if glance.turn:
                lease = self._book.grant(self._ask.run_id, self._machines, length=length, limit=run_limit)
                if lease is not None:
                    return lease
            reason = self._reason(glance)
            now = time.monotonic()
            if now - began > limit:
                waited = f"no machines of {self._lab.path} within {format_duration(limit)}"
                raise SchedulerError(f"{waited}: {reason}", hint="wait longer: --on pool:PATH,wait=2h")
            if cancelled():
                raise SchedulerError("the wait for machines was ended; the run has left the queue")
            self._tell(reason, now)
            if now - seen > _SIGN:
                self._book.seen(self._ask.run_id)
                seen = now
            time.sleep(min(_LONGEST_PAUSE, _SHORTEST_PAUSE * glance.position))

    def _reason(self, glance: Glance) -> str:
        place = f"position {glance.position} of {glance.waiting} in the queue of {self._lab.path.name}"
        return f"{place}; {why(self._ask, glance.leases)}"

    def _tell(self, reason: str, now: float) -> None:
        before, when = self._told
        if reason != before or now - when > _AGAIN:
            self._told = (reason, now)
            self._progress(f"waiting for machines: {reason}")

    def _expelled(self) -> SchedulerError:
        how = self._book.how_ended(self._ask.run_id)
        if how in (None, "left"):
            how = "this process was not heard of for too long"
        return SchedulerError(f"the run is no more in the queue of {self._lab.path}: {how}", hint="run it again")


@contextlib.contextmanager
def _place(book: LeaseBook, ask: Ask, needs: str) -> Iterator[None]:
    """A place in the queue, left again when no lease came of it."""
    book.enter(ask.run_id, holder=user(), needs=needs, fitting=ask.fitting)
    try:
        yield
    except BaseException:
        with contextlib.suppress(SchedulerError):
            book.end(ask.run_id, "left")
        raise


def _allocated(slot: str, machine: Machine) -> AllocatedNode:
    return AllocatedNode(
        slot=slot,
        host=machine.name,
        address=machine.address,
        vars={"ansible_host": machine.address, **machine.vars},
    )


def _leases_of(allocation: Allocation) -> Path:
    return Path(str(allocation.data["leases"]))


def _named(lease: str, known: tuple[str, ...], lab: Path) -> str:
    """The run that is meant; SchedulerError when it is none, or more than one."""
    matches = [run_id for run_id in known if run_id == lease] or [run_id for run_id in known if lease in run_id]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise SchedulerError(f"{lease!r} could be {len(matches)} leases", hint=f"say more: {', '.join(matches[:5])}")
    hint = f"see who has what: benchhub nodes --on pool:{lab}"
    raise SchedulerError(f"{lab}: there is no lease {lease!r}, and nobody of that name waits", hint=hint)


def _refuse_live(item: Lease | Waiter) -> None:
    """SchedulerError when somebody still uses a lease, or waits."""
    run_id = item.run_id
    if isinstance(item, Waiter):
        raise SchedulerError(f"run {run_id} of {item.holder} waits in the queue", hint=_STOP.format(run_id=run_id))
    if item.live:
        state = f"is kept until {clock(item.latest)}" if item.kept else "is under way"
        raise SchedulerError(f"run {run_id} of {item.holder} {state}", hint=_STOP.format(run_id=run_id))


_STOP = "end it in order: benchhub stop {run_id}; or take the machines from it: --force"
