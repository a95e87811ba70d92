"""What has to be true of a job as a whole: a tuple of pure functions, each giving its findings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from benchhub_ansible.errors import Diagnostic, Severity
from benchhub_ansible.job.model import Block, Group, Job, NodeRequest, Stage, StageRef, Task
from benchhub_ansible.job.suggest import MAX_LISTED, closest, did_you_mean
from benchhub_ansible.source import Span

Check = Callable[[Job], Iterator[Diagnostic]]

_NODE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
_VAR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
#: Names of Ansible's inventory and of ours, which a node or type cannot have.
RESERVED_NODES = frozenset({"all", "ungrouped", "localhost", "benchhub", "benchhub_failed"})
#: First words of references that are not of `vars`.
RESERVED_VARS = frozenset({"central", "node", "nodes", "types", "run", "secrets"})


def check_job(job: Job, *, lost: frozenset[str]) -> Iterator[Diagnostic]:
    """All findings; a check is left out when a part of the job it reads (``lost``) could not be read whole."""
    for check, needs in CHECKS:
        if not needs & lost:
            yield from check(job)


def _error(job: Job, code: str, message: str, span: Span, hint: str | None = None) -> Diagnostic:
    return Diagnostic(code=code, message=message, source=job.source, span=span, hint=hint)


def _warning(job: Job, code: str, message: str, span: Span, hint: str | None = None) -> Diagnostic:
    return Diagnostic(code=code, message=message, severity=Severity.WARNING, source=job.source, span=span, hint=hint)


def groups(job: Job) -> Iterator[tuple[Group, Block | None]]:
    """Every group of the pipeline, with the block it stands in."""
    for item in job.pipeline:
        if isinstance(item, Group):
            yield item, None
        else:
            for group in item.groups:
                yield group, item


def references(job: Job) -> Iterator[StageRef]:
    """Every place that names a stage."""
    for group, _ in groups(job):
        yield from group.stages
    yield from job.cleanup


def tasks(job: Job) -> Iterator[tuple[Stage, Task]]:
    """Every task with its stage."""
    for stage in job.stages:
        for task in stage.tasks:
            yield stage, task


# -- stages -------------------------------------------------------------------------------------------------------


def duplicate_stages(job: Job) -> Iterator[Diagnostic]:
    """Two stages of one name."""
    first: dict[str, Stage] = {}
    for stage in job.stages:
        if stage.name in first:
            hint = f"the first one is in line {first[stage.name].span.line}; rename one of them"
            yield _error(job, "duplicate-stage", f"there is a stage `{stage.name}` already", stage.span, hint)
        first.setdefault(stage.name, stage)


#: So many mistyped names get a suggestion: comparing every name with every stage takes time that grows as the square.
_MAX_SUGGESTIONS = 50


def _meant(job: Job) -> dict[str, str | None]:
    """Unknown name → the stage it was meant to be; one that nothing else names comes first."""
    known = [stage.name for stage in job.stages]
    used = {ref.name for ref in references(job)}
    unused = [name for name in known if name not in used]
    names = set(known)
    unknown = dict.fromkeys(ref.name for ref in references(job) if ref.name not in names)
    return {name: closest(name, unused) or closest(name, known) for name in list(unknown)[:_MAX_SUGGESTIONS]}


def unknown_stages(job: Job) -> Iterator[Diagnostic]:
    """A name in the pipeline or cleanup that no stage has."""
    names = {stage.name for stage in job.stages}
    meant = _meant(job)
    for ref in references(job):
        if ref.name not in names:
            near = meant.get(ref.name)
            listed = ", ".join(f"`{name}`" for name in sorted(names)) if len(names) <= MAX_LISTED else None
            hint = f"did you mean `{near}`?" if near is not None else f"there are: {listed}" if listed else None
            yield _error(job, "unknown-stage", f"there is no stage `{ref.name}`", ref.span, hint)


def stages_that_never_run(job: Job) -> Iterator[Diagnostic]:
    """A stage in no group. One that a mistyped name was meant to be is told there, and not again here."""
    used = {ref.name for ref in references(job)}
    meant = set(_meant(job).values())
    for stage in job.stages:
        if stage.name not in used and stage.name not in meant:
            message = f"the stage `{stage.name}` is in no group, so it never runs"
            yield _warning(
                job, "stage-never-runs", message, stage.span, "name it in `pipeline` or `cleanup`, or remove it"
            )


def doubled_in_group(job: Job) -> Iterator[Diagnostic]:
    """A stage twice in one group: it cannot run beside itself."""
    for refs, where in [*((group.stages, "group") for group, _ in groups(job)), (job.cleanup, "cleanup")]:
        seen: set[str] = set()
        for ref in refs:
            if ref.name in seen:
                message = f"the stage `{ref.name}` is twice in this {where}"
                yield _error(job, "doubled-stage", message, ref.span, "a group is a set; repeat with `repeat: 2`")
            seen.add(ref.name)


# -- services -----------------------------------------------------------------------------------------------------


def duplicate_services(job: Job) -> Iterator[Diagnostic]:
    """Two long-running tasks of one name: logs, reports and shutdown could not tell them apart."""
    first: dict[str, Task] = {}
    for _, task in tasks(job):
        if not task.long:
            continue
        if task.name in first:
            hint = f"the first one is in line {first[task.name].span.line}; give one of them a `name`"
            yield _error(job, "duplicate-service", f"there is a service `{task.name}` already", task.span, hint)
        first.setdefault(task.name, task)


def long_without_ready(job: Job) -> Iterator[Diagnostic]:
    """A service of which nobody knows when it is up."""
    for _, task in tasks(job):
        if task.long and task.ready is None:
            yield _warning(
                job,
                "long-without-ready",
                f"the service `{task.name}` has no ready check, so the next group begins at once",
                task.span,
                "for example ready: {tcp: localhost:9042}",
            )


def services_in_cleanup(job: Job) -> Iterator[Diagnostic]:
    """A service that would be started when the run ends."""
    by_name = {stage.name: stage for stage in job.stages}
    for ref in job.cleanup:
        stage = by_name.get(ref.name)
        if stage is not None and any(task.long for task in stage.tasks):
            message = f"the stage `{ref.name}` starts a service, which cleanup cannot do"
            yield _error(job, "service-in-cleanup", message, ref.span, "cleanup runs after all services are stopped")


# -- nodes --------------------------------------------------------------------------------------------------------


def node_names(job: Job) -> Iterator[Diagnostic]:
    """Names that no inventory could hold."""
    for node in job.nodes:
        for name in dict.fromkeys((node.name, node.type)):
            if _NODE_NAME.fullmatch(name) is None:
                hint = "letters, digits, `-` and `_`, at most 63"
                yield _error(job, "bad-name", f"`{name[:80]}` cannot be the name of a node or type", node.span, hint)
            elif name in RESERVED_NODES:
                message = f"`{name}` has a meaning of its own and cannot be the name of a node or type"
                yield _error(job, "reserved-name", message, node.span)


def _slots(node: NodeRequest) -> set[str]:
    return {node.name} if node.count == 1 else {f"{node.name}-{number}" for number in range(1, node.count + 1)}


def node_meanings(job: Job) -> Iterator[Diagnostic]:
    """One word that would mean two sets of nodes: as a name and as a type, as a slot, or with `-` for `_`."""
    by_type: dict[str, list[NodeRequest]] = {}
    for node in job.nodes:
        by_type.setdefault(node.type, []).append(node)
    owner: dict[str, NodeRequest] = {}
    folded: dict[str, str] = {}
    for node in job.nodes:
        if node.name in by_type and by_type[node.name] != [node]:
            message = f"`{node.name}` is the name of a node and also a type of other nodes"
            yield _error(job, "ambiguous-node", message, node.span, "rename one of them")
        for slot in _slots(node):
            other = owner.setdefault(slot, node)
            if other is not node:
                message = f"the nodes `{other.name}` and `{node.name}` would both have a slot `{slot}`"
                yield _error(job, "ambiguous-node", message, node.span, "rename one of them")
                break
        for name in dict.fromkeys((node.name, node.type)):
            other_name = folded.setdefault(name.replace("-", "_"), name)
            if other_name != name:
                message = f"`{other_name}` and `{name}` differ only in `-` and `_`, which is one group to Ansible"
                yield _error(job, "ambiguous-node", message, node.span, "rename one of them")


def central_node(job: Job) -> Iterator[Diagnostic]:
    """`central` has to be a node of the job."""
    names = [node.name for node in job.nodes]
    if job.central is not None and job.central not in names:
        span = job.central_span or Span(line=1, column=1)
        message = f"`central` names `{job.central}`, and there is no such node"
        yield _error(job, "unknown-node", message, span, did_you_mean(job.central, names))


# -- names of references ------------------------------------------------------------------------------------------


def variable_names(job: Job) -> Iterator[Diagnostic]:
    """Names of vars, secrets and matrix that `${…}` could not refer to."""
    named = [(name, job.vars_span) for name in job.vars]
    named += [(name, item.span) for item in job.pipeline if isinstance(item, Block) for name in item.matrix]
    for name, span in named:
        if _VAR_NAME.fullmatch(name) is None:
            hint = "letters, digits, `-` and `_`, not a digit first"
            yield _error(
                job, "bad-name", f"`{name[:80]}` cannot be the name of a variable", span or Span(line=1, column=1), hint
            )
        elif name in RESERVED_VARS:
            message = f"`{name}` has a meaning of its own and cannot be the name of a variable"
            yield _error(job, "reserved-name", message, span or Span(line=1, column=1))
    for secret in job.secrets:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", secret.name) is None:
            hint = "letters, digits and `_`, not a digit first"
            yield _error(job, "bad-name", f"`{secret.name[:80]}` cannot be the name of a secret", secret.span, hint)


def repeated_values(job: Job) -> Iterator[Diagnostic]:
    """A matrix value that stands there twice: the two turns could not be told apart."""
    for item in job.pipeline:
        if isinstance(item, Block):
            for name, values in item.matrix.items():
                for value, count in Counter(values).items():
                    if count > 1:
                        message = f"the matrix gives `{name}` the value `{value}` {count} times"
                        yield _error(job, "doubled-value", message, item.span, "to repeat a turn use `repeat`")


#: Each check with the parts of the job that it reads.
CHECKS: tuple[tuple[Check, frozenset[str]], ...] = (
    (duplicate_stages, frozenset()),
    (unknown_stages, frozenset({"stages"})),
    (stages_that_never_run, frozenset({"stages", "pipeline", "cleanup"})),
    (doubled_in_group, frozenset()),
    (duplicate_services, frozenset()),
    (long_without_ready, frozenset()),
    (services_in_cleanup, frozenset()),
    (node_names, frozenset({"nodes"})),
    (node_meanings, frozenset({"nodes"})),
    (central_node, frozenset({"nodes"})),
    (variable_names, frozenset()),
    (repeated_values, frozenset()),
)
