"""The matching is a largest one, keeps who came first, and tells why there is no more."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from benchhub_ansible.schedulers.matching import Fitting, Matching

MACHINES = ("a", "b", "c", "d")
fittings = st.lists(st.lists(st.sampled_from(MACHINES), unique=True).map(tuple), max_size=6)


def largest(rows: list[Fitting]) -> int:
    """How many slots can have a machine, by trying every order of machines."""
    orders = itertools.permutations((*MACHINES, *(None for _ in rows)), len(rows))
    return max(sum(m in fitting for m, fitting in zip(order, rows, strict=True)) for order in orders)


@given(fittings.filter(lambda rows: len(rows) <= 4))
def test_it_is_a_largest_one(rows: list[Fitting]) -> None:
    matching = Matching()
    for fitting in rows:
        matching.add(fitting)
    assert len(matching.machine) == largest(rows)
    assert len(set(matching.machine.values())) == len(matching.machine), "a machine plays two slots"
    assert all(machine in rows[slot] for slot, machine in matching.machine.items())


@given(fittings)
def test_a_slot_that_has_a_machine_keeps_having_one(rows: list[Fitting]) -> None:
    matching = Matching()
    before: set[int] = set()
    for slot, fitting in enumerate(rows):
        got = matching.add(fitting)
        assert got == (slot in matching.machine)
        assert before <= matching.machine.keys()
        before = set(matching.machine)


@given(fittings)
def test_a_shortage_proves_itself(rows: list[Fitting]) -> None:
    matching = Matching()
    for fitting in rows:
        matching.add(fitting)
    shortages = matching.shortages()
    short = {slot for shortage in shortages for slot in shortage.slots}
    assert set(range(len(rows))) - matching.machine.keys() <= short
    for shortage in shortages:
        fitting_any = {machine for slot in shortage.slots for machine in rows[slot]}
        assert fitting_any == set(shortage.machines)
        assert len(shortage.slots) > len(shortage.machines)


def test_the_preferred_machines_are_taken_where_nothing_forbids_it() -> None:
    matching = Matching()
    for _ in range(2):
        matching.add(("c", "a", "b"))
    assert matching.machine == {0: "c", 1: "a"}


def test_a_machine_of_several_types_goes_where_it_is_needed() -> None:
    matching = Matching()
    assert matching.add(("both", "only"))
    assert matching.add(("both",))
    assert matching.machine == {0: "only", 1: "both"}


def test_a_request_of_absurd_size_is_answered() -> None:
    everything = tuple(f"m{n}" for n in range(1000))
    matching = Matching()
    for _ in range(20_000):  # a search for each of them would take minutes
        matching.add(everything)
    (shortage,) = matching.shortages()
    assert (len(shortage.slots), len(shortage.machines)) == (20_000, 1000)
