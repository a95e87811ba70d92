"""Names and outputs that hold what a terminal obeys: every verb shows it, none passes it on."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchhub_ansible.cli.live import LiveWatch
from benchhub_ansible.cli.main import run_cli
from benchhub_ansible.cli.watch import PlainWatch
from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Journal
from benchhub_ansible.job.load import load_file
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_to_data

CLEAR = "\x1b[2J\x1b]0;owned\x07\x9b2J"
JOB = r"""
version: 2
name: "job \e[2J\e]0;owned\a\x9b2J"
nodes: {db: {type: database}}
stages:
  - name: "load \e[2J\e]0;owned\a\x9b2J"
    nodes: all
    tasks:
      - name: "task \e[2J\e]0;owned\a\x9b2J"
        shell: "printf '\e[2J\e]0;owned\a\x9b2J'"
        metrics: [{name: "rate \e[2J\x9b2J", unit: "x\e[2J", regex: 'r=(\d+)'}]
pipeline: [["load \e[2J\e]0;owned\a\x9b2J"]]
"""
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "job.yml"
    path.write_text(JOB)
    return path


@pytest.fixture
def folder(job: Path) -> RunFolder:
    """A run of the job that failed, with words of a node that does not mean well."""
    plan = make_plan(load_file(job).job)
    stage = next(plan.stages())
    folder = RunFolder(job.parent / "runs" / "20260101-000000-job-0001")
    folder.create()
    folder.write_json(folder.plan, plan_to_data(plan))
    unit = folder.collected / "db" / "units" / stage.id
    unit.mkdir(parents=True)
    (unit / "01.out").write_text(f"last {CLEAR}\n\x1b[31mred\x1b[0m\n")
    step = {"name": "t", "state": "failed", "rc": 1, "tail": [f"last {CLEAR}"], "error": CLEAR}
    status = {"state": "failed", "error": CLEAR, "steps": [step]}
    (unit / "status.json").write_text(json.dumps(status))
    with Journal(folder.journal, redact=lambda data: data, listener=lambda _entry: None) as journal:
        journal.write("run-begin", run_id=folder.run_id, job=plan.job, where="local")
        journal.write("stage-begin", stage=stage.id, slots=["db"])
        journal.write("stage-end", stage=stage.id, status="failed")
        journal.write("run-end", status="failed", exit_code=1, reason=f"because {CLEAR}")
    return folder


@pytest.mark.parametrize(
    "verb",
    [
        "plan job.yml",
        "plan job.yml --json",
        "plan job.yml --mermaid",
        "validate job.yml",
        "status",
        "status --json",
        "report",
        "report --format markdown",
        "report --format json",
        "history",
        "compare latest latest",
    ],
)
def test_no_verb_passes_it_on(verb: str, folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(verb.split()) == 0
    captured = capsys.readouterr()
    assert not OBEYED.search(captured.out + captured.err)
    if "--" not in verb and verb != "history":
        assert r"\x1b[2J" in captured.out + captured.err


def test_errors_show_it(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job.write_text(JOB.replace("pipeline: [[", "pipeline: [[other, "))
    assert run_cli(["validate", "job.yml"]) == 3
    assert not OBEYED.search(capsys.readouterr().err)


def test_a_watch_shows_it(job: Path, folder: RunFolder) -> None:
    plan = make_plan(load_file(job).job)
    stage = next(plan.stages()).id
    lines, table = io.StringIO(), io.StringIO()
    console = Console(file=table, width=200, height=50, no_color=True, force_terminal=False)
    for watch in (PlainWatch(lines), LiveWatch(console)):
        with watch:
            watch.warning(Diagnostic(code="x", message=CLEAR, hint=CLEAR))
            watch.begin(plan, folder)
            watch.event({"event": "stage-begin", "t": 1.0, "stage": stage, "slots": ["db"]})
            failure = {"task": f"T {CLEAR}", "msg": f"a\n{CLEAR}", "failed": True, "hosts": {}}
            watch.event({"event": "action", "t": 1.5, **failure})
            watch.notice(CLEAR)
            watch.event({"event": "stage-end", "t": 2.0, "stage": stage, "status": "failed"})
            watch.event({"event": "stop-asked", "t": 2.0, "reason": CLEAR})
    for shown in (lines.getvalue(), table.getvalue()):
        assert r"\x1b[2J" in shown
        assert not OBEYED.search(shown)


def test_logs_on_a_terminal_show_it_and_a_pipe_gets_the_bytes(folder: RunFolder) -> None:
    command = [sys.executable, "-m", "benchhub_ansible.cli.main", "logs"]
    piped = subprocess.run(command, cwd=folder.path.parents[1], capture_output=True, check=True, timeout=60).stdout
    assert CLEAR.encode() in piped
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=folder.path.parents[1], stdout=theirs, stdin=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode().replace("\r\n", "\n")
    assert "red\n" in text
    assert not OBEYED.search(text)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says EIO when the last writer has closed its end
        return b""
