"""Whose turn it is: first come, first served, and later requests go ahead only where no earlier one could lose.

The slots of all requests are matched with the free machines in the order of the queue. What earlier requests are
matched with is set aside for them although they still wait for more. The sets of machines that can serve a row of slots
are a matroid, so a later request that leaves the number of matched slots as it is takes nothing from the earlier ones:
whatever machines become free afterwards, they can be served as if it had not been there.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from benchhub_ansible.schedulers.matching import Fitting, Matching


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A run that waits, and for each of its slots the machines that fit."""

    run_id: str
    fitting: tuple[Fitting, ...]


def machines_for(run_id: str, queue: Sequence[Ask], free: AbstractSet[str]) -> tuple[str, ...] | None:
    """A free machine for every slot of a waiting run, in order; None while it has to wait."""
    own = next((ask for ask in queue if ask.run_id == run_id), None)
    if own is None or not can_be_served(own, free):
        return None
    matching, slots = Matching(), 0
    for ask in queue:
        got = [matching.add(_free(fitting, free)) for fitting in ask.fitting]
        if ask is own:
            return tuple(matching.machine[slots + n] for n in range(len(got))) if all(got) else None
        if len(matching.machine) == len(free):
            return None  # everything is set aside for those before
        slots += len(got)
    return None


def can_be_served(ask: Ask, free: AbstractSet[str]) -> bool:
    """Whether there would be enough if nobody else waited."""
    matching = Matching()
    return all(matching.add(_free(fitting, free)) for fitting in ask.fitting)


def _free(fitting: Fitting, free: AbstractSet[str]) -> Fitting:
    return tuple(machine for machine in fitting if machine in free)
