"""What follows a command whatever its end was, sweeps when all has ended, and texts as input."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import Node, eventually


def note(path: Path, told: str = "[]", **keys: Any) -> dict[str, Any]:
    """A command that leaves a trace of having run, and prints what is to be kept."""
    return {"kind": "exec", "argv": ["/bin/sh", "-s", str(path), told], "input": "note", **keys}


INPUTS = {"note": 'echo ran >> "$1"; printf %s "$2"\n'}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "a trace"


def test_a_text_is_the_input_of_a_command(node: Node) -> None:
    step = {"name": "s", "kind": "exec", "argv": ["/bin/cat"], "input": "text"}
    assert node.steps(step, inputs={"text": "a\nb ü"})["state"] == "ok"
    assert node.output() == "a\nb ü".encode()


def test_it_follows_each_try_and_what_it_says_is_kept(node: Node, trace: Path) -> None:
    after = note(trace, '[{"image": "x"}]')
    step = {"name": "s", "kind": "shell", "text": "exit 3", "after": after, "retries": {"count": 2, "delay": 0}}
    status = node.steps(step, inputs=INPUTS)
    assert lines(trace) == 3
    assert status["steps"][0]["rc"] == 3
    assert status["steps"][0]["containers"] == [{"image": "x"}]


def test_one_that_fails_makes_a_step_fail(node: Node) -> None:
    after = {"kind": "shell", "text": "echo no such thing >&2; exit 1"}
    status = node.steps({"name": "s", "kind": "shell", "text": "true", "after": after}, inputs={})
    assert status["state"] == "failed"
    assert "could not be removed: no such thing" in status["steps"][0]["error"]


def test_one_for_what_did_not_end_by_itself(node: Node, trace: Path) -> None:
    after = note(trace, only="unfinished")
    ended = {"name": "a", "kind": "shell", "text": "true", "after": after}
    cut = {"name": "b", "kind": "shell", "text": "sleep 60", "timeout": 0.2, "grace": 0.1, "after": after}
    node.steps(ended, cut, inputs=INPUTS)
    assert lines(trace) == 1


def test_a_service_and_then_the_sweeps_each_way_once(node: Node, trace: Path, tmp_path: Path) -> None:
    swept = tmp_path / "swept"
    sweep = note(swept, "volume v\n")
    for name in ("one", "two"):
        service = {"kind": "shell", "text": "sleep 60", "after": note(trace)}
        reply = node("start", unit=name, kind="service", service=service, grace=1, inputs=INPUTS, sweeps=[sweep])
        assert reply["ok"], reply
    reply = node("finish")
    assert (lines(trace), lines(swept)) == (2, 1)
    assert reply["left"] == ["volume v"]


def test_when_the_monitor_was_killed(node: Node, trace: Path) -> None:
    service = {"kind": "shell", "text": "sleep 60", "after": note(trace)}
    assert node("start", unit="s", kind="service", service=service, grace=1, inputs=INPUTS)["ok"]
    os.kill(psutil.Process(node.pid).children()[0].pid, signal.SIGKILL)
    eventually(lambda: lines(trace) == 1, limit=60)
    assert node("stop", units=["s"])["units"]["s"]["error"] == "its monitor was killed"


def test_when_the_supervisor_was_killed(node: Node, trace: Path) -> None:
    service = {"kind": "shell", "text": "sleep 60", "after": note(trace)}
    assert node("start", unit="s", kind="service", service=service, grace=1, inputs=INPUTS)["ok"]
    os.kill(node.pid, signal.SIGKILL)
    eventually(lambda: lines(trace) == 1, limit=60)


def test_when_the_lease_runs_out(tmp_path: Path, python: str, trace: Path) -> None:
    node = Node(tmp_path, python, lease=1, retention=60)
    assert node.boot()["ok"]
    try:
        swept = tmp_path / "swept"
        service = {"kind": "shell", "text": "sleep 60", "after": note(trace)}
        request = {"unit": "s", "kind": "service", "service": service, "grace": 1, "inputs": INPUTS}
        assert node("start", **request, sweeps=[note(swept)])["ok"]
        eventually(lambda: (lines(trace), lines(swept)) == (1, 1), limit=60)
    finally:
        node.close()


@pytest.mark.parametrize(
    "wrong", [{"inputs": "x"}, {"inputs": {"a": "x" * 70000}}, {"inputs": {"a": 1}}, {"sweeps": "x"}, {"sweeps": [{}]}]
)
def test_what_is_none_is_refused(node: Node, wrong: dict[str, Any]) -> None:
    reply = node("start", unit="s", kind="steps", steps=[{"kind": "shell", "text": "true"}], **wrong)
    assert not reply["ok"]
    assert "cannot be carried out" not in reply["error"]
