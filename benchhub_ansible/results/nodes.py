"""Who played the slots of a run, what these nodes are, and what of it may have disturbed the numbers."""

from __future__ import annotations

from collections.abc import Iterator

from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Clock, Node
from benchhub_ansible.results.record import RunRecord


def nodes(record: RunRecord) -> tuple[Node, ...]:
    """A node for every slot of the plan, with what is known of it."""
    allocation = fields.mapping(record.first("acquired").get("allocation"))
    allocated = [fields.mapping(node) for node in fields.sequence(allocation.get("nodes"))]
    known = {
        fields.text(node.get("slot")): {"host": fields.text(node.get("host")), **fields.scalars(node.get("facts"))}
        for node in allocated
    }
    addresses = {fields.text(node.get("slot")): fields.text(node.get("address")) for node in allocated}
    facts = {slot: fields.scalars(told["facts"]) for _, slot, told in record.slot_results() if told.get("facts")}
    clocks = record.clocks()
    return tuple(
        Node(
            slot=slot.name,
            node=slot.node,
            type=slot.type,
            address=addresses.get(slot.name),
            facts={**known.get(slot.name, {}), **facts.get(slot.name, {})},
            clock=clocks.get(slot.name, Clock()),
        )
        for slot in (record.plan.slots if record.plan else ())
    )


def node_warnings(found: tuple[Node, ...]) -> Iterator[str]:
    """What else kept nodes busy as the run began, and cores that were told to save power; once a machine."""
    busy: dict[tuple[object, object], list[str]] = {}
    saving: list[str] = []
    for node in found:
        if node.facts.get("busy"):
            busy.setdefault((node.facts.get("boot_id"), node.facts["busy"]), []).append(node.slot)
        if node.facts.get("governor") == "powersave":
            saving.append(node.slot)
    for (_, what), slots in busy.items():
        yield f"something else kept {_listed(slots)} busy as the run began: {what}"
    if saving:
        yield f"the CPU governor of {_listed(saving)} is powersave: the clock of its cores may be slow and change"


def _listed(slots: list[str]) -> str:
    return ", ".join(slots[:5]) + (f" and {len(slots) - 5} more" if len(slots) > 5 else "")
