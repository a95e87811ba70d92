"""A request as arguments of sbatch: one component, or several where the needs of the nodes differ."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.slurm.options import SlurmOptions

#: Seconds that a Slurm job gets beyond what the plan may take: for nodes to be prepared and ssh to connect.
RESERVE = 120.0
#: Keys of a node's ``options`` that are options of sbatch, one word each.
NODE_OPTIONS = (
    "constraint",
    "prefer",
    "nodelist",
    "exclude",
    "licenses",
    "switches",
    "contiguous",
    "tmp",
    "sockets-per-node",
    "cores-per-socket",
    "threads-per-core",
    "hint",
    "cpu-freq",
    "network",
)
_FEATURE = re.compile(r"[A-Za-z0-9_.:=+-]+")
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Component:
    """Slots whose nodes have equal needs, in the order of the request, and those needs as options of sbatch."""

    slots: tuple[Slot, ...]
    arguments: tuple[str, ...]


def components(request: Request) -> tuple[Component, ...]:
    """The components of a request, in the order of its first slots; SchedulerError for what Slurm cannot be asked."""
    needs = {node.name: _needs(node) for node in request.nodes}
    slots: dict[tuple[str, ...], list[Slot]] = {}
    for slot in request.slots:
        slots.setdefault(needs[slot.node], []).append(slot)
    return tuple(Component(slots=tuple(members), arguments=need) for need, members in slots.items())


def _needs(node: NodeRequest) -> tuple[str, ...]:
    options = dict(node.options)
    arguments = ["--ntasks-per-node=1"]
    # Somebody else's work on a node makes the number worthless, so a node is shared only where the job allows it.
    if options.pop("exclusive", True):
        arguments.append("--exclusive")
    if node.cpus is not None:
        arguments.append(f"--cpus-per-task={node.cpus}")
    if node.memory is not None:
        arguments.append(f"--mem={math.ceil(node.memory / _MIB)}M")
    if (gres := options.pop("gres", None)) is not None:
        arguments.append(f"--gres={gres}")
    constraints = [_feature(node, feature) for feature in node.features]
    if "constraint" in options:
        constraints.append(f"({options.pop('constraint')})")
    if constraints:
        arguments.append(f"--constraint={'&'.join(constraints)}")
    for key, value in sorted(options.items()):
        if key not in NODE_OPTIONS:
            raise SchedulerError(
                f"nodes.{node.name}.options.{key}: Slurm is not asked with this option",
                hint=f"there are: {', '.join(NODE_OPTIONS)}",
            )
        if value is not False:
            arguments.append(f"--{key}" if value is True else f"--{key}={value}")
    return tuple(arguments)


def _feature(node: NodeRequest, feature: str) -> str:
    if not _FEATURE.fullmatch(feature):
        raise SchedulerError(
            f"nodes.{node.name}.features: {feature!r} is no name of a feature of Slurm",
            hint="say options: {constraint: …} for an expression",
        )
    return feature


def minutes(request: Request, options: SlurmOptions) -> int:
    """The wall time to ask for, in whole minutes as Slurm counts: the user's, else what the plan may take."""
    seconds = options.time if options.time is not None else request.limit + RESERVE
    return max(1, math.ceil(seconds / 60))


def arguments(request: Request, options: SlurmOptions, *, name: str, log: str = "/dev/null") -> list[str]:
    """The arguments of sbatch for one Slurm job that has every node of a request; granted whole or not at all."""
    common = [
        f"--job-name={name}",
        *options.arguments(),
        f"--time={minutes(request, options)}",
        f"--output={log}",
        "--no-requeue",  # a run cannot begin twice
    ]
    rendered: list[str] = []
    for component in components(request):
        if rendered:
            rendered.append(":")
        rendered += [*common, f"--nodes={len(component.slots)}", *component.arguments]
    return rendered


def in_words(request: Request) -> str:
    """``3 nodes (1 database, 2 loader)``."""
    kinds: dict[str, int] = {}
    for slot in request.slots:
        kinds[slot.type] = kinds.get(slot.type, 0) + 1
    many = len(request.slots)
    parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{many} {'node' if many == 1 else 'nodes'} ({parts})"
