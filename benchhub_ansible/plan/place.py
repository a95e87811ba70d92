"""Which slots there are, and on which of them a stage runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchhub_ansible.job.model import Job, NodeRequest, NodeSelector
from benchhub_ansible.plan.model import Plan, Slot

#: What the inventory itself calls all slots; `nodes: all` of a stage.
ALL_HOSTS = "benchhub"


def _slot_names(request: NodeRequest, types: frozenset[str]) -> Iterator[str]:
    """``db`` for one node, ``loader-1`` … for several; numbered too where a type has that name: a host is no group."""
    if request.count == 1 and request.name not in types:
        yield request.name
        return
    for number in range(1, request.count + 1):
        yield f"{request.name}-{number}"


def _slots(job: Job) -> tuple[Slot, ...]:
    types = frozenset(request.type for request in job.nodes)
    counted: dict[str, int] = {}
    slots = []
    for request in job.nodes:
        for name in _slot_names(request, types):
            index = counted.get(request.type, 0)
            counted[request.type] = index + 1
            slots.append(Slot(name=name, node=request.name, type=request.type, index=index))
    return tuple(slots)


def place_slots(job: Job, plan: Plan) -> Plan:
    """The plan with a slot for every node, and the slot that ``${central}`` means."""
    slots = _slots(job)
    wanted = next((slot.name for slot in slots if slot.node == job.central), None)
    database = next((slot.name for slot in slots if slot.type == "database"), None)
    return replace(plan, slots=slots, central=wanted or database)


class Placement:
    """Answers for the stages of one plan where they run; each answer is made once and shared."""

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self._slots = slots
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def hosts(self, selector: NodeSelector) -> tuple[str, ...]:
        """What the play names: types, then nodes, each once."""
        if selector.all:
            return (ALL_HOSTS,)
        return tuple(dict.fromkeys((*selector.types, *selector.names)))

    def slots(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """The slots that those names mean, in the plan's order."""
        if hosts not in self._known:
            wanted = set(hosts)
            self._known[hosts] = tuple(
                slot.name for slot in self._slots if ALL_HOSTS in wanted or {slot.name, slot.node, slot.type} & wanted
            )
        return self._known[hosts]
