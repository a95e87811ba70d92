"""The scheduler ``inventory:PATH``: any Ansible inventory; its groups are node types.

The inventory is read by Ansible, so dynamic inventories and vault work: by ``ansible-inventory``, unless somebody who
has started Ansible anyway offers what that one has read. Only names of hosts and groups, and addresses, are kept: every
other variable stays where it is and is taken by the run itself (inventory plugin ``benchhub.bench.slots``), so no value
of the user's inventory is written to a run folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from benchhub_ansible.errors import SchedulerError, UsageError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import (
    AllocatedNode,
    Allocation,
    Cancelled,
    Lender,
    NodeState,
    Progress,
    Request,
)
from benchhub_ansible.schedulers.matching import Matching, Shortage
from benchhub_ansible.values import parse_size

#: A dynamic inventory that asks a cloud may take long, but not for ever.
_READ_TIMEOUT = 120.0
_LAST_LINES = 8
#: Gives what Ansible has read, as ``ansible-inventory --list`` prints it, within so many seconds, else TimeoutError.
#: None or no hosts: ansible-inventory should be asked what is wrong.
Reader = Callable[[float], Mapping[str, Any] | None]

#: Options of ansible-playbook, each with a value, that ansible-inventory has too and that matter to it.
_TAKEN_OPTIONS = frozenset(
    {"-e", "--extra-vars", "--playbook-dir", "--vault-id", "--vault-pass-file", "--vault-password-file"}
)


def _ansible_inventory() -> str | None:
    """The program of the same environment as this Python, else the one on PATH."""
    beside = Path(sys.executable).parent / "ansible-inventory"
    return str(beside) if beside.exists() else shutil.which("ansible-inventory")


def inventory_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Those arguments of ansible-playbook that change what an inventory says: vaults and variables.

    ansible-inventory refuses most of the others, and with ``-v`` it puts words before its JSON.
    """
    kept: list[str] = []
    given = iter(arguments)
    for argument in given:
        option, equals, _value = argument.partition("=")
        if option in _TAKEN_OPTIONS:
            kept.append(argument)
            kept += () if equals else [value for value in [next(given, None)] if value is not None]
        elif argument.startswith("-e") and len(argument) > len("-e"):
            kept.append(argument)
    return tuple(kept)


