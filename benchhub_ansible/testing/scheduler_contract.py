"""The contract that every scheduler keeps. Inherit it, give it a scheduler and what it can and cannot satisfy.

class TestMyScheduler(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler: …
"""

# ruff: noqa: S101 - a suite of tests, shipped for the authors of plugins
from __future__ import annotations

import inspect
import json
import secrets
import time

import pytest

from benchhub_ansible.errors import SchedulerError, UsageError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Allocation, Loss, Request, Scheduler
from benchhub_ansible.source import Span

_METHODS = [name for name in vars(Scheduler) if not name.startswith("_") and callable(getattr(Scheduler, name))]


def request_of(**counts: int) -> Request:
    """A request for so many nodes of each type, one node name per type: ``request_of(database=1, loader=2)``."""
    span = Span(line=1, column=1)
    nodes = tuple(NodeRequest(name=kind, type=kind, count=count, span=span) for kind, count in counts.items())
    slots = tuple(
        Slot(name=f"{kind}-{number + 1}", node=kind, type=kind, index=number)
        for kind, count in counts.items()
        for number in range(count)
    )
    return Request(slots=slots, nodes=nodes)


def new_run_id() -> str:
    """The id of a run that no other test has: suites run side by side, on one engine or one cluster."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-contract-{secrets.token_hex(4)}"


class SchedulerContract:
    """What must hold of any scheduler, whatever it takes nodes from."""

    #: Text after ``name:`` in WHERE that ``from_where`` must refuse.
    bad_where = "nonsense=1"

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """The scheduler under test, able to satisfy ``satisfiable``."""
        raise NotImplementedError

    @pytest.fixture
    def satisfiable(self) -> Request:
        """A request that can be satisfied at once."""
        return request_of(database=1, loader=2)

    @pytest.fixture
    def impossible(self) -> Request | None:
        """A request that can never be satisfied; None when there is none."""
        return request_of(database=1, loader=100_000)

    @staticmethod
    def acquire(scheduler: Scheduler, request: Request, run_id: str = "") -> Allocation:
        """An allocation, got without anybody asking for the end."""
        return scheduler.acquire(
            request, run_id=run_id or new_run_id(), progress=lambda _text: None, cancelled=lambda: False
        )

    def test_it_says_whether_it_can_work_here(self, scheduler: Scheduler) -> None:
        """``unusable`` is None here, since the suite runs here."""
        assert type(scheduler).unusable() is None

    def test_nonsense_in_where_is_a_usage_error_with_a_hint(self, scheduler: Scheduler) -> None:
        """And not any other exception."""
        with pytest.raises(UsageError) as caught:
            type(scheduler).from_where(self.bad_where)
        assert caught.value.diagnostics[0].hint

    def test_every_slot_gets_a_node(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """In the order of the slots, each with an address."""
        scheduler.check(satisfiable)
        allocation = self.acquire(scheduler, satisfiable)
        try:
            assert [node.slot for node in allocation.nodes] == [slot.name for slot in satisfiable.slots]
            assert all(node.address and node.host for node in allocation.nodes)
            assert allocation.scheduler == scheduler.name
        finally:
            scheduler.release(allocation)

    def test_an_allocation_survives_a_file(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """``recover`` reads it in another process."""
        allocation = self.acquire(scheduler, satisfiable)
        try:
            assert Allocation.from_data(json.loads(json.dumps(allocation.as_data()))) == allocation
        finally:
            scheduler.release(allocation)

    def test_what_can_never_be_is_refused_at_once(self, scheduler: Scheduler, impossible: Request | None) -> None:
        """By ``check``, before anything is taken, naming what is missing."""
        if impossible is None:
            assert scheduler.nodes(), "a scheduler that refuses nothing has at least one machine"
            return
        with pytest.raises(SchedulerError) as caught:
            scheduler.check(impossible)
        assert "100000" in str(caught.value)

    def test_keeping_the_nodes_neither_waits_nor_loses_them(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """For as long as nothing takes them away."""
        lost: list[Loss] = []
        allocation = self.acquire(scheduler, satisfiable)
        with scheduler.keep(allocation, lost.append):
            pass
        scheduler.release(allocation)
        assert not lost

    def test_nodes_can_be_kept_for_a_while(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """At most as long as was asked for."""
        allocation = self.acquire(scheduler, satisfiable)
        try:
            now = time.time()
            assert now < scheduler.extend(allocation, now + 60) <= now + 60
        finally:
            scheduler.release(allocation)

    def test_nobody_waits_when_nodes_were_had_at_once(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """A request leaves the queue when it is granted."""
        scheduler.release(self.acquire(scheduler, satisfiable))
        assert scheduler.waiting() == ()

    def test_a_lease_that_is_not_there_cannot_be_ended(self, scheduler: Scheduler) -> None:
        """And nothing else is ended in its place."""
        with pytest.raises(SchedulerError, match="no-such-lease"):
            scheduler.end("no-such-lease", force=True)

    def test_releasing_twice_does_nothing(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """Teardown and recover may both do it."""
        run_id = new_run_id()
        allocation = self.acquire(scheduler, satisfiable, run_id)
        scheduler.release(allocation)
        scheduler.release(allocation)
        scheduler.recover(run_id, allocation)

    def test_what_was_released_can_be_had_again(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """Nothing leaks from one run to the next."""
        first = self.acquire(scheduler, satisfiable)
        scheduler.release(first)
        second = self.acquire(scheduler, satisfiable)
        scheduler.release(second)
        assert len(second.nodes) == len(satisfiable.slots)

    def test_an_intent_without_an_outcome_can_be_recovered(self, scheduler: Scheduler) -> None:
        """The controller died between asking and being told; a run that took nothing is no error."""
        scheduler.recover(new_run_id(), None)

    def test_it_lists_its_machines(self, scheduler: Scheduler, satisfiable: Request) -> None:
        """Those it has allocated are among them while they are held; some schedulers make them for a run."""
        allocation = self.acquire(scheduler, satisfiable)
        try:
            known = {node.name for node in scheduler.nodes()}
        finally:
            scheduler.release(allocation)
        assert {node.host for node in allocation.nodes} <= known

    def test_it_keeps_the_signatures(self, scheduler: Scheduler) -> None:
        """The session calls by these names."""
        for method in _METHODS:
            wanted = inspect.signature(getattr(Scheduler, method)).parameters.keys()
            given = inspect.signature(getattr(type(scheduler), method)).parameters.keys()
            assert wanted <= given | {"cls"}, method
