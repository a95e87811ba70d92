"""The summary on a terminal, and the same as plain text where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchhub_ansible.reports import text
from benchhub_ansible.results.model import Failure, Result

#: Rows beyond this are counted, not shown.
ROWS = 40
_STYLES = {"success": "bold green", "running": "bold cyan", "ok": "green", "skipped": "dim", "not-run": "dim"}
_BAD = "bold red"


class ConsoleReport:
    """Verdict, numbers, stages, and what failed with its last lines."""

    def render(self, result: Result, *, color: bool, width: int) -> str:
        """The summary ``width`` columns wide; without ``color`` no escape sequence is in it."""
        out = StringIO()
        console = Console(
            file=out,
            width=max(40, width),
            force_terminal=color,
            color_system="standard" if color else None,
            no_color=not color,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        _head(console, result)
        for failure in result.failures[:5]:
            _failure(console, failure)
        if len(result.failures) > 5:
            console.print(f"… and {len(result.failures) - 5} more failures; see report.md")
        _metrics(console, result)
        _summaries(console, result)
        _stages(console, result)
        _services(console, result)
        for warning in result.warnings[:ROWS]:
            console.print(Text(f"warning: {text.plain(warning)}", style="yellow"))
        lines = out.getvalue().splitlines()
        return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _head(console: Console, result: Result) -> None:
    status = _STYLES.get(result.verdict.status, _BAD)
    console.print(Text(text.plain(text.verdict_line(result), limit=500), style=status))
    about = f"{result.job.name or 'unknown job'}  run {result.run_id}  on {result.where or 'unknown'}"
    console.print(Text(text.plain(about)))
    console.print(Text(f"{text.instant(result.started)}, took {text.seconds(result.duration)}", style="dim"))


def _print_table(console: Console, title: str, head: tuple[str, ...], rows: Iterable[tuple[Text | str, ...]]) -> None:
    found = list(rows)
    if not found:
        return
    console.print()
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in head:
        table.add_column(column, overflow="fold")
    for row in found[:ROWS]:
        table.add_row(*(cell if isinstance(cell, Text) else Text(text.plain(cell)) for cell in row))
    console.print(table)
    if len(found) > ROWS:
        console.print(f"… and {len(found) - ROWS} more rows; see report.md or result.json")


def _state(state: str) -> Text:
    return Text(text.plain(state), style=_STYLES.get(state.split(":", maxsplit=1)[0], _BAD))


def _metrics(console: Console, result: Result) -> None:
    stages = text.stage_of(result)
    rows: list[tuple[Text | str, ...]] = [
        (stages[item.stage].title, item.metric, item.slot, text.value_of(item), _state(text.validity(item)))
        for item in result.samples
        if not item.warmup
    ]
    rows += [
        (
            stages[item.stage].title,
            item.metric,
            f"{item.function} of all",
            text.value_of(item),
            _state(text.validity(item)),
        )
        for item in result.aggregates
        if not item.warmup
    ]
    _print_table(console, "Metrics", ("stage", "metric", "node", "value", "valid"), rows)


def _summaries(console: Console, result: Result) -> None:
    if any(item.n + item.unusable > 1 for item in result.summaries):
        rows = [
            (
                f"{item.stage} {text.pairs(item.values)}",
                item.metric,
                item.slot or f"{item.function} of all",
                f"{item.n}/{item.n + item.unusable}",
                text.number(item.median, item.unit),
                f"{text.number(item.min)} … {text.number(item.max)}" if item.n else text.MISSING,
                text.UNKNOWN if item.stdev is None else text.number(item.stdev),
            )
            for item in result.summaries
        ]
        _print_table(console, "Over repetitions", ("stage", "metric", "node", "n", "median", "range", "stdev"), rows)


def _stages(console: Console, result: Result) -> None:
    rows = (
        (
            stage.title,
            _state(stage.status),
            text.seconds(stage.duration),
            str(len(stage.slots)),
            text.milliseconds(stage.together.spread) if stage.together else "",
        )
        for stage in result.stages
    )
    _print_table(console, "Stages", ("stage", "status", "took", "nodes", "start spread"), rows)


def _services(console: Console, result: Result) -> None:
    rows = (
        (
            item.name,
            item.slot,
            Text("died", style=_BAD) if item.died else text.plain(item.state),
            text.seconds(item.ready_after),
            "" if item.exit_code is None else str(item.exit_code),
        )
        for item in result.services
    )
    _print_table(console, "Services", ("service", "node", "state", "ready after", "exit code"), rows)


def _failure(console: Console, failure: Failure) -> None:
    console.print()
    console.print(Text(text.plain(failure.message, limit=400), style=_BAD))
    for name, value in (
        ("job file", text.place(failure)),
        ("command", failure.command),
        ("output", failure.stderr or failure.stdout),
    ):
        if value:
            console.print(Text(f"  {name}: {text.plain(value, limit=400)}"))
    for line in failure.last_lines[-10:]:
        console.print(Text(f"  | {text.plain(text.output_line(line))}", style="dim"))
