"""Whether every ``${…}`` of the job means something where it stands.

Read from the tree, not from the Job, because a finding has to point at the reference itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchhub_ansible.errors import Diagnostic, Severity
from benchhub_ansible.job.checks import groups
from benchhub_ansible.job.model import Block, Job
from benchhub_ansible.job.suggest import closest, did_you_mean
from benchhub_ansible.job.tree import MappingNode, Node, Scalar, SequenceNode, scalars
from benchhub_ansible.source import Span
from benchhub_ansible.values import Reference, tokens

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"[A-Za-z_][\w-]*(?:\[\d+\])?(?:\.[\w-]+(?:\[\d+\])?)+")
_NODES = re.compile(r"nodes\.([\w-]+?)(?:\[(\d+)\])?\.([\w-]+)")
_FIXED = ("central", "node.address", "node.name", "node.index", "run.id", "run.dir")
_ROOTS = frozenset({"node", "nodes", "types", "run", "secrets"})

#: Two names are near when so much of them is the same: a swapped letter, a missing one, another case.
_NEAR = 0.8


@dataclass(frozen=True, kw_only=True)
class _Scope:
    """The names that mean something in one stage."""

    always: frozenset[str]  # vars, and the matrix names of every block the stage runs in
    sometimes: frozenset[str]  # matrix names of some of its blocks, but not of all
    elsewhere: frozenset[str]  # matrix names of blocks it does not run in; empty for a stage that never runs


def check_references(job: Job, root: MappingNode, *, lost: frozenset[str]) -> Iterator[Diagnostic]:
    """The findings about the references of every stage and of `vars`."""
    checker = _Checker(job=job, lost=lost)
    yield from checker.vars(root)
    stages = root.get("stages")
    scopes = _scopes(job)
    for stage in stages.items if isinstance(stages, SequenceNode) else ():
        name = stage.get("name") if isinstance(stage, MappingNode) else None
        tasks = stage.get("tasks") if isinstance(stage, MappingNode) else None
        if isinstance(name, Scalar) and isinstance(tasks, SequenceNode):
            scope = scopes.get(name.text) or _Scope(
                always=frozenset(job.vars), sometimes=frozenset(), elsewhere=frozenset()
            )
            for task in tasks.items:
                yield from checker.task(task, scope)


def _scopes(job: Job) -> dict[str, _Scope]:
    uses: dict[str, list[frozenset[str]]] = {}
    for group, block in groups(job):
        for ref in group.stages:
            uses.setdefault(ref.name, []).append(frozenset(block.matrix) if block is not None else frozenset())
    for ref in job.cleanup:
        uses.setdefault(ref.name, []).append(frozenset())
    every: frozenset[str] = frozenset().union(*(item.matrix for item in job.pipeline if isinstance(item, Block)))
    scopes = {}
    for name, found in uses.items():
        common = frozenset.intersection(*found)
        union = frozenset[str]().union(*found)
        scopes[name] = _Scope(
            always=common | frozenset(job.vars), sometimes=union - common - frozenset(job.vars), elsewhere=every - union
        )
    return scopes


@dataclass(frozen=True, kw_only=True)
class _Checker:
    job: Job
    lost: frozenset[str]

    def finding(self, code: str, message: str, span: Span, hint: str | None, *, warning: bool = False) -> Diagnostic:
        """One finding."""
        severity = Severity.WARNING if warning else Severity.ERROR
        return Diagnostic(code=code, message=message, severity=severity, source=self.job.source, span=span, hint=hint)

    def vars(self, root: MappingNode) -> Iterator[Diagnostic]:
        """A reference in the value of a variable is not replaced again, which its author should know."""
        variables = root.get("vars")
        for _, _, value in variables.entries() if isinstance(variables, MappingNode) else ():
            for reference, span in self.found(value) if isinstance(value, Scalar) else ():
                message = f"a value of `vars` is taken as it is, `${{{reference.name}}}` in it too"
                yield self.finding(
                    "reference-in-vars", message, span, "put the reference where the variable is used", warning=True
                )

    def task(self, task: Node, scope: _Scope) -> Iterator[Diagnostic]:
        """The findings of one task, its checks and its shutdown."""
        env = task.get("env") if isinstance(task, MappingNode) else None
        own = frozenset(env.keys) if isinstance(env, MappingNode) else frozenset()
        for scalar in _task_texts(task):
            for reference, span in self.found(scalar):
                finding = self.reference(reference.name, span, scope, own)
                if finding is not None:
                    yield finding

    def found(self, scalar: Scalar) -> Iterator[tuple[Reference, Span]]:
        """The references of a text, each where it stands in the file."""
        if "${" not in scalar.text:
            return
        references = [token for token in tokens(scalar.text) if isinstance(token, Reference)]
        written = self.job.source.text[scalar.start : scalar.end]
        places = [token for token in tokens(written) if isinstance(token, Reference)]
        same = [item.name for item in references] == [item.name for item in places]
        for number, reference in enumerate(references):
            span = scalar.span
            if same:  # else escapes or folded lines stand between: the whole value is shown
                before = written[: places[number].offset]
                column = (
                    places[number].offset - before.rfind("\n") if "\n" in before else scalar.span.column + len(before)
                )
                span = Span(line=scalar.span.line + before.count("\n"), column=column, length=len(reference.name) + 3)
            yield reference, span

    def reference(self, name: str, span: Span, scope: _Scope, env: frozenset[str]) -> Diagnostic | None:
        """What is wrong with `${name}` in this scope, if anything."""
        if name in scope.always or name in env:
            return None
        if name == "central":
            return self.central(span)
        if _DOTTED.fullmatch(name):
            return self.dotted(name, span)
        if name in scope.sometimes | scope.elsewhere and "pipeline" not in self.lost:
            also = "also " if name in scope.sometimes else ""
            message = f"`${{{name}}}` is of a matrix, and this stage {also}runs outside that block"
            return self.finding(
                "unresolved-reference", message, span, f"name it in `vars`, or write $${{{name}}} for the shell's"
            )
        return self.shell_variable(name, span, scope)

    def shell_variable(self, name: str, span: Span, scope: _Scope) -> Diagnostic | None:
        """A name that is left to the shell, when it looks as if it were meant for us."""
        known = [*sorted(scope.always), "central"]
        if _SHELL_NAME.fullmatch(name) is None:
            inner = _SHELL_NAME.match(name)
            if inner is None or inner[0] not in known:
                return None
            message = f"`${{{name}}}` is left to the shell, which does not know the job's `{inner[0]}`"
            return self.finding(
                "near-miss",
                message,
                span,
                f"`${{{inner[0]}}}` is the job's; set a variable from it for more",
                warning=True,
            )
        near = closest(name, known, cutoff=_NEAR)
        if near is None:
            return None
        hint = f"did you mean `${{{near}}}`?"
        return self.finding("near-miss", f"`${{{name}}}` is left to the shell", span, hint, warning=True)

    def central(self, span: Span) -> Diagnostic | None:
        """`${central}` needs a node that it can be."""
        if (
            self.job.central is not None
            or any(node.type == "database" for node in self.job.nodes)
            or "nodes" in self.lost
        ):
            return None
        hint = "name a node as `central`, or give a node the type `database`"
        return self.finding("unresolved-reference", "`${central}` is no node of this job", span, hint)

    def dotted(self, name: str, span: Span) -> Diagnostic | None:
        """A reference of the form `a.b`."""
        root = name.partition(".")[0]
        problem: tuple[str, str | None] | None
        if root == "nodes":
            problem = self.nodes(name)
        elif root == "types":
            problem = self.types(name)
        elif root == "secrets":
            secrets = [secret.name for secret in self.job.secrets]
            wanted = name.removeprefix("secrets.")
            known = wanted in secrets
            problem = (
                None
                if known
                else (f"there is no secret `{wanted}`", did_you_mean(wanted, secrets) or "name it in `secrets`")
            )
        elif name in _FIXED:
            problem = None
        else:
            every = [*_FIXED, *self.job.vars]
            near = did_you_mean(name, [f"${{{item}}}" for item in every])
            hint = near if near and root in _ROOTS else f"write $${{{name}}} for these characters themselves"
            problem = ("nothing of this name can be referred to", hint)
        if problem is None:
            return None
        return self.finding("unresolved-reference", f"`${{{name}}}`: {problem[0]}", span, problem[1])

    def nodes(self, name: str) -> tuple[str, str | None] | None:
        """`nodes.NAME.address`, `nodes.NAME[1].name`."""
        match = _NODES.fullmatch(name)
        if match is None or match[3] not in {"address", "name"}:
            return "of a node there are `address` and `name`", "for example ${nodes.db.address}"
        if "nodes" in self.lost:
            return None
        node = next((node for node in self.job.nodes if node.name == match[1]), None)
        if node is None:
            return f"there is no node `{match[1]}`", did_you_mean(match[1], (node.name for node in self.job.nodes))
        if match[2] is not None and int(match[2][:9]) >= node.count:
            return f"`{node.name}` has {node.count} slots, counted from 0", None
        return None

    def types(self, name: str) -> tuple[str, str | None] | None:
        """`types.NAME.addresses`, `types.NAME.names`."""
        parts = name.split(".")
        if len(parts) != 3 or parts[2] not in {"addresses", "names"}:
            return "of a type there are `addresses` and `names`", "for example ${types.database.addresses}"
        known = list(dict.fromkeys(node.type for node in self.job.nodes))
        if parts[1] in known or "nodes" in self.lost:
            return None
        return f"no node has the type `{parts[1]}`", did_you_mean(parts[1], known)


def _task_texts(task: Node) -> Iterator[Scalar]:
    """The values of a task in which references are replaced: not its names, and of metrics only the file."""
    if not isinstance(task, MappingNode):
        return
    for key, _, value in task.entries():
        if key == "metrics":
            metrics = value.items if isinstance(value, SequenceNode) else ()
            files = (metric.get("file") for metric in metrics if isinstance(metric, MappingNode))
            yield from (file for file in files if isinstance(file, Scalar))
        elif key not in {"name", "type"}:
            yield from scalars(value)
