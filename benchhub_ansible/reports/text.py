"""How reports show values; and how text that came from a node is made harmless before it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from benchhub_ansible.results.model import Aggregate, Failure, Result, Sample, StageRun
from benchhub_ansible.shown import visible, without_colours
from benchhub_ansible.values import format_duration

#: What stands for a value that is not known; never 0.
MISSING = "missing"
#: What stands for a time, a name or a count that is not known.
UNKNOWN = "-"
#: What Markdown (and GitHub, which links bare addresses and names) could take for more than text inside a line.
_MARKDOWN = re.compile(r"[\\`*{}\[\]<>#!|~&$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.")

#: Seconds that nothing lasts: a damaged journal said so.
_LONGEST = 1e10
#: Characters of an output's line that are looked at.
_LINE_LIMIT = 2000
_BLANK = str.maketrans("\n\t", "  ")


def plain(text: object, *, limit: int = 200) -> str:
    """One line of printable characters, cut to ``limit``; others are shown as escapes, ends of lines as blanks."""
    shown = visible(str(text)[: limit * 8].replace("\r\n", "\n").translate(_BLANK)).strip()
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def escaped(text: object, *, limit: int = 200) -> str:
    """The plain text so that Markdown shows it as it is, in a table cell too."""
    return _MARKDOWN.sub(r"\\\g<0>", plain(text, limit=limit))


def output_line(line: str) -> str:
    """A line that a program printed: without its colours, everything else that is not printable as escapes."""
    return visible(without_colours(line[:_LINE_LIMIT]).rstrip().expandtabs(4))


def fenced(lines: tuple[str, ...], *, limit: int = 300) -> str:
    """Lines as a Markdown code block with a fence longer than any in them."""
    shown = [output_line(line)[:limit] for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *shown, fence])


def code(text: object, *, limit: int = 500) -> str:
    """The text as inline Markdown code."""
    shown = plain(text, limit=limit).replace("|", "¦")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def number(value: float | None, unit: str | None = None) -> str:
    """A value with six significant digits and its unit; MISSING for None."""
    if value is None:
        return MISSING
    shown = f"{value:.6g}"
    if "e" in shown and 1 <= abs(value) < 1e15:
        shown = f"{value:.0f}"
    return f"{shown} {plain(unit, limit=30)}" if unit else shown


def seconds(value: float | None) -> str:
    """``1m30s``, ``250ms``; a dash when it is not known."""
    if value is None or not 0 <= value < _LONGEST:
        return UNKNOWN
    return format_duration(round(value, 3 if value < 10 else 1))


def milliseconds(value: float | None) -> str:
    """``0.31 ms``; a dash when it is not known."""
    return UNKNOWN if value is None else f"{value * 1000:.2f} ms"


def instant(value: float | None) -> str:
    """A time in UTC to the second; a dash when it is not known."""
    if value is None or not 0 <= value < 4e9:
        return UNKNOWN
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def pairs(values: Mapping[str, str]) -> str:
    """``threads=8, size=1``."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def place(failure: Failure) -> str | None:
    """``job.yml:12``, the line of the job file that a failure comes from."""
    return None if failure.source is None else f"{failure.source}:{failure.line}"


def validity(item: Sample | Aggregate) -> str:
    """``ok``, or why a value must not be used."""
    usable = item.valid if isinstance(item, Sample) else item.value is not None
    if not usable:
        return f"{MISSING if item.value is None else 'INVALID'}: {item.why}"
    return "warm-up" if item.warmup else "ok"


def value_of(item: Sample | Aggregate) -> str:
    """The number if it may be used; one that may not be is set in parentheses, so that nobody takes it for a result."""
    shown = number(item.value, item.unit)
    return f"({shown})" if isinstance(item, Sample) and item.value is not None and not item.valid else shown


def verdict_line(result: Result) -> str:
    """``FAILED (exit code 1): …``."""
    verdict = result.verdict
    exit_code = "" if verdict.exit_code is None else f" (exit code {verdict.exit_code})"
    return f"{verdict.status.upper()}{exit_code}" + (f": {verdict.reason}" if verdict.reason else "")


def stage_of(result: Result) -> Mapping[str, StageRun]:
    """The stages by id."""
    return {stage.id: stage for stage in result.stages}


def slot_state(stage: StageRun, slot: str) -> str:
    """What became of a stage on one slot: its first step that did not end well, else the stage's status."""
    if slot not in stage.slots:
        return ""
    states = [step.state for step in stage.steps if step.slot == slot]
    if not states:
        return stage.status
    return next((state for state in states if state not in ("ok", "skipped")), "ok" if "ok" in states else states[0])
