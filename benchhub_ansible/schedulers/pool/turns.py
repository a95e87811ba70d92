"""Whose turn it is: first come, first served, and later requests go ahead only where no earlier one could lose.

The slots of all requests are matched with the free machines in the order of the queue. What earlier requests are
matched with is set aside for them although they still wait for more. The sets of machines that can serve a row of slots
are a matroid, so a later request that leaves the number of matched slots as it is takes nothing from the earlier ones:
whatever machines become free afterwards, they can be served as if it had not been there.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from benchhub_ansible.schedulers.matching import Fitting, Matching


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A run that waits, and for each of its slots the machines that fit."""

    run_id: str
    fitting: tuple[Fitting, ...]


def machines_for(own: Ask, ahead: Iterable[Ask], free: AbstractSet[str]) -> tuple[str, ...] | None:
    """A free machine for every slot of a request, in order; None while it has to wait.

    ``ahead`` are those who came before it, in order; they are read no further than is needed.
    """
    if not can_be_served(own, free):
        return None
    matching, slots = Matching(), 0
    for ask in ahead:
        slots += len(ask.fitting)
        for fitting in ask.fitting:
            matching.add(_free(fitting, free))
        if len(matching.machine) == len(free):
            return None  # everything is set aside for those before
    if not all(matching.add(_free(fitting, free)) for fitting in own.fitting):
        return None
    return tuple(matching.machine[slots + number] for number in range(len(own.fitting)))


def can_be_served(ask: Ask, free: AbstractSet[str]) -> bool:
    """Whether there would be enough if nobody else waited."""
    matching = Matching()
    return all(matching.add(_free(fitting, free)) for fitting in ask.fitting)


def _free(fitting: Fitting, free: AbstractSet[str]) -> Fitting:
    return tuple(machine for machine in fitting if machine in free)
