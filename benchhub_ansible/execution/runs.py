"""Runs by name: making ids, finding a run's folder, and which runs a dead controller left."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from benchhub_ansible.errors import ResultError, UsageError
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Event, read_journal
from benchhub_ansible.values import slug

_RUN_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9-]+-[0-9a-f]{4}")


def new_run_id(job: str) -> str:
    """A new id such as ``20261123-193012-kairosdb-7f3a``: sorts by time, names the job, unique on a node."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(job, limit=32)}-{secrets.token_hex(2)}"


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """The runs below a folder, oldest first."""
    try:
        names = sorted(entry.name for entry in runs_dir.iterdir() if _RUN_ID.fullmatch(entry.name))
    except OSError:
        return []
    return [RunFolder(runs_dir / name) for name in names]


def find_run(runs_dir: Path, name: str | None = None) -> RunFolder:
    """The run of that id, unique part of an id, or path; the latest for None or ``latest``. UsageError else."""
    if name and ("/" in name or name in (".", "..")):
        folder = RunFolder(Path(name))
        if folder.plan.exists() or folder.journal.exists():
            return folder
        raise UsageError(f"{name}: not the folder of a run", hint="a run folder holds plan.json and journal.jsonl")
    runs = list_runs(runs_dir)
    if name in (None, "latest"):
        if runs:
            return runs[-1]
        raise UsageError(f"there are no runs in {runs_dir}", hint="say where they are with --runs-dir")
    exact = [run for run in runs if run.run_id == name]
    matches = exact or [run for run in runs if run.run_id.startswith(name or "")]
    matches = matches or [run for run in runs if (name or "") in run.run_id]
    if len(matches) == 1:
        return matches[0]
    if matches:
        some = ", ".join(run.run_id for run in matches[-5:])
        raise UsageError(f"{name!r} could be {len(matches)} runs", hint=f"say more of the id; the last ones: {some}")
    last = f"the latest is {runs[-1].run_id}" if runs else "there are none"
    raise UsageError(f"there is no run {name!r} in {runs_dir}", hint=last)


def state(folder: RunFolder) -> str:
    """``running``, ``kept``, ``submitted``, ``lost``, or the status it ended with.

    ``kept``: nodes are held for the user; ``submitted``: a scheduler has it, and it has not begun; ``lost``: its
    controller died.
    """
    if folder.alive():
        return "running"
    last: Event | None = None
    for event in read_journal(folder.journal):
        if event["event"] in ("run-end", "kept", "recover-begin", "submitted", "begun"):
            last = event
    if last is None or last["event"] in ("recover-begin", "begun"):
        return "lost"
    return str(last["event"]) if last["event"] in ("kept", "submitted") else str(last.get("status", "lost"))


def lost_runs(runs_dir: Path) -> Iterator[RunFolder]:
    """The runs whose controller died before their end: what ``benchhub recover`` is for."""
    for folder in list_runs(runs_dir):
        # A result is written last, so most runs are passed over without reading their journal.
        with contextlib.suppress(ResultError):  # one that cannot be read must not hide the others, or stop a new run
            if not folder.result.exists() and folder.journal.exists() and state(folder) == "lost":
                yield folder


def not_cleaned(folder: RunFolder) -> tuple[str, ...]:
    """The slots where the last teardown of a run may have left something."""
    ends = [event for event in read_journal(folder.journal) if event["event"] == "teardown-end"]
    return tuple(ends[-1].get("not_cleaned", ())) if ends else ()