class InventoryScheduler(Lender):
    """Gives hosts of an Ansible inventory: a slot of type T takes a host of group T, in its order where it can."""

    name = "inventory"
    immediate = True

    def __init__(self, path: Path, *, arguments: Sequence[str] = ()) -> None:
        self.path = path
        self.arguments = tuple(arguments)  # e.g. --vault-password-file FILE
        self._read: Mapping[str, Any] | None = None
        self._reader: Reader = lambda _limit: None

    @classmethod
    def from_where(cls, text: str) -> Self:
        """The scheduler for an inventory file or folder; UsageError when it does not exist."""
        if not text:
            raise UsageError("--on inventory: no path is given", hint="say: --on inventory:PATH (a file or a folder)")
        path = Path(text).expanduser().absolute()
        if not path.exists():
            raise UsageError(f"--on inventory:{text}: no such file", hint="give the path of an Ansible inventory")
        return cls(path)

    @classmethod
    def unusable(cls) -> str | None:
        """Why it cannot work here: ansible-inventory is missing."""
        return None if _ansible_inventory() else "ansible-inventory is not installed; mend: pip install ansible-core"

    def read_by(self, reader: Reader) -> None:
        """Lets somebody else read the inventory, who was started for another purpose too."""
        self._reader, self._read = reader, None

    def check(self, request: Request) -> None:
        """Returns when every type has hosts enough; raises naming the group and both counts."""
        self._assign(request)

    def acquire(
        self,
        request: Request,
        *,
        run_id: str,
        progress: Progress,  # noqa: ARG002 - nothing is waited for
        cancelled: Cancelled,  # noqa: ARG002
    ) -> Allocation:
        """The hosts, at once: an inventory knows no leases, so nothing is locked."""
        variables = self._hostvars()
        nodes = []
        for slot, host in self._assign(request):
            address = str(variables.get(host, {}).get("ansible_host", host))
            nodes.append(AllocatedNode(slot=slot.name, host=host, address=address))
        return Allocation(
            id=f"inventory-{run_id}", scheduler=self.name, nodes=tuple(nodes), inventory_source=str(self.path)
        )

    def nodes(self) -> tuple[NodeState, ...]:
        """Every host once, with the groups it is in."""
        variables = self._hostvars()
        groups: dict[str, list[str]] = {}
        for group in self._groups():
            for host in self._hosts(group):
                groups.setdefault(host, []).append(group)
        return tuple(
            NodeState(name=host, type=",".join(names), address=str(variables.get(host, {}).get("ansible_host", host)))
            for host, names in groups.items()
        )

    def _assign(self, request: Request) -> list[tuple[Slot, str]]:
        """A host for every slot, or one SchedulerError that tells of every group with too few.

        A host of several groups plays where it is needed: whenever there is an assignment, one is found.
        """
        fitting = {
            node.name: tuple(host for host in self._hosts(node.type) if self._fits(host, node))
            for node in request.nodes
        }
        matching = Matching()
        for slot in request.slots:
            matching.add(fitting[slot.node])
        shortages = matching.shortages()
        if shortages:
            told = dict.fromkeys(self._too_few(short, request) for short in shortages)
            raise SchedulerError(*told, hint=self._hint())
        return [(slot, matching.machine[number]) for number, slot in enumerate(request.slots)]

    def _too_few(self, short: Shortage, request: Request) -> str:
        groups = list(dict.fromkeys(request.slots[number].type for number in short.slots))
        if len(groups) == 1:
            return self._too_few_of(groups[0], request)
        counts = [f"{sum(request.slots[n].type == group for n in short.slots)} of group {group!r}" for group in groups]
        plural = "host is" if len(short.machines) == 1 else "hosts are"
        return (
            f"{self.path}: the job needs {len(short.slots)} hosts, {' and '.join(counts)}, and only"
            f" {len(short.machines)} {plural} in these groups: {', '.join(short.machines[:5])}"
        )

    def _too_few_of(self, group: str, request: Request) -> str:
        wanted = sum(slot.type == group for slot in request.slots)
        plural = "host" if wanted == 1 else "hosts"
        if group not in self._groups():
            return f"{self.path}: the job needs {wanted} {plural} of group {group!r}, and there is no such group"
        hosts = self._hosts(group)
        message = f"{self.path}: the job needs {wanted} {plural} of group {group!r}, which has {len(hosts)}"
        unfit = [h for h in hosts if not all(self._fits(h, n) for n in request.nodes if n.type == group)]
        if unfit:
            message += f"; too small or without the features asked for: {', '.join(unfit[:5])}"
        return message

    def _hint(self) -> str:
        return f"groups of the inventory are node types; there are: {', '.join(self._groups()) or 'none'}"

    def _fits(self, host: str, wanted: NodeRequest) -> bool:
        """Whether what the host says of itself is enough; what it does not say is not asked."""
        said = self._hostvars().get(host, {})
        features, cpus, memory = said.get("features"), said.get("cpus"), said.get("memory")
        if isinstance(features, list) and not set(wanted.features) <= {str(f) for f in features}:
            return False
        if isinstance(cpus, int) and wanted.cpus is not None and cpus < wanted.cpus:
            return False
        if isinstance(memory, int | str) and wanted.memory is not None:
            try:
                return parse_size(memory) >= wanted.memory
            except ValueError:
                return True
        return True

    def _hostvars(self) -> Mapping[str, Mapping[str, Any]]:
        hostvars: Mapping[str, Mapping[str, Any]] = self._data().get("_meta", {}).get("hostvars", {})
        return hostvars

    def _groups(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in self._data() if name not in ("_meta", "all", "ungrouped")))

    def _hosts(self, group: str) -> tuple[str, ...]:
        """The hosts of a group and of the groups below it, each once, in the inventory's order."""
        found: dict[str, None] = {}
        pending, seen = [group], set()
        while pending:
            name = pending.pop(0)
            if name in seen:
                continue
            seen.add(name)
            entry = self._data().get(name, {})
            found.update(dict.fromkeys(entry.get("hosts", ())))
            pending.extend(entry.get("children", ()))
        return tuple(found)

    def _data(self) -> Mapping[str, Any]:
        if self._read is None:
            try:
                told = self._reader(_READ_TIMEOUT)
            except TimeoutError:
                raise self._too_slow() from None
            found = told if told and _has_hosts(told) else self._list()
            if told is not None and found is not told:
                raise SchedulerError(
                    f"{self.path}: ansible-inventory finds hosts in it, the Ansible of a run does not",
                    hint="if it needs variables of your environment, name them in `pass_env` of the settings; what your"
                    " ansible.cfg says of inventories has to be said in ANSIBLE_… variables",
                )
            self._read = found
        return self._read

    def _too_slow(self) -> SchedulerError:
        return SchedulerError(f"{self.path}: reading it took longer than {_READ_TIMEOUT:.0f} s")

    def _list(self) -> dict[str, Any]:
        """What ``ansible-inventory --list`` says; its own words when it fails."""
        program = _ansible_inventory()
        if program is None:
            raise SchedulerError("ansible-inventory is not installed", hint="pip install ansible-core")
        command = [program, "-i", str(self.path), "--list", *inventory_arguments(self.arguments)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_READ_TIMEOUT, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise self._too_slow() from None
        words = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        if done.returncode != 0:
            raise SchedulerError(
                f"{self.path}: ansible-inventory cannot read it:\n{words}",
                hint=f"try it by hand: ansible-inventory -i {self.path} --list",
            )
        try:
            data = json.loads(done.stdout)
        except ValueError:
            raise SchedulerError(f"{self.path}: ansible-inventory printed no JSON:\n{words}") from None
        if not isinstance(data, dict) or not _has_hosts(data):
            raise SchedulerError(f"{self.path}: the inventory has no hosts" + (f":\n{words}" if words else ""))
        return data


def _has_hosts(data: Mapping[str, Any]) -> bool:
    told = data.get("_meta", {}).get("hostvars")
    return bool(told) or any(isinstance(entry, dict) and entry.get("hosts") for entry in data.values())
