"""First come, first served, and nobody who came first ever loses."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from benchhub_ansible.schedulers.matching import Matching
from benchhub_ansible.schedulers.pool.turns import Ask, machines_for

MACHINES = ("a", "b", "c", "d", "e")
fitting = st.lists(st.sampled_from(MACHINES), min_size=1, unique=True).map(tuple)
queues = st.lists(st.lists(fitting, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4)


def asks(*rows: tuple[tuple[str, ...], ...]) -> list[Ask]:
    return [Ask(run_id=str(number), fitting=row) for number, row in enumerate(rows)]


def last(queue: list[Ask]) -> tuple[Ask, list[Ask]]:
    """The last one of a queue, and those ahead of it."""
    return queue[-1], queue[:-1]


def served(ask: list[Ask], free: set[str]) -> int:
    """How many slots of these requests together can have a machine."""
    matching = Matching()
    for fits in (fits for one in ask for fits in one.fitting):
        matching.add(tuple(machine for machine in fits if machine in free))
    return len(matching.machine)


def test_the_first_gets_what_it_needs() -> None:
    assert machines_for(*last(asks((("a", "b"), ("a",)))), {"a", "b"}) == ("b", "a")


def test_a_later_one_does_not_take_what_an_earlier_one_waits_for() -> None:
    queue = asks((("a",), ("b",)), (("a",),))
    assert machines_for(*last(queue), {"a"}) is None


def test_a_later_one_takes_what_is_too_much_for_the_earlier_ones() -> None:
    queue = asks((("a",), ("b", "c")), (("c", "b"),))
    assert machines_for(*last(queue), {"b", "c"}) == ("c",)


def test_a_later_one_of_another_kind_goes_ahead() -> None:
    assert machines_for(*last(asks((("a",),), (("c",),))), {"c"}) == ("c",)


@given(queues, st.sets(st.sampled_from(MACHINES)))
def test_whatever_becomes_free_later_no_earlier_one_has_lost(
    rows: list[tuple[tuple[str, ...], ...]], free: set[str]
) -> None:
    queue = asks(*rows)
    got = machines_for(*last(queue), free)
    if got is None:
        return
    assert len(set(got)) == len(got)
    assert all(machine in free and machine in fits for machine, fits in zip(got, rows[-1], strict=True))
    others = set(MACHINES) - free
    for earlier in range(len(queue)):
        for count in range(len(others) + 1):
            for freed in itertools.combinations(sorted(others), count):
                ahead = queue[:earlier]
                assert served(ahead, (free - set(got)) | set(freed)) == served(ahead, free | set(freed))


@given(queues, st.sets(st.sampled_from(MACHINES)))
def test_nobody_waits_without_need(rows: list[tuple[tuple[str, ...], ...]], free: set[str]) -> None:
    queue = asks(*rows)
    if machines_for(*last(queue), free) is None:
        ahead = served(queue[:-1], free)
        assert served(queue, free) < ahead + len(rows[-1])
