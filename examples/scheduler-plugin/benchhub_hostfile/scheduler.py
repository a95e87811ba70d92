"""The scheduler ``hostfile:PATH``: hosts of a plain text file, each used by one run at a time.

Lines of the file are ``NAME TYPE ADDRESS [VARIABLE=VALUE…]``; the variables are Ansible's. Who has which host stands in
``PATH.taken``, which is written under a lock: a run gets all the hosts it needs or none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchhub_ansible.errors import SchedulerError, UsageError
from benchhub_ansible.schedulers.base import (
    AllocatedNode,
    Allocation,
    Cancelled,
    Lender,
    NodeState,
    Progress,
    Request,
)

_PAUSE = 0.2  # seconds between two looks
_LIMIT = 86_400.0  # seconds that a run waits


@dataclass(frozen=True, kw_only=True)
class Host:
    """One line of the file."""

    name: str
    type: str
    address: str
    vars: dict[str, str]


class HostfileScheduler(Lender):
    """Gives a host of the right type for every slot."""

    name = "hostfile"

    def __init__(self, path: Path, hosts: tuple[Host, ...]) -> None:
        self._path = path
        self._hosts = hosts

    @classmethod
    def from_where(cls, text: str) -> Self:
        """The scheduler of ``--on hostfile:PATH``."""
        path = Path(text).expanduser().absolute()
        if not text or not path.is_file():
            raise UsageError(f"--on hostfile:{text}: no such file", hint="say: --on hostfile:PATH")
        rows = [line.split() for line in path.read_text().splitlines() if line.strip() and line[0] != "#"]
        short = [" ".join(row) for row in rows if len(row) < 3]
        if short:
            raise UsageError(f"{path}: {short[0]!r} is no host", hint="a line is: NAME TYPE ADDRESS [VARIABLE=VALUE…]")
        hosts = (Host(name=r[0], type=r[1], address=r[2], vars=dict(v.split("=", 1) for v in r[3:])) for r in rows)
        return cls(path, tuple(hosts))

    @classmethod
    def unusable(cls) -> str | None:
        """It can work everywhere."""
        return None

    def check(self, request: Request) -> None:
        """Raises when there are too few hosts of a type, whoever has them now."""
        for kind in {slot.type for slot in request.slots}:
            wanted = sum(slot.type == kind for slot in request.slots)
            there = sum(host.type == kind for host in self._hosts)
            if there < wanted:
                message = f"{self._path}: the job needs {wanted} hosts of type {kind!r}, and there are {there}"
                raise SchedulerError(message, hint=f"benchhub nodes --on hostfile:{self._path}")

    def acquire(self, request: Request, *, run_id: str, progress: Progress, cancelled: Cancelled) -> Allocation:
        """Waits until there are enough free hosts of every type, and takes them at once."""
        self.check(request)
        told, end = "", time.monotonic() + _LIMIT
        while (hosts := self._take(request, run_id)) is None:
            holders = ", ".join(sorted({lease["run"] for lease in self._taken().values()}))
            if holders != told:
                progress(f"waiting for hosts of {self._path.name}, which {holders} has")
                told = holders
            if cancelled() or time.monotonic() > end:
                raise SchedulerError(f"{self._path}: no hosts were free in time; {holders} has them")
            time.sleep(_PAUSE)
        nodes = tuple(
            AllocatedNode(
                slot=slot.name, host=host.name, address=host.address, vars={"ansible_host": host.address, **host.vars}
            )
            for slot, host in zip(request.slots, hosts, strict=True)
        )
        return Allocation(id=run_id, scheduler=self.name, nodes=nodes, owned=True)

    def extend(self, allocation: Allocation, until: float) -> float:
        """Kept hosts are free again at that time, without anybody's help."""
        with self._changing() as taken:
            for lease in taken.values():
                if lease["run"] == allocation.id:
                    lease["until"] = until
        return until

    def release(self, allocation: Allocation) -> None:
        """Frees the hosts of a run."""
        self._free(allocation.id)

    def recover(self, run_id: str, allocation: Allocation | None) -> None:  # noqa: ARG002 - the run is enough
        """Frees the hosts of a run, also of one that died before it knew that it had them."""
        self._free(run_id)

    def nodes(self) -> tuple[NodeState, ...]:
        """The hosts of the file, and which run has them."""
        taken = self._taken()
        nothing: dict[str, Any] = {}
        return tuple(
            NodeState(
                name=host.name,
                type=host.type,
                address=host.address,
                holder=taken.get(host.name, nothing).get("run"),
                until=taken.get(host.name, nothing).get("until"),
                lease=taken.get(host.name, nothing).get("run"),
            )
            for host in self._hosts
        )

    def end(self, lease: str, *, force: bool) -> None:
        """Frees the hosts of a run for ``benchhub nodes release``. Whether it lives is not known here."""
        if lease not in {held["run"] for held in self._taken().values()}:
            raise SchedulerError(f"{self._path}: nobody has a lease {lease!r}")
        if not force:
            raise SchedulerError(f"the run {lease} may still be under way", hint=f"end it: benchhub stop {lease}")
        self._free(lease)

    def _take(self, request: Request, run_id: str) -> list[Host] | None:
        with self._changing() as taken:
            free = [host for host in self._hosts if host.name not in taken]
            chosen = []
            for slot in request.slots:
                host = next((host for host in free if host.type == slot.type), None)
                if host is None:
                    return None
                free.remove(host)
                chosen.append(host)
            taken.update({host.name: {"run": run_id, "until": None} for host in chosen})
        return chosen

    def _free(self, run_id: str) -> None:
        with self._changing() as taken:
            for name in [name for name, lease in taken.items() if lease["run"] == run_id]:
                del taken[name]

    def _taken(self) -> dict[str, Any]:
        """Who has what; the file is replaced as a whole, so it can be read at any time."""
        try:
            data: dict[str, Any] = json.loads(self._path.with_name(f"{self._path.name}.taken").read_text())
        except FileNotFoundError:
            return {}
        return {name: held for name, held in data.items() if held["until"] is None or held["until"] > time.time()}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Who has what, to be changed: nobody else does so at the same time, and it is written when all went well."""
        try:
            with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                taken = self._taken()
                yield taken
                beside = self._path.with_name(f"{self._path.name}.new")
                beside.write_text(json.dumps(taken))
                beside.replace(self._path.with_name(f"{self._path.name}.taken"))
        except OSError as error:
            raise SchedulerError(f"who has the hosts of {self._path} cannot be written down: {error}") from None
