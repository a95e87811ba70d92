"""Which node of a Slurm job plays which slot, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import AllocatedNode, NodeState, Request
from benchhub_ansible.schedulers.slurm.holder import holder_name
from benchhub_ansible.schedulers.slurm.jobs import SlurmJob
from benchhub_ansible.schedulers.slurm.render import Component, in_words

Row = Mapping[str, str]
#: A slot, the number of the component its node is in, and that node as scontrol tells of it.
Placed = tuple[Slot, int, Row]
_MIB = 2**20


def features(row: Row) -> tuple[str, ...]:
    """The features that a node has now."""
    told = row.get("ActiveFeatures", "(null)")
    return () if told == "(null)" else tuple(told.split(","))


def place(components: Sequence[Component], rows: Sequence[Sequence[Row]]) -> list[Placed]:
    """A node for every slot of a Slurm job that was asked for by these components."""
    placed = []
    for number, (component, nodes) in enumerate(zip(components, rows, strict=True)):
        placed += [(slot, number, row) for slot, row in zip(component.slots, nodes, strict=True)]
    return placed


def fit(request: Request, rows: Sequence[Sequence[Row]], ident: str) -> list[Placed]:
    """A node for every slot out of a Slurm job that was there already; SchedulerError when it has too few."""
    free = [(number, row) for number, nodes in enumerate(rows) for row in nodes]
    total = len(free)
    placed = []
    for slot in request.slots:
        wanted = request.node(slot)
        found = next((item for item in free if _fits(item[1], wanted)), None)
        if found is None:
            raise SchedulerError(
                f"the job needs {in_words(request)}; the Slurm job {ident} that benchhub was started in has {total},"
                f" and none of them is left for {slot.name}{_needs(wanted)}",
                hint="ask salloc or sbatch for more, or start benchhub outside of a Slurm job",
            )
        free.remove(found)
        placed.append((slot, *found))
    return placed


def _fits(row: Row, wanted: NodeRequest) -> bool:
    if wanted.cpus is not None and int(row.get("CPUTot", "0")) < wanted.cpus:
        return False
    if wanted.memory is not None and int(row.get("RealMemory", "0")) * _MIB < wanted.memory:
        return False
    return set(wanted.features) <= set(features(row))


def _needs(wanted: NodeRequest) -> str:
    needs = [f"feature {feature}" for feature in wanted.features]
    needs += [f"{wanted.cpus} cpus"] if wanted.cpus is not None else []
    needs += [f"{wanted.memory // _MIB} MiB of memory"] if wanted.memory is not None else []
    return f" with {', '.join(needs)}" if needs else ""


def allocated(
    request: Request, placed: Sequence[Placed], *, ident: str, run_id: str, connect: str, heterogeneous: bool
) -> tuple[AllocatedNode, ...]:
    """The nodes in the order of the slots, with the variables by which Ansible reaches them."""
    found = {}
    for slot, component, row in placed:
        name = row["NodeName"]
        address = row.get("NodeAddr", name)
        variables: dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": address}
        if connect == "srun":
            variables = {
                "ansible_connection": "benchhub.bench.srun",
                "benchhub_slurm_job": ident,
                "benchhub_slurm_node": name,
                "benchhub_slurm_holder": holder_name(run_id),
            }
            if heterogeneous:
                variables["benchhub_slurm_component"] = str(component)
        found[slot.name] = AllocatedNode(
            slot=slot.name, host=name, address=address, vars=variables, facts={"features": ",".join(features(row))}
        )
    return tuple(found[slot.name] for slot in request.slots)


def node_state(row: Row, holders: Mapping[str, SlurmJob]) -> NodeState:
    """One row of ``benchhub nodes``. A node of Slurm has no type of its own: features tell nodes apart."""
    name = row["NodeName"]
    job = holders.get(name)
    facts = {
        "state": row.get("State", "?").lower(),
        "cpus": row.get("CPUTot", "?"),
        "memory": f"{row.get('RealMemory', '?')}MiB",
        "partitions": row.get("Partitions", ""),
        "features": ",".join(features(row)),
    }
    told = {key: value for key, value in facts.items() if value}
    return NodeState(
        name=name,
        type="any",
        address=row.get("NodeAddr", name),
        facts=told,
        holder=f"Slurm job {job.id} of {job.user}" if job else None,
        until=job.end if job else None,
        lease=job.id if job else None,
    )
