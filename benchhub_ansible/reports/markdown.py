"""report.md: the verdict first, then the numbers, then all that is needed to judge or repeat them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from benchhub_ansible.reports import text
from benchhub_ansible.results.model import Failure, Node, Result, StageRun

#: Rows and slots beyond these are counted, not shown: a report is read by people, result.json holds all.
ROWS = 200
COLUMNS = 12
#: Facts of a node that only programs ask for.
_FOR_PROGRAMS = ("boot_id", "uid")


class MarkdownReport:
    """The report of a run as Markdown."""

    def render(self, result: Result, *, color: bool, width: int) -> str:  # noqa: ARG002 - the protocol's
        """Sections in the order in which one asks: did it work, what came out, can it be trusted, where is the rest."""
        blocks = [
            *_head(result),
            *_failures(result),
            *_warnings(result),
            *_metrics(result),
            *_summaries(result),
            *_starts(result),
            *_stages(result),
            *_services(result),
            *_containers(result),
            *_nodes(result),
            *_further(result),
        ]
        return "\n\n".join(blocks) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table of escaped cells, or nothing when there are no rows."""
    found = list(rows)
    if found:
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(cell or " " for cell in row) + " |" for row in found[:ROWS]]
        yield "\n".join(lines)
        if len(found) > ROWS:
            yield f"… and {len(found) - ROWS} more rows; `result.json` holds all of them."


def _head(result: Result) -> Iterator[str]:
    job = result.job
    yield f"# {text.escaped(job.name or 'unknown job')}"
    yield f"**{text.escaped(text.verdict_line(result), limit=500)}**"
    rows = [
        ("run", text.code(result.run_id)),
        ("workload", text.escaped(job.workload or text.UNKNOWN)),
        ("database", text.escaped(job.database or text.UNKNOWN)),
        ("reason", text.escaped(job.reason or text.UNKNOWN)),
        ("nodes from", text.escaped(result.where or text.UNKNOWN)),
        ("profile", text.escaped(result.profile)),
        ("started", text.instant(result.started)),
        ("took", text.seconds(result.duration)),
        ("plan", text.code(job.plan_hash or "unknown")),
        ("versions", text.escaped(_listed(result.versions))),
    ]
    yield from _table(("", ""), rows)


def _warnings(result: Result) -> Iterator[str]:
    if result.warnings:
        yield "\n".join(f"- Warning: {text.escaped(warning)}" for warning in result.warnings[:ROWS])


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or text.UNKNOWN


def _metrics(result: Result) -> Iterator[str]:
    stages = text.stage_of(result)
    rows = [
        (
            text.escaped(stages[item.stage].title),
            text.escaped(item.metric),
            text.escaped(item.slot),
            text.escaped(text.value_of(item)),
            text.escaped(text.validity(item)),
        )
        for item in result.samples
    ] + [
        (
            text.escaped(stages[item.stage].title),
            text.escaped(item.metric),
            f"**{item.function} of all**",
            f"**{text.escaped(text.value_of(item))}**",
            text.escaped(text.validity(item)),
        )
        for item in result.aggregates
    ]
    if rows:
        yield "## Metrics"
        yield from _table(("stage", "metric", "node", "value", "valid"), rows)


def _summaries(result: Result) -> Iterator[str]:
    if not any(item.n + item.unusable > 1 for item in result.summaries):
        return
    yield "## Over repetitions (without warm-ups)"
    rows = (
        (
            text.escaped(f"{item.stage} {text.pairs(item.values)}".strip()),
            text.escaped(item.metric),
            text.escaped(item.slot or f"{item.function} of all"),
            f"{item.n}" + (f" ({item.unusable} unusable)" if item.unusable else ""),
            *(text.escaped(text.number(value, item.unit)) for value in (item.median, item.min, item.max, item.mean)),
            text.UNKNOWN if item.stdev is None else text.escaped(text.number(item.stdev)),
        )
        for item in result.summaries
    )
    yield from _table(("stage", "metric", "node", "n", "median", "min", "max", "mean", "stdev"), rows)


def _failures(result: Result) -> Iterator[str]:
    if result.failures:
        yield "## What failed"
    for failure in result.failures[:10]:
        yield f"### {text.escaped(failure.message, limit=400)}"
        yield "\n".join(_failure_facts(failure))
        if failure.last_lines:
            yield "Last lines:"
            yield text.fenced(failure.last_lines)
    if len(result.failures) > 10:
        yield f"… and {len(result.failures) - 10} more; `result.json` holds all of them."


def _failure_facts(failure: Failure) -> Iterator[str]:
    place = text.place(failure)
    if place:
        yield f"- job file: {text.code(place)}"
    if failure.command:
        yield f"- command: {text.code(failure.command)}"
    if failure.exit_code is not None:
        yield f"- exit code: {failure.exit_code}"
    if failure.signal is not None:
        yield f"- signal: {failure.signal}"
    for path in (failure.stdout, failure.stderr):
        if path:
            yield f"- output: {text.code(path)}"
    if failure.time is not None:
        yield f"- when: {text.instant(failure.time)}"


