"""Brace notation's own forms → those of YAML.

Repeated `stage`, `task` and `metric` blocks become lists, a task's command becomes its driver's value, `checkhostport`
becomes `tcp`. After this nothing knows in which notation a job was written.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.job.brace_lexer import BLOCK_KEYS, LINE_KEYS
from benchhub_ansible.job.model import BUILTIN_DRIVERS
from benchhub_ansible.job.suggest import closest, did_you_mean
from benchhub_ansible.job.tree import MappingNode, Node, Scalar, SequenceNode, mapping
from benchhub_ansible.source import Source, Span

_BLOCK_DRIVERS = frozenset({"copy", "template", "fetch", "module", "role"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A key with its value, or a command (then ``key`` is None)."""

    key: Scalar | None
    value: Value


@dataclass(frozen=True, kw_only=True)
class Block:
    """`{ … }`."""

    entries: tuple[Entry, ...]
    span: Span


@dataclass(frozen=True, kw_only=True)
class List:
    """`[ … ]`."""

    items: tuple[Value, ...]
    span: Span


Value = Scalar | Block | List


def shape(block: Block, *, source: Source, found: list[Diagnostic], drivers: frozenset[str]) -> MappingNode:
    """The tree of a whole job; what cannot be shaped is told in ``found``."""
    return _Shaper(source=source, found=found, drivers=drivers | set(BUILTIN_DRIVERS)).job(block)


