"""The containers that are a run's nodes, and their network and volumes: made, and removed, by the label of the run."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Cancelled
from benchhub_ansible.schedulers.docker.access import NODE_DIR, Access
from benchhub_ansible.schedulers.docker.engine import Engine
from benchhub_ansible.schedulers.docker.options import Options

#: Labels of everything this scheduler makes: which run it belongs to, and that it is a node.
RUN, ROLE, SLOT, TYPE = "benchhub.run", "benchhub.role", "benchhub.slot", "benchhub.type"
#: A network with this label offers a registry of this machine to nodes; the value is its address, HOST:PORT.
REGISTRY = "benchhub.registry"
#: The name under which a node finds the machine that carries it.
HOST_NAME = "host.docker.internal"
#: The bridge of a node's own engine: not the default, under which this machine may have a registry.
_INNER_BRIDGE = "10.254.254.1/24"
_ANSWER_LIMIT = 120.0
_POLL = 0.05
_LOOK = 0.5  # seconds between looks whether a node that does not answer yet still runs
_AT_ONCE = 8
#: All but what would reach beyond the node: the machine's clock, its power, its kernel's modules and limits.
_OWN_ENGINE = (
    *("--cap-add", "ALL"),
    *(f"--cap-drop={name}" for name in ("SYS_RESOURCE", "SYS_TIME", "SYS_BOOT", "SYS_MODULE")),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined", "--device-cgroup-rule", "a *:* rwm"),
)


@dataclass(frozen=True, kw_only=True)
class Container:
    """A node: its slot, the container's name, and its address in the network of the run."""

    slot: str
    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network of a run and the address of this machine in it."""

    name: str
    gateway: str


def label(run_id: str) -> str:
    """The label that everything of a run has."""
    return f"{RUN}={run_id}"


def network(engine: Engine, run_id: str, existing: str | None) -> Network:
    """A network made for the run, with addresses that nothing else has; or the one that exists."""
    name = existing or f"benchhub-{run_id}"
    if existing is None:
        engine.call("network", "create", "--driver", "bridge", "--label", label(run_id), name)
    pools = engine.inspect("network", name)[0].get("IPAM", {}).get("Config") or []
    gateway = next((str(pool["Gateway"]) for pool in pools if "." in str(pool.get("Gateway", ""))), None)
    if gateway is None:
        raise SchedulerError(f"the network {name!r} has no gateway, so its containers cannot be reached from here")
    return Network(name=name, gateway=gateway.partition("/")[0])


class Maker:
    """Makes the containers of one run, several at once."""

    def __init__(
        self, engine: Engine, options: Options, *, image: str, network: Network, access: Access, cancelled: Cancelled
    ) -> None:
        self._engine = engine
        self._options = options
        self._image = image
        self._network = network
        self._card = access.card()
        self._cancelled = cancelled
        self._nameservers = _nameservers() if options.engine else ()
        self._registries = _registries(engine) if options.engine else ()

    def make(self, slots: Sequence[tuple[Slot, NodeRequest]]) -> list[Container]:
        """A container that answers for every slot, in order; the first error of any when one cannot be had."""
        with ThreadPoolExecutor(min(_AT_ONCE, len(slots) or 1)) as pool:
            made = [pool.submit(self._start, slot, wanted) for slot, wanted in slots]
            try:
                started = [future.result() for future in made]
            except BaseException:
                for future in made:
                    future.cancel()
                raise
        self._wait(started)
        return started

    def _start(self, slot: Slot, wanted: NodeRequest) -> Container:
        self._raise_if_cancelled()
        name = f"benchhub-{self._engine.run_id}-{slot.name}"
        mode = ["engine", *self._of_engine()] if self._options.engine else ["plain"]
        self._engine.call(
            *("create", "--init", "--name", name, "--hostname", slot.name[:63]),
            *("--label", label(str(self._engine.run_id)), "--label", f"{ROLE}=node"),
            *("--label", f"{SLOT}={slot.name}", "--label", f"{TYPE}={slot.type}"),
            *("--network", self._network.name, "--network-alias", slot.name),
            *("--add-host", f"{HOST_NAME}:{self._network.gateway}"),
            *self._limits(wanted),
            *(self._privileges(name) if self._options.engine else ()),
            *("--entrypoint", "sh", self._image, f"/{NODE_DIR}/node.sh", *mode),
        )
        self._engine.call("cp", "-", f"{name}:/", data=self._card)
        self._raise_if_cancelled()
        self._engine.call("start", name)
        return Container(slot=slot.name, name=name, address=self._address(name))

    def _of_engine(self) -> list[str]:
        """Arguments of the node's own dockerd: registries it may use, and who resolves names for its containers."""
        named = filter(None, (self._options.registry, self._options.mirror))
        insecure = [f"{self._network.gateway}/32", *self._registries, *named]
        arguments = [f"--bip={_INNER_BRIDGE}", *(f"--insecure-registry={address}" for address in insecure)]
        arguments += [f"--dns={address}" for address in self._nameservers]
        if self._options.mirror:
            arguments.append(f"--registry-mirror=http://{self._options.mirror}")
        return arguments

    def _limits(self, wanted: NodeRequest) -> list[str]:
        cpus = [] if wanted.cpus is None else ["--cpus", str(wanted.cpus)]
        memory = [] if wanted.memory is None else ["--memory", str(wanted.memory), "--memory-swap", str(wanted.memory)]
        return [*cpus, *memory]

    def _privileges(self, name: str) -> list[str]:
        # the volume: the layers of the node's images cannot lie on the layers of its own
        volume = f"type=volume,source={name},destination=/var/lib/docker,volume-label={label(str(self._engine.run_id))}"
        return [*_OWN_ENGINE, "--mount", volume]

    def _address(self, name: str) -> str:
        found = self._engine.inspect("container", name)[0]
        networks: Mapping[str, Any] = found["NetworkSettings"]["Networks"]
        address = next((str(n["IPAddress"]) for n in networks.values() if n.get("IPAddress")), "")
        if not address:
            raise SchedulerError(self._why_ended(name))
        return address

    def _wait(self, containers: Sequence[Container]) -> None:
        """Returns when sshd answers on all of them: a node starts it last."""
        deadline = time.monotonic() + _ANSWER_LIMIT
        for container in containers:
            looked = time.monotonic()
            while not _answers(container.address):
                self._raise_if_cancelled()
                now = time.monotonic()
                if now > looked + _LOOK:
                    looked = now
                    if not self._runs(container.name):
                        raise SchedulerError(self._why_ended(container.name))
                if now > deadline:
                    raise SchedulerError(
                        f"node {container.slot} does not answer at {container.address}:22 after {_ANSWER_LIMIT:.0f} s",
                        hint="the engine has to run on this machine itself, not in a virtual machine or elsewhere; "
                        f"try: docker logs {container.name}",
                    )
                time.sleep(_POLL)

    def _runs(self, name: str) -> bool:
        return bool(self._engine.inspect("container", name)[0]["State"]["Running"])

    def _why_ended(self, name: str) -> str:
        state = self._engine.inspect("container", name)[0]["State"]
        said = self._engine.logs(name, 8)
        return f"node {name} ended at once, with exit code {state.get('ExitCode')}: {said or 'it said nothing'}"

    def _raise_if_cancelled(self) -> None:
        if self._cancelled():
            raise SchedulerError("ended before there were nodes")


