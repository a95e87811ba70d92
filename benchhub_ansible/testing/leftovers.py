"""What a run left behind on this machine: the check behind the promise that it is nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil

#: A process of a run carries its id in one of these: on a node, and beside the controller.
MARKERS = ("BENCHHUB_UNIT", "BENCHHUB_CONTROLLER", "BENCHHUB_RUN")


def processes(run_id: str) -> list[str]:
    """The processes that belong to a run: by their environment, or by its id in their command line; not this one."""
    found = []
    for process in psutil.process_iter():
        if process.pid == psutil.Process().pid:
            continue
        try:
            command = " ".join(process.cmdline())
            environment = process.environ()
            ended = process.status() == psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if ended:
            continue
        if f"benchhub-{run_id}" in command or any(run_id in environment.get(marker, "") for marker in MARKERS):
            found.append(f"{process.pid} {command}")
    return found


def files(run_id: str, node_dir: Path = Path("/tmp")) -> list[str]:  # noqa: S108 - where nodes keep a run's files
    """The files under the node's folder of the run, the folder itself first."""
    folder = node_dir / f"benchhub-{run_id}"
    return [str(folder), *map(str, sorted(folder.rglob("*")))] if folder.exists() else []


def listeners(port: int) -> list[str]:
    """The sockets of this machine that listen on a port."""
    listening = [c.laddr for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN and c.laddr]
    return [f"{address.ip}:{address.port}" for address in listening if address.port == port]


def _all(run_id: str, ports: tuple[int, ...]) -> Iterator[str]:
    yield from (f"process {item}" for item in processes(run_id))
    yield from (f"file {item}" for item in files(run_id))
    for port in ports:
        yield from (f"listening {item}" for item in listeners(port))


def leftovers(run_id: str, *ports: int, patience: float = 5.0) -> list[str]:
    """What is left of a run, after up to ``patience`` seconds in which what is just ending may end."""
    deadline = time.monotonic() + patience
    while (found := list(_all(run_id, ports))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
