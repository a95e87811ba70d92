"""The lab file of a pool: its machines, how they are reached, and where their leases are written down."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import Diagnostic, Diagnostics, JobError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.job.notation import check_characters
from benchhub_ansible.job.schema import check_against
from benchhub_ansible.job.tree import MappingNode, Scalar, syntax_error
from benchhub_ansible.job.values_reader import ValuesReader
from benchhub_ansible.job.yaml_reader import read_yaml
from benchhub_ansible.resources import schema as schema_file
from benchhub_ansible.source import Source, Span

#: Seconds a machine stays leased after its controller was last heard of.
LEASE = 180.0
#: Seconds a run waits in the queue.
WAIT = 86_400.0
#: A lease is renewed four times in its length, and a busy machine may be late.
_SHORTEST_LEASE = 2.0
_MAX_BYTES = 4 * 2**20

_ADDRESS = re.compile(r"[A-Za-z0-9_:\[][A-Za-z0-9_.:%\[\]-]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"pass$|passwd|password|passphrase|secret|token", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine. Of cores and memory that it does not tell nothing is known, and nothing is asked."""

    name: str
    address: str
    types: tuple[str, ...]
    features: tuple[str, ...] = ()
    cpus: int | None = None
    memory: int | None = None  # bytes
    vars: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, wanted: NodeRequest) -> bool:
        """Whether it can play a node of a job."""
        return (
            wanted.type in self.types
            and set(wanted.features) <= set(self.features)
            and not (wanted.cpus is not None and self.cpus is not None and self.cpus < wanted.cpus)
            and not (wanted.memory is not None and self.memory is not None and self.memory < wanted.memory)
        )


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab file; times in seconds."""

    path: Path
    leases: Path
    machines: tuple[Machine, ...]
    lease: float = LEASE
    wait: float = WAIT

    def __getitem__(self, name: str) -> Machine:
        """The machine of that name; KeyError."""
        return next(machine for machine in self.machines if machine.name == name)


def read_lab(path: Path) -> Lab:
    """The lab of a file; JobError (exit code 3) with every finding and its place."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise JobError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise JobError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from None
    source = Source(name=str(path), text=text)
    check_characters(source, text)
    found: list[Diagnostic] = []
    root = read_yaml(source, text, found) if text.strip() else None
    if not isinstance(root, MappingNode):
        span = root.span if root else None
        hint = "machines: [{name: m1, types: [loader]}]"
        raise syntax_error(source, span, "a lab is a mapping with the key machines", code="wrong-type", hint=hint)
    schema = json.loads(schema_file("pool").read_text(encoding="utf-8"))
    checked = check_against(schema, root, source=source)
    found.extend(checked.found)
    read = ValuesReader(source=source, found=found, bad=frozenset(checked.bad))
    lab = _Reader(read).lab(root, path)
    diagnostics = Diagnostics()
    diagnostics.extend(dict.fromkeys(found))
    diagnostics.raise_if_errors(JobError)
    return lab


@dataclass(frozen=True)
class _Reader:
    """Builds what the schema has let pass, and tells what it cannot know."""

    read: ValuesReader

    def lab(self, root: MappingNode, path: Path) -> Lab:
        read = self.read
        common = self.variables(root)
        nodes = [item for item in read.items(root, "machines") if isinstance(item, MappingNode)]
        machines = [machine for node in nodes if (machine := self.machine(node, common))]
        self.doubled(nodes)
        # by its real path: who comes by a link must find the leases of those who do not
        beside = path.resolve().with_name(f"{path.resolve().name}.leases")
        own = read.text(root, "leases")
        return Lab(
            path=path,
            leases=path.resolve().parent / Path(own).expanduser() if own else beside,
            machines=tuple(machines),
            lease=self.lease(root),
            wait=read.duration(root, "wait") if root.get("wait") is not None else WAIT,  # type: ignore[arg-type]
        )

    def lease(self, root: MappingNode) -> float:
        if root.get("lease") is None:
            return LEASE
        length = self.read.duration(root, "lease")
        scalar = self.read.scalar(root, "lease")
        if length is not None and scalar is not None and length < _SHORTEST_LEASE:
            message = f"a lease of {scalar.text} ends before it can be renewed"
            self.read.tell("out-of-range", message, scalar.span, "say at least 2s; 3m is a good length")
        return length or LEASE

    def machine(self, node: MappingNode, common: Mapping[str, Any]) -> Machine | None:
        read = self.read
        name = read.text(node, "name")
        if name is None:
            return None
        self.shaped(node, "name", _NAME, "a name", "letters, digits, dots, dashes")
        self.shaped(node, "address", _ADDRESS, "a host name or an address", "for example 192.0.2.7 or m1.lab")
        return Machine(
            name=name,
            address=read.text(node, "address") or name,
            types=read.texts(node, "types"),
            features=read.texts(node, "features"),
            cpus=read.integer(node, "cpus"),
            memory=read.size(node, "memory"),
            vars={**common, **self.variables(node)},
        )

    def shaped(self, node: MappingNode, key: str, form: re.Pattern[str], what: str, hint: str) -> None:
        scalar = self.read.scalar(node, key)
        if scalar is not None and form.fullmatch(scalar.text) is None:
            self.read.tell("bad-value", f"`{scalar.text[:60]}` is not {what}", scalar.span, hint)

    def doubled(self, nodes: list[MappingNode]) -> None:
        """Tells names and addresses that stand there twice: one machine must not be leased as two."""
        names, addresses = dict[str, Span](), dict[str, Span]()
        for node in nodes:
            name = self.read.scalar(node, "name")
            address = self.read.scalar(node, "address") or name
            if name is None or address is None:
                continue
            at = f"{address.text}:{self.port(node)}"
            if name.text in names:
                self.again("name", name, names[name.text])
            elif at in addresses:
                self.again("address", address, addresses[at])
            names.setdefault(name.text, name.span)
            addresses.setdefault(at, address.span)

    def again(self, what: str, scalar: Scalar, first: Span) -> None:
        message = f"the {what} `{scalar.text}` stands here a second time"
        hint = f"the first one is in line {first.line}; a machine stands in the list once"
        self.read.tell("duplicate-name", message, scalar.span, hint)

    def port(self, node: MappingNode) -> str:
        variables = self.read.child(node, "vars")
        port = self.read.scalar(variables, "ansible_port") if variables else None
        return port.text if port else ""

    def variables(self, node: MappingNode) -> dict[str, Any]:
        """Ansible variables; none that would put a password into every run folder."""
        variables = self.read.child(node, "vars")
        if variables is None:
            return {}
        for name, key, value in variables.entries():
            if _VARIABLE.fullmatch(name) is None or name.startswith("benchhub_"):
                self.read.tell("bad-value", f"`{name[:60]}` cannot be a variable here", key.span, _OF_VARIABLES)
            elif _SECRET.search(name) and not (isinstance(value, Scalar) and "{{" in value.text):
                message = f"`{name}` would be written to every run folder in clear text"
                self.read.tell("secret", message, key.span, _OF_SECRETS)
        return {name: self.read.value(value) for name, _, value in variables.entries()}


_OF_VARIABLES = "a name of letters, digits and _; those that begin with benchhub_ are our own"
_OF_SECRETS = "log in with keys, or let Ansible read it: \"{{ lookup('file', '~/.lab-password') }}\""