def _registries(engine: Engine) -> tuple[str, ...]:
    """The addresses of the registries that networks of this engine offer to nodes."""
    told = engine.call("network", "ls", "--filter", f"label={REGISTRY}", "--format", f'{{{{.Label "{REGISTRY}"}}}}')
    return tuple(told.split())


def remove(engine: Engine, run_id: str) -> None:
    """Removes the containers, networks and volumes of a run; SchedulerError naming what could not be."""
    listings = (("container", ("ps", "--all")), ("network", ("network", "ls")), ("volume", ("volume", "ls")))
    for kind, listing in listings:
        ids = engine.ids(*listing, label=label(run_id))
        if not ids:
            continue
        force = [] if kind == "network" else ["--force"]
        with contextlib.suppress(SchedulerError):  # told below, if anything is left
            engine.call(kind, "rm", *force, *ids)
    left = {kind: engine.ids(*listing, label=label(run_id)) for kind, listing in listings}
    if any(left.values()):
        words = "; ".join(f"{kind} {' '.join(ids)}" for kind, ids in left.items() if ids)
        raise SchedulerError(f"what run {run_id} took could not be removed: {words}", hint="benchhub recover, later")


def of_runs(engine: Engine) -> list[Mapping[str, Any]]:
    """What the engine knows of every node there is, of whatever run."""
    return engine.inspect_what_is_left("container", *engine.ids("ps", "--all", label=f"{ROLE}=node"))


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as sock:
            return sock.recv(4) == b"SSH-"
    except OSError:
        return False


def _nameservers() -> tuple[str, ...]:
    """Who resolves names for this machine: a container inside a node cannot use the node's own, a loopback address."""
    found = []
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        with contextlib.suppress(OSError):
            found += re.findall(r"^nameserver\s+([0-9.]+)\s*$", path.read_text(), flags=re.MULTILINE)
    kept = dict.fromkeys(server for server in found if not _is_loopback(server))
    return tuple(kept)[:3]


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server).is_loopback
    except ValueError:
        return True
