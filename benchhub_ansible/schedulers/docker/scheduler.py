"""The scheduler ``docker``: every slot is a container of this machine, a host of its own with its own address."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import (
    AllocatedNode,
    Allocation,
    Cancelled,
    Lost,
    NodeState,
    Progress,
    Request,
    Waiting,
)
from benchhub_ansible.schedulers.docker import access, containers, engine, image, reaper
from benchhub_ansible.schedulers.docker.engine import Engine
from benchhub_ansible.schedulers.docker.options import Options
from benchhub_ansible.schedulers.docker.watch import Watch

#: A Linux bridge has 1024 ports (BR_MAX_PORTS), one of them is the machine's.
_MOST = 1023
_GIB = 2**30
_SETTLE = 0.3  # seconds in which the engine ends what a killed controller had asked for last


class DockerScheduler:
    """Gives containers on a network made for the run, reached by ssh with keys made for the run."""

    name = "docker"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._access: dict[str, access.Access] = {}  # by run: of what this process has taken

    @classmethod
    def from_where(cls, text: str) -> Self:
        """The scheduler with its options; UsageError, saying what is valid, for nonsense."""
        return cls(Options.parse(text))

    @classmethod
    def unusable(cls) -> str | None:
        """Why it cannot work here: no engine that answers, or no ssh."""
        return engine.problem() or access.problem()

    def warm_up(self) -> None:
        """Does nothing: whether the image is there is asked in a moment."""

    def check(self, request: Request) -> None:
        """Returns when the nodes can be made; raises telling all that cannot be."""
        problems = [*self._too_many(len(request.slots)), *self._too_large(request)]
        if problems:
            raise SchedulerError(*problems)
        if self._options.image is None and not image.is_there(Engine(), image.default_image()):
            why = image.cannot_be_made()
            if why is not None:
                raise SchedulerError(f"the image of the nodes is not there yet: {why}")

    def _too_many(self, wanted: int) -> list[str]:
        most = min(self._options.count or _MOST, _MOST)
        why = "count= says" if self._options.count else "one network of the engine holds"
        return [f"the job needs {wanted} nodes, and {why} {most} at most"] if wanted > most else []

    def _too_large(self, request: Request) -> list[str]:
        asked = [node for node in request.nodes if node.cpus is not None or node.memory is not None]
        if not asked:
            return []
        machine = Engine().info()
        cpus, memory = int(machine["NCPU"]), int(machine["MemTotal"])
        found = [
            f"node {node.name!r} needs {node.cpus} CPUs, and this machine has {cpus}"
            for node in asked
            if node.cpus is not None and node.cpus > cpus
        ]
        found += [
            f"node {node.name!r} needs {node.memory / _GIB:.1f} GiB of memory, and this machine has {memory / _GIB:.1f}"
            for node in asked
            if node.memory is not None and node.memory > memory
        ]
        return found

    def acquire(self, request: Request, *, run_id: str, progress: Progress, cancelled: Cancelled) -> Allocation:
        """A container that answers for every slot; when that fails, nothing of it is left."""
        run = Engine(run_id=run_id)
        try:
            return self._acquire(run, request, run_id=run_id, progress=progress, cancelled=cancelled)
        except BaseException:
            with contextlib.suppress(SchedulerError):  # the first error is the one to tell
                self._give_back(run, run_id, access.directory(run_id))
            raise

    def _acquire(
        self, run: Engine, request: Request, *, run_id: str, progress: Progress, cancelled: Cancelled
    ) -> Allocation:
        keys = self._access[run_id] = access.Access.make(run_id)
        name = self._image(run, keys.path / "image", progress, cancelled)
        began = time.time()
        network = containers.network(run, run_id, self._options.network)
        progress(f"starting {len(request.slots)} containers on the network {network.name}")
        maker = containers.Maker(run, self._options, image=name, network=network, access=keys, cancelled=cancelled)
        made = maker.make([(slot, request.node(slot)) for slot in request.slots])
        keys.know([container.address for container in made])
        nodes = tuple(
            AllocatedNode(slot=c.slot, host=c.name, address=c.address, vars=keys.variables(c.address)) for c in made
        )
        data = {"began": began, "network": network.name, "image": name, "access": str(keys.path)}
        return Allocation(id=run_id, scheduler=self.name, nodes=nodes, owned=True, data=data)

    def _image(self, run: Engine, at: Path, progress: Progress, cancelled: Cancelled) -> str:
        if self._options.image is None:
            return image.make(run, at, progress=progress, cancelled=cancelled)
        if not image.is_there(run, self._options.image):
            progress(f"pulling {self._options.image}")
            run.call("pull", "--quiet", self._options.image, limit=1200)
        return self._options.image

    def keep(self, allocation: Allocation, lost: Lost) -> AbstractContextManager[None]:
        """While entered, a node that ends or is cut off ends the run, by name."""
        run = Engine(run_id=_run_of(allocation))
        slots = {node.host: node.slot for node in allocation.nodes}
        ids = {str(found["Id"]): slots[str(found["Name"]).lstrip("/")] for found in run.inspect("container", *slots)}
        network, began = str(allocation.data["network"]), float(allocation.data["began"])
        return Watch(run, ids, network=network, since=began, lost=lost).on()

    def extend(self, allocation: Allocation, until: float) -> float:
        """Grants everything; a process of its own removes the nodes at that time."""
        reaper.start(_run_of(allocation), until)
        return until

    def release(self, allocation: Allocation) -> None:
        """Removes the containers, their network, volumes and keys."""
        run_id = _run_of(allocation)
        self._give_back(Engine(run_id=run_id), run_id, Path(str(allocation.data["access"])))

    def recover(self, run_id: str, allocation: Allocation | None) -> None:
        """Removes whatever carries the run's label, and its keys."""
        run = Engine(run_id=run_id)
        recorded = None if allocation is None else allocation.data.get("access")
        for path in {access.directory(run_id), Path(str(recorded or access.directory(run_id)))}:
            self._give_back(run, run_id, path)
        time.sleep(_SETTLE)
        self._give_back(run, run_id, access.directory(run_id))

    def nodes(self) -> tuple[NodeState, ...]:
        """The containers that are nodes now, of all runs: they are made when a run needs them."""
        return tuple(_state(found) for found in containers.of_runs(Engine()))

    def waiting(self) -> tuple[Waiting, ...]:
        """Nobody: containers are had at once."""
        return ()

    def end(self, lease: str, *, force: bool) -> None:
        """Removes the nodes of a run by its id; without ``force`` only when no controller uses them."""
        if not any(node.lease == lease for node in self.nodes()):
            raise SchedulerError(f"there is no lease {lease!r}", hint="benchhub nodes --on docker lists them")
        if access.in_use(lease) and not force:
            raise SchedulerError(f"the run {lease} uses its nodes", hint=f"end it first: benchhub stop {lease}")
        self.recover(lease, None)

    def _give_back(self, run: Engine, run_id: str, keys: Path) -> None:
        try:
            containers.remove(run, run_id)
        finally:  # the keys go also where the engine does not answer
            access.remove(keys, run_id)
            held = self._access.pop(run_id, None)
            if held is not None:
                held.lock.close()


def _run_of(allocation: Allocation) -> str:
    return allocation.id


def _state(found: Mapping[str, Any]) -> NodeState:
    labels: Mapping[str, str] = found["Config"]["Labels"]
    addresses = [str(n["IPAddress"]) for n in found["NetworkSettings"]["Networks"].values() if n.get("IPAddress")]
    run_id = labels[containers.RUN]
    return NodeState(
        name=str(found["Name"]).lstrip("/"),
        type=labels.get(containers.TYPE, ""),
        address=addresses[0] if addresses else "",
        facts={"image": str(found["Config"]["Image"]), "state": str(found["State"]["Status"])},
        holder=run_id,
        lease=run_id,
    )
