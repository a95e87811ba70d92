"""What a pool tells its users: who has what until when, what is wanted, who they are."""

from __future__ import annotations

import getpass
import os
import platform

from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.schedulers.base import NodeState
from benchhub_ansible.schedulers.pool.lab import Machine
from benchhub_ansible.schedulers.pool.leases import Lease
from benchhub_ansible.schedulers.pool.turns import Ask
from benchhub_ansible.values import clock

#: Machines, or leases, that a sentence names; more are counted.
SHOWN = 3


def why(ask: Ask, leases: tuple[Lease, ...]) -> str:
    """Who has the machines that a run could use."""
    wanted = {machine for fitting in ask.fitting for machine in fitting}
    parts = []
    for lease in leases:
        machines = [machine for machine in lease.machines if machine in wanted]
        if machines:
            shown = ", ".join(machines[:SHOWN]) + (", …" if len(machines) > SHOWN else "")
            parts.append(f"{lease.holder} has {shown} for {lease.run_id} {_until(lease)}")
    if not parts:
        return "others came first"
    return "; ".join(parts[:SHOWN]) + (f"; and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def _until(lease: Lease) -> str:
    if lease.kept:
        return f"(kept until {clock(lease.latest)})"
    if not lease.live:
        return f"(its controller died; free at {clock(lease.expires)})"
    return f"(until {clock(lease.latest)} at the latest)"


def described(node: NodeRequest) -> str:
    """A node of a job in words: ``loader with ssd and 8 cpus``."""
    has = list(node.features)
    if node.cpus is not None:
        has.append(f"{node.cpus} cpus")
    if node.memory is not None:
        has.append(f"{node.memory / 2**30:.3g} GiB")
    return node.type + (f" with {' and '.join(has)}" if has else "")


def node_state(machine: Machine, lease: Lease | None) -> NodeState:
    """The row of a machine."""
    facts: dict[str, str] = {}
    if machine.cpus is not None:
        facts["cpus"] = str(machine.cpus)
    if machine.memory is not None:
        facts["memory"] = f"{machine.memory / 2**30:.3g}GiB"
    if machine.features:
        facts["features"] = ",".join(machine.features)
    return NodeState(
        name=machine.name,
        type=",".join(machine.types),
        address=machine.address,
        facts=facts,
        holder=lease.holder if lease else None,
        until=lease.expires if lease else None,
        lease=lease.run_id if lease else None,
    )


def user() -> str:
    """Who runs this process: ``alice@desk``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        name = str(os.geteuid())
    return f"{name}@{platform.node()}"
