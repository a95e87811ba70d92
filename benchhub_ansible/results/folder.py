"""Reads a run folder into a RunRecord; the only module of ``results`` that reads files.

What nodes sent is data: a name in it never becomes a path, a link is never followed, and no file is held in memory.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import BenchhubError, PluginError, ResultError
from benchhub_ansible.job.model import Metric
from benchhub_ansible.plan.data import plan_from_data
from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.registry import load
from benchhub_ansible.results import fields
from benchhub_ansible.results.extract import Output
from benchhub_ansible.results.record import Ending, Reading, RunRecord, merge_statuses
from benchhub_ansible.results.units import Unit, output_name, stage_units, steps_of_tasks
from benchhub_ansible.values import expand

_STATUS_LIMIT = 4 * 1024 * 1024
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 20


@dataclass(frozen=True, kw_only=True)
class FileOutput:
    """An output file, read line by line."""

    path: Path

    def lines(self, limit: int) -> Iterator[str]:
        """The lines without their ends, each cut to ``limit`` bytes."""
        with self.path.open("rb") as stream:
            while line := stream.readline(limit):
                whole = line.endswith(b"\n")
                yield line.rstrip(b"\r\n").decode("utf-8", "replace")
                while not whole and (rest := stream.readline(limit)):
                    whole = rest.endswith(b"\n")

    def text(self, limit: int) -> str | None:
        """All of it, or None when it is larger than ``limit`` bytes."""
        with self.path.open("rb") as stream:
            data = stream.read(limit + 1)
        return None if len(data) > limit else data.decode("utf-8", "replace")


def read_record(folder: Path, *, ending: Ending | None = None) -> RunRecord:
    """The record of a run folder; ResultError when there is no journal in it."""
    events, problems = _journal(folder / "journal.jsonl")
    plan, problem = _plan(folder / "plan.json")
    if problem:
        problems.append(problem)
    begin = next((event for event in events if event.get("event") == "run-begin"), {})
    stages = (*plan.stages(), *plan.cleanup) if plan else ()
    ending = ending or _ending(events)
    statuses = merge_statuses(tuple(events), _collected(folder, stages))
    return RunRecord(
        run_id=fields.text(begin.get("run_id")) or folder.resolve().name,
        plan=plan,
        events=tuple(events),
        running=ending is None and _locked(folder / "lock"),
        statuses=statuses,
        readings=_readings(folder, stages, statuses),
        tails=_tails(folder, stages, statuses),
        paths=frozenset(_output_paths(folder, stages)),
        ending=ending,
        problems=tuple(problems),
    )


# -- what the controller wrote --------------------------------------------------------------------------------------


def _journal(path: Path) -> tuple[list[Mapping[str, Any]], list[str]]:
    events: list[Mapping[str, Any]] = []
    unreadable = 0
    torn = False
    try:
        with path.open("rb") as stream:
            for line in stream:
                torn = not line.endswith(b"\n")
                event = _event(line)
                if event:
                    events.append(event)
                elif not torn:
                    unreadable += 1
    except OSError as cause:
        raise ResultError(
            f"{path.parent} is not a run folder: {path.name}: {cause.strerror}", hint="`benchhub history` lists runs"
        ) from cause
    return events, [f"{unreadable} lines of the journal cannot be read"] if unreadable else []


def _event(line: bytes) -> Mapping[str, Any]:
    try:
        return fields.mapping(json.loads(line))
    except (ValueError, RecursionError):
        return {}


def _plan(path: Path) -> tuple[Plan | None, str | None]:
    try:
        return plan_from_data(json.loads(path.read_bytes())), None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, BenchhubError) as cause:
        return None, f"plan.json cannot be read ({type(cause).__name__}): stages and samples are not known"


def _ending(events: list[Mapping[str, Any]]) -> Ending | None:
    for event in reversed(events):
        if event.get("event") in ("run-end", "kept"):  # of a kept run ``kept`` tells how it went
            return Ending(
                status=fields.text(event.get("status")) or "unknown",
                exit_code=fields.integer(event.get("exit_code")),
                reason=fields.text(event.get("reason")),
            )
    return None


def _locked(path: Path) -> bool:
    """Whether a live controller holds the run's lock."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# -- what came from the nodes ---------------------------------------------------------------------------------------


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _planned_units(stages: tuple[PlannedStage, ...]) -> Iterator[tuple[str, Unit]]:
    for stage in stages:
        for unit in stage_units(stage):
            for slot in stage.slots:
                yield slot, unit