def _starts(result: Result) -> Iterator[str]:
    together = [(stage, stage.together) for stage in result.stages if stage.together is not None]
    if not together:
        return
    yield "## How closely the nodes started"
    rows = []
    for stage, starts in together:
        late = max(
            (start for start in starts.starts if start.late is not None), key=lambda s: s.late or 0, default=None
        )
        rows.append(
            (
                text.escaped(stage.title),
                text.milliseconds(starts.spread),
                text.milliseconds(starts.uncertainty),
                f"{text.milliseconds(late.late)} ({text.escaped(late.slot)})" if late else text.UNKNOWN,
                _ours_cpu(stage),
            )
        )
    yield from _table(("stage", "spread", "clock uncertainty", "latest after the instant", "our CPU on a node"), rows)


def _ours_cpu(stage: StageRun) -> str:
    known = [value for value in stage.ours_cpu.values() if value is not None]
    return f"at most {text.milliseconds(max(known))}" if known else text.UNKNOWN


def _stages(result: Result) -> Iterator[str]:
    if not result.stages:
        return
    slots = [node.slot for node in result.nodes][:COLUMNS]
    yield "## Stages"
    rows = (
        (
            text.escaped(stage.title) + (" (clean-up)" if stage.cleanup else " (warm-up)" if stage.warmup else ""),
            stage.status if stage.status == "ok" else f"**{stage.status}**",
            _after(result, stage.start),
            text.seconds(stage.duration),
            *(text.escaped(text.slot_state(stage, slot)) for slot in slots),
        )
        for stage in result.stages
    )
    yield from _table(("stage", "status", "began after", "took", *(text.escaped(slot) for slot in slots)), rows)
    if len(result.nodes) > COLUMNS:
        yield f"… and {len(result.nodes) - COLUMNS} more nodes; `result.json` holds all of them."


def _after(result: Result, start: float | None) -> str:
    return text.UNKNOWN if start is None or result.started is None else text.seconds(max(0.0, start - result.started))


def _services(result: Result) -> Iterator[str]:
    if not result.services:
        return
    yield "## Services"
    rows = (
        (
            text.escaped(item.name),
            text.escaped(item.slot),
            "**died**" if item.died else text.escaped(item.state),
            text.seconds(item.ready_after),
            text.UNKNOWN if item.exit_code is None else str(item.exit_code),
            text.code(item.log) if item.log else text.UNKNOWN,
        )
        for item in result.services
    )
    yield from _table(("service", "node", "state", "ready after", "exit code", "log"), rows)


def _containers(result: Result) -> Iterator[str]:
    """The images, each with what tells it from another of the same tag."""
    if not result.containers:
        return
    yield "## Containers"
    rows = (
        (
            text.escaped(item.name or text.UNKNOWN),
            text.escaped(item.slot),
            text.escaped(item.stage),
            text.escaped(item.image or text.UNKNOWN),
            text.code(item.digest or item.image_id or text.UNKNOWN),
            text.UNKNOWN if item.exit_code is None else str(item.exit_code),
            "**out of memory**" if item.oom_killed else "",
        )
        for item in result.containers
    )
    yield from _table(("container", "node", "stage", "image", "digest or id", "exit code", ""), rows)


def _facts(node: Node) -> dict[str, object]:
    """What is known of a node and tells a person something."""
    known: dict[str, object] = {k: v for k, v in node.facts.items() if v is not None and k not in _FOR_PROGRAMS}
    memory = known.get("memory")
    if isinstance(memory, int):
        known["memory"] = f"{memory / 2**30:.3g} GiB"
    return known


def _nodes(result: Result) -> Iterator[str]:
    if not result.nodes:
        return
    yield "## Nodes"
    rows = (
        (
            text.escaped(node.slot),
            text.escaped(node.type),
            text.escaped(node.address or text.UNKNOWN),
            text.escaped(_listed(_facts(node)), limit=600),
            f"{text.milliseconds(node.clock.offset)} ± {text.milliseconds(node.clock.uncertainty)}",
        )
        for node in result.nodes
    )
    yield from _table(("slot", "type", "address", "facts", "clock offset"), rows)


def _further(result: Result) -> Iterator[str]:
    yield "## Where to look further"
    yield "\n".join(
        (
            "All paths are below the run folder.",
            "",
            "- `result.json`: everything in this report, and every step, for programs",
            "- `collected/<slot>/units/<stage>/`: `status.json`, and what each step printed (`NN.out`, `NN.err`)",
            "- `collected/<slot>/files/`: the files the job asked to collect",
            "- `journal.jsonl`: what happened, in order",
            "- `project/`: the playbooks that ran; `artifacts/`: what Ansible printed",
            "",
            f"`benchhub report {text.plain(result.run_id)}` renders this again.",
        )
    )
