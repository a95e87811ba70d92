"""Which machine plays which slot: a largest bipartite matching, grown slot by slot along augmenting paths (Kuhn, 1955).

A slot that has a machine keeps having one, though perhaps another, while further slots are added. So an assignment is
found whenever there is one, and slots that came first never lose to those that follow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

#: The machines that fit a slot, the preferred one first. Slots of one node share one such tuple.
Fitting = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """Slots (by number) that need more machines than ``machines``, which are all that fit any of them."""

    slots: tuple[int, ...]
    machines: tuple[str, ...]


@dataclass
class Matching:
    """Slots, numbered in the order in which they were added, and who plays them."""

    machine: dict[int, str] = field(default_factory=dict)  # by slot; a slot that could get none is missing
    _slot: dict[str, int] = field(default_factory=dict)  # by machine
    _fitting: list[Fitting] = field(default_factory=list)
    _hopeless: set[Fitting] = field(default_factory=set)  # no path will ever begin here: the matching only grows

    def add(self, fitting: Fitting) -> bool:
        """Adds the next slot; whether it got a machine."""
        slot = len(self._fitting)
        self._fitting.append(fitting)
        if fitting in self._hopeless:
            return False
        came_from, free = self._search(slot)
        if free is None:
            self._hopeless.add(fitting)
            return False
        self._shift(free, came_from)
        return True

    def shortages(self) -> tuple[Shortage, ...]:
        """Why slots got no machine: by Hall's theorem each of them is in a set of slots that too few machines fit."""
        unserved: dict[Fitting, list[int]] = {}
        for slot, fitting in enumerate(self._fitting):
            if slot not in self.machine:
                unserved.setdefault(fitting, []).append(slot)
        found: list[tuple[set[int], dict[str, None]]] = []
        for alike in unserved.values():
            machines = dict.fromkeys(self._search(alike[0])[0])
            slots = {*alike, *(self._slot[machine] for machine in machines)}
            for other in [other for other in found if other[1].keys() & machines.keys()]:
                found.remove(other)
                slots |= other[0]
                machines = other[1] | machines
            found.append((slots, machines))
        return tuple(Shortage(slots=tuple(sorted(s)), machines=tuple(m)) for s, m in found)

    def _search(self, slot: int) -> tuple[dict[str, int], str | None]:
        """The machines that alternating paths from a slot reach, each with the slot before it; the first free one."""
        came_from: dict[str, int] = {}
        pending, seen = deque([slot]), set[Fitting]()
        while pending:
            current = pending.popleft()
            fitting = self._fitting[current]
            if fitting in seen:
                continue
            seen.add(fitting)
            for machine in fitting:
                if machine in came_from:
                    continue
                came_from[machine] = current
                if machine not in self._slot:
                    return came_from, machine
                pending.append(self._slot[machine])
        return came_from, None

    def _shift(self, machine: str, came_from: dict[str, int]) -> None:
        """Gives a free machine to the slot before it on its path, whose machine goes to the slot before that."""
        wanted: str | None = machine
        while wanted is not None:
            slot = came_from[wanted]
            before = self.machine.get(slot)
            self.machine[slot], self._slot[wanted] = wanted, slot
            wanted = before