def _collected(folder: Path, stages: tuple[PlannedStage, ...]) -> dict[tuple[str, str], Mapping[str, Any]]:
    found = {}
    for slot, unit in _planned_units(stages):
        path = folder / "collected" / slot / "units" / unit.name / "status.json"
        if _is_file(path) and path.stat().st_size <= _STATUS_LIMIT:
            status = _event(path.read_bytes())
            if status:
                found[slot, unit.name] = status
    return found


def _output_paths(folder: Path, stages: tuple[PlannedStage, ...]) -> Iterator[str]:
    for slot, unit in _planned_units(stages):
        base = folder / "collected" / slot / "units" / unit.name
        if base.is_dir():
            yield from (str(path.relative_to(folder)) for path in base.iterdir() if _is_file(path))


def _tails(
    folder: Path, stages: tuple[PlannedStage, ...], statuses: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """The last lines of what failed units wrote; of the others nobody asks."""
    tails = {}
    for slot, unit in _planned_units(stages):
        base = folder / "collected" / slot / "units" / unit.name
        if statuses.get((slot, unit.name), {}).get("state") == "failed" and base.is_dir():
            for path in base.iterdir():
                if path.suffix in (".out", ".err") and _is_file(path):
                    tails[str(path.relative_to(folder))] = _tail(path)
    return tails


def _tail(path: Path) -> tuple[str, ...]:
    with path.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
        text = stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    return tuple(deque(text.rstrip("\n").split("\n"), _TAIL_LINES)) if text.strip() else ()


# -- readings -------------------------------------------------------------------------------------------------------


def _readings(
    folder: Path, stages: tuple[PlannedStage, ...], statuses: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[tuple[str, str, str], Reading]:
    found: dict[tuple[str, str, str], Reading] = {}
    for slot, unit in _planned_units(stages):
        parts = steps_of_tasks(unit, statuses.get((slot, unit.name), {}))
        for number, task in enumerate(unit.tasks, 1):
            steps = parts.get(task.id)
            name = output_name(steps[-1].stdout if steps else None, f"{number:02}.out")
            stdout = folder / "collected" / slot / "units" / unit.name / name
            for metric in task.metrics:
                reading = _reading(folder, slot, task, metric, stdout)
                if reading is not None:
                    found[slot, task.id, metric.name] = reading
    return found


def _reading(folder: Path, slot: str, task: PlannedTask, metric: Metric, stdout: Path) -> Reading | None:
    """What an extractor finds, or None when there is nothing to look at (the sample then says why)."""
    path: Path | None = stdout
    if metric.file is not None:
        path = _collected_file(folder / "collected" / slot / "files", slot, task, metric.file)
        if path is None and _is_file(stdout):
            return Reading(value=None, reason=f"the file {metric.file} was not found on the node")
    if path is None or not _is_file(path):
        return None
    kind = "regex" if metric.regex is not None else "jsonpath" if metric.jsonpath is not None else metric.plugin
    try:
        extracted = load("metric", kind or "regex")().extract(metric, _output(path))
    except PluginError as cause:
        return Reading(value=None, reason=str(cause))
    except Exception as cause:  # noqa: BLE001 - a plugin may fail in any way; it must not take the report with it
        return Reading(value=None, reason=f"metric plugin {kind!r} failed: {type(cause).__name__}")
    return _checked(extracted, kind)


def _checked(extracted: Any, kind: str | None) -> Reading:
    if isinstance(extracted, Reading) and (extracted.value is None or fields.number(extracted.value) is not None):
        return extracted
    return Reading(value=None, reason=f"metric plugin {kind!r} gave no finite number")


def _output(path: Path) -> Output:
    return FileOutput(path=path)


def _collected_file(root: Path, slot: str, task: PlannedTask, text: str) -> Path | None:
    """The collected file that a metric names; a relative one lies under the task's ``chdir`` or the run directory.

    References that only the node knew (addresses, the run directory) match any text, so a pattern is compared.
    """
    wanted = text
    if not text.startswith(("/", "${run.dir}")):
        wanted = f"{task.chdir}/{text}" if task.chdir else text
        if not wanted.startswith("/"):
            wanted = "${run.dir}/" + wanted.removeprefix("${run.dir}/")
    known = {"node.name": slot, "run.dir": f"\0/benchhub-\0/{slot}"}
    filled = os.path.normpath(expand(wanted, lambda name: known.get(name, "\0")))
    pattern = re.compile("".join(".*" if part == "\0" else re.escape(part) for part in re.split("(\0)", filled)))
    for base, _folders, names in os.walk(root):
        for name in sorted(names):
            path = Path(base) / name
            if pattern.fullmatch(f"/{path.relative_to(root)}") and _is_file(path):
                return path
    return None
