"""The run's inventory: which machine plays which slot. The only file of a run that names addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from benchhub_ansible.playbook.names import group_name

if TYPE_CHECKING:
    from benchhub_ansible.plan.model import Plan, Slot
    from benchhub_ansible.schedulers.base import Allocation


class Unsafe(str):
    """A text that Ansible must take as it is, written with the tag ``!unsafe``."""

    __slots__ = ()


class _Dumper(yaml.CSafeDumper if hasattr(yaml, "CSafeDumper") else yaml.SafeDumper):  # type: ignore[misc]
    """Writes Unsafe texts with their tag and repeats mappings instead of anchoring them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - an inventory is read by people
        return True


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def _literal(text: str) -> str:
    return Unsafe(text) if any(mark in text for mark in ("{{", "{%", "{#")) else text


def _run_vars(plan: Plan, **given: Any) -> dict[str, Any]:
    values = {
        "benchhub_run_id": given["run_id"],
        "benchhub_central": plan.central or "",
        "benchhub_node_dir": _literal(given["node_dir"]),
        "benchhub_job_dir": _literal(given["job_dir"]),
    }
    if given["collect_dest"]:
        values["benchhub_collect_dest"] = _literal(given["collect_dest"])
    if plan.secrets:
        values["benchhub_secrets"] = {
            secret.name: {"env": secret.env} if secret.env else {"file": _literal(secret.file or "")}
            for secret in plan.secrets
        }
    return values


def _run_dir(slot: Slot, run_vars: Mapping[str, Any]) -> str:
    """The slot's folder on its node, in full: a template would be compiled again for every slot and task."""
    return _literal(f"{run_vars['benchhub_node_dir']}/benchhub-{run_vars['benchhub_run_id']}/{slot.name}")


def _slot_vars(slot: Slot, address: str, run_vars: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "benchhub_run_dir": _run_dir(slot, run_vars),
        "benchhub_address": address,
        "benchhub_index": slot.index,
        "benchhub_node": slot.node,
        "benchhub_type": slot.type,
    }


def _groups(plan: Plan) -> dict[str, dict[str, Any]]:
    """The groups below ``all``: every slot, each type, each node name that is neither a slot nor a type, the failed."""
    groups: dict[str, dict[str, Any]] = {}
    for slot in plan.slots:
        groups.setdefault(group_name(slot.type), {"hosts": {}})["hosts"][slot.name] = {}
    taken = {slot.name for slot in plan.slots} | {slot.type for slot in plan.slots}
    for slot in plan.slots:
        if slot.node not in taken:
            groups.setdefault(group_name(slot.node), {"hosts": {}})["hosts"][slot.name] = {}
    groups["benchhub_failed"] = {}
    return groups


def _native(plan: Plan, allocation: Allocation, run_vars: dict[str, Any]) -> dict[str, Any]:
    """An inventory with every variable in it: nothing of it is a user's secret."""
    nodes = {node.slot: node for node in allocation.nodes}
    hosts = {}
    for slot in plan.slots:
        node = nodes[slot.name]
        hosts[slot.name] = {**node.vars, **_slot_vars(slot, node.address, run_vars)}
    return {"all": {"vars": run_vars, "children": {"benchhub": {"hosts": hosts}, **_groups(plan)}}}


def _by_plugin(plan: Plan, allocation: Allocation, run_vars: dict[str, Any]) -> dict[str, Any]:
    """An inventory that only says which host of the user's inventory plays which slot."""
    hosts = {node.slot: node.host for node in allocation.nodes}
    slots = {
        slot.name: {
            "host": hosts[slot.name],
            "type": slot.type,
            "node": slot.node,
            "index": slot.index,
            "run_dir": _run_dir(slot, run_vars),
        }
        for slot in plan.slots
    }
    return {
        "plugin": "benchhub.bench.slots",
        "source": allocation.inventory_source,
        "slots": slots,
        "vars": run_vars,
    }


def inventory(
    plan: Plan,
    allocation: Allocation,
    *,
    run_id: str,
    job_dir: str,
    node_dir: str = "/tmp",  # noqa: S108 - on the node; the run's own folder below it is made private
    collect_dest: str = "",
) -> bytes:
    """The bytes of ``inventory/hosts.yml``; of secrets it holds only where they are read from."""
    run_vars = _run_vars(plan, run_id=run_id, job_dir=job_dir, node_dir=node_dir, collect_dest=collect_dest)
    build = _by_plugin if allocation.inventory_source else _native
    data = build(plan, allocation, run_vars)
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)
    header = f"---\n# Who plays which slot in run {run_id} (scheduler {allocation.scheduler}).\n"
    return (header + text).encode()