@dataclass(frozen=True, kw_only=True)
class _Shaper:
    source: Source
    found: list[Diagnostic]
    drivers: frozenset[str]

    def tell(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        """Keeps a finding."""
        self.found.append(Diagnostic(code=code, message=message, source=self.source, span=span, hint=hint))

    def mapping(self, pairs: list[tuple[Scalar, Node]], span: Span) -> MappingNode:
        """The mapping of ``pairs``, doubled keys told."""
        return mapping(pairs, span=span, source=self.source, found=self.found)

    def generic(self, value: Value) -> Node:
        """A value that has the same form in both notations."""
        if isinstance(value, Scalar):
            return value
        if isinstance(value, List):
            return SequenceNode(items=tuple(self.generic(item) for item in value.items), span=value.span)
        pairs = []
        for entry in value.entries:
            if entry.key is None:
                self.tell("syntax", "a command cannot stand here", value.span)
            else:
                pairs.append((entry.key, self.generic(entry.value)))
        return self.mapping(pairs, value.span)

    # -- job and stages ------------------------------------------------------------------------------------------

    def job(self, block: Block) -> MappingNode:
        """The whole file."""
        pairs: list[tuple[Scalar, Node]] = []
        stages: list[Node] = []
        first: Scalar | None = None
        for key, value in self.keyed(block):
            if key.text == "stage":
                first = first or key
                stages.append(self.stage(value))
            elif key.text == "stages" and isinstance(value, List):
                pairs.append(
                    (key, SequenceNode(items=tuple(self.stage(item) for item in value.items), span=value.span))
                )
            else:
                pairs.append((key, self.generic(value)))
        if first is not None:
            pairs.append(
                (replace(first, value="stages", text="stages"), SequenceNode(items=tuple(stages), span=first.span))
            )
        return self.mapping(pairs, block.span)

    def keyed(self, block: Block) -> list[tuple[Scalar, Value]]:
        """The entries of a block that holds no commands."""
        return [(entry.key, entry.value) for entry in block.entries if entry.key is not None]

    def stage(self, value: Value) -> Node:
        """A stage; its `type` is what its tasks have that say none."""
        if not isinstance(value, Block):
            return self.generic(value)
        entries = self.keyed(value)
        default = next(((key, item) for key, item in entries if key.text == "type"), None)
        pairs: list[tuple[Scalar, Node]] = []
        tasks: list[Node] = []
        first: Scalar | None = None
        for key, item in entries:
            if key.text in {"task", "tasks"}:
                first = first or key
                tasks.extend(self.task(task, default) for task in self.tasks(key, item))
            elif key.text != "type":
                pairs.append((key, self.generic(item)))
        if first is not None:
            pairs.append(
                (replace(first, value="tasks", text="tasks"), SequenceNode(items=tuple(tasks), span=first.span))
            )
        return self.mapping(pairs, value.span)

    def tasks(self, key: Scalar, value: Value) -> list[Value]:
        """The tasks that `task { … }`, `tasks { task { … } }` or `tasks = [ … ]` hold."""
        if key.text == "task":
            return [value]
        if isinstance(value, List):
            return list(value.items)
        if isinstance(value, Scalar):
            return [value]
        found = []
        for inner, item in self.keyed(value):
            if inner.text == "task":
                found.append(item)
            else:
                self.tell("unknown-key", f"`tasks` holds `task` blocks, not `{inner.text}`", inner.span)
        return found

    # -- tasks ---------------------------------------------------------------------------------------------------

    def task(self, value: Value, default: tuple[Scalar, Value] | None) -> Node:
        """A task: its command under its driver's name, metrics as a list, checks with YAML's names."""
        if not isinstance(value, Block):
            return self.generic(value)
        pairs: list[tuple[Scalar, Node]] = []
        metrics: list[Node] = []
        first: Scalar | None = None
        for key, item in self.keyed(value):
            if key.text == "metric":
                first = first or key
                metrics.append(self.generic(item))
            elif key.text in {"ready", "live"}:
                pairs.append((key, self.check(item)))
            elif key.text == "shutdown":
                pairs.append((key, self.shutdown(item, self.driver(value))))
            elif key.text not in {"driver", "executable"}:
                pairs.append((key, self.generic(item)))
        if first is not None:
            pairs.append(
                (replace(first, value="metrics", text="metrics"), SequenceNode(items=tuple(metrics), span=first.span))
            )
        if default is not None and all(key.text != "type" for key, _ in pairs):
            pairs.append((default[0], self.generic(default[1])))
        self.run(value, pairs, self.driver(value))
        return self.mapping(pairs, value.span)

    def driver(self, block: Block) -> Scalar | None:
        """What `driver` says, when it names a driver that exists."""
        for key, value in self.keyed(block):
            if key.text == "driver" and isinstance(value, Scalar):
                return value
        return None

    def shutdown(self, value: Value, driver: Scalar | None) -> Node:
        """How a service is stopped: a command of its task's driver when it is one of docker's, else a shell command."""
        if not isinstance(value, Block):
            return self.generic(value)
        pairs = [
            (key, self.generic(item)) for key, item in self.keyed(value) if key.text not in {"driver", "executable"}
        ]
        own = self.driver(value)
        commands = [entry.value for entry in value.entries if entry.key is None]
        is_docker = all(isinstance(item, Scalar) and item.text.startswith("docker ") for item in commands)
        inherited = driver if driver is not None and driver.text == "docker" and is_docker else None
        self.run(value, pairs, own or inherited)
        return self.mapping(pairs, value.span)

    def check(self, value: Value) -> Node:
        """A ready or live check; `checkhostport` is YAML's `tcp`."""
        if not isinstance(value, Block):
            return self.generic(value)
        pairs = []
        for key, item in self.keyed(value):
            name = replace(key, value="tcp", text="tcp") if key.text == "checkhostport" else key
            pairs.append((name, self.generic(item)))
        return self.mapping(pairs, value.span)

    def run(self, block: Block, pairs: list[tuple[Scalar, Node]], driver: Scalar | None) -> None:
        """Puts the block's command under the name of its driver into ``pairs``."""
        commands = [entry.value for entry in block.entries if entry.key is None and isinstance(entry.value, Scalar)]
        for extra in commands[1:]:
            self.second_command(extra)
        name = self.known_driver(driver)
        if commands:
            place = driver or commands[0]
            if name in _BLOCK_DRIVERS:
                message = f"driver `{name}` takes a block, not a command"
                self.tell("syntax", message, commands[0].span, f"write `{name} {{ … }}`")
                name = "shell"
            node = self.command(name, commands[0])
            pairs.append((replace(place, value=name, text=name), node))
        elif driver is not None and all(key.text != name for key, _ in pairs):
            self.tell(
                "missing-command",
                f"driver `{driver.text}` is given nothing to run",
                driver.span,
                "write the command on a line of its own",
            )
            pairs.append((replace(driver, value="shell", text="shell"), replace(driver, value="true", text="true")))
        self.executable(block, pairs)

    def executable(self, block: Block, pairs: list[tuple[Scalar, Node]]) -> None:
        """Joins `executable` and the shell command as YAML's `shell: {run: …, executable: …}`."""
        for key, value in self.keyed(block):
            if key.text != "executable":
                continue
            index = next((number for number, (name, _) in enumerate(pairs) if name.text == "shell"), None)
            if index is None:
                self.tell("unknown-key", "`executable` goes with the driver `shell`", key.span)
                continue
            shell, command = pairs[index]
            run = replace(shell, value="run", text="run")
            pairs[index] = (shell, self.mapping([(run, command), (key, self.generic(value))], block.span))

    def known_driver(self, driver: Scalar | None) -> str:
        """The driver's name; an unknown one is told and `shell` stands in."""
        if driver is None:
            return "shell"
        if driver.text not in self.drivers:
            self.tell(
                "unknown-driver",
                f"there is no driver `{driver.text}`",
                driver.span,
                did_you_mean(driver.text, sorted(self.drivers)),
            )
            return "shell"
        return driver.text

    def second_command(self, command: Scalar) -> None:
        """Tells that a task has two commands; often the second is a key with a typing error."""
        word = command.text.split()[0] if command.text.split() else ""
        meant = closest(word, LINE_KEYS | BLOCK_KEYS, cutoff=0.75)
        hint = (
            f"did you mean the key `{meant}`?"
            if meant
            else "make a task of each, or write one script after `shell <<END`"
        )
        self.tell("two-commands", f"a task has one command, and `{command.text[:40]}` is one more", command.span, hint)

    def command(self, driver: str, command: Scalar) -> Node:
        """A command line as the value that the driver takes in YAML."""
        if driver == "exec":
            return SequenceNode(
                items=tuple(self.part(command, word) for word in self.words(command)), span=command.span
            )
        if driver == "docker":
            return self.docker(command)
        return replace(command, value=command.text)

    def words(self, command: Scalar) -> list[str]:
        """The words of a command line, quotes taken off as a shell would; a backslash at a line's end joins lines."""
        try:
            return shlex.split(command.text.replace("\\\n", ""))
        except ValueError:
            self.tell("syntax", "a quote of this command is not closed", command.span)
            return ["true"]

    def part(self, command: Scalar, text: str) -> Scalar:
        """A word of a command as a value that stands where the command does."""
        return replace(command, value=text, text=text)

    def docker(self, command: Scalar) -> MappingNode:
        """`docker start IMAGE NAME`, `docker build -t NAME FOLDER`, … as YAML's `docker: {…}`."""
        pairs = _docker_pairs(self.words(command))
        if pairs is None:
            self.tell(
                "docker-command",
                "the driver `docker` knows `docker start IMAGE NAME`, `docker stop NAME`, `docker pull IMAGE` and"
                " `docker build -t NAME FOLDER`",
                command.span,
                "write `docker { run = IMAGE publish = [9042:9042] }` for more, or use the driver shell",
            )
            pairs = [("run", "x")]
        return self.mapping([(self.part(command, key), self.part(command, word)) for key, word in pairs], command.span)


#: `docker VERB OPERAND…` of the brace notation, by verb and number of operands: the keys that the operands belong to.
_DOCKER_LINES = {
    ("start", 1): ("run",),
    ("start", 2): ("run", "name"),
    ("stop", 1): ("stop",),
    ("pull", 1): ("pull",),
    ("build", 1): ("build",),
}
_BUILD_OPTIONS = {"-t": "tag", "--tag": "tag", "-f": "file", "--file": "file"}


def _docker_pairs(words: list[str]) -> list[tuple[str, str]] | None:
    """Keys and values of a docker line; None when it is none that is known."""
    if len(words) < 2 or words[0] != "docker":
        return None
    verb, rest = words[1], words[2:]
    options: list[tuple[str, str]] = []
    while verb == "build" and len(rest) > 1 and rest[0] in _BUILD_OPTIONS:
        options.append((_BUILD_OPTIONS[rest[0]], rest[1]))
        rest = rest[2:]
    keys = _DOCKER_LINES.get((verb, len(rest)))
    names = [name for name, _ in options]
    if keys is None or len(set(names)) < len(names) or any(word.startswith("-") for word in rest):
        return None
    return [*zip(keys, rest, strict=True), *options]
