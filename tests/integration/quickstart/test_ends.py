"""Ctrl-C, SIGTERM and kill -9 with recover at ten moments of the quickstart: nothing is left, the report says why."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers
from tests.integration.conftest import variables

pytestmark = pytest.mark.real

JOB = Path(__file__).parents[3] / "examples" / "quickstart" / "job.yml"

Moment = tuple[Callable[[dict[str, Any]], bool], float]


def begins(stage: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["event"] == "stage-begin" and event["stage"].startswith(stage)


def is_event(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["event"] == name


#: name → (what has to be reached, seconds to wait from there)
MOMENTS: dict[str, Moment] = {
    "at-once": (is_event("run-begin"), 0.0),
    "acquired": (is_event("acquired"), 0.0),
    "launch": (is_event("launch"), 0.3),
    "installing": (begins("install-postgresql"), 0.5),
    "starting-the-database": (begins("start-postgresql"), 0.05),
    "creating-the-schema": (begins("create-schema"), 0.05),
    "pinging": (begins("all-ping"), 0.0),
    "armed": (begins("load"), 0.1),
    "loading": (begins("load"), 1.5),
    "tearing-down": (is_event("teardown-begin"), 0.3),
}


@pytest.fixture
def start(benchhub: Any, free_port: int, quick_python: Path) -> Callable[[str], Any]:
    """Starts the quickstart and returns at one of its moments."""
    return lambda name: _start(benchhub, MOMENTS[name], {"port": free_port, "python": quick_python, "scale": 1})


def _start(benchhub: Any, moment: Moment, given: dict[str, Any]) -> Any:
    # A load that is to be interrupted must not come to its end while the request is on its way.
    seconds = 3 if moment is MOMENTS["tearing-down"] else 60
    process = benchhub.start("run", JOB, *variables(**given, seconds=seconds))
    reached, pause = moment
    benchhub.run_folder()
    benchhub.wait_for(reached)
    time.sleep(pause)
    return process


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_asked_to_end(start: Any, benchhub: Any, free_port: int, number: signal.Signals, name: str) -> None:
    process = start(name)
    os.killpg(process.pid, number)  # a terminal sends Ctrl-C to the whole foreground group
    output, _ = process.communicate(timeout=60)
    run = benchhub.run_folder()
    assert leftovers(run.name, free_port) == [], output
    result = benchhub.result()
    assert "Traceback" not in output
    if name == "tearing-down":  # the pipeline was through: the number stands, or the run was still called interrupted
        assert (process.returncode, result["verdict"]["status"]) in {(0, "success"), (130, "interrupted")}
    else:
        assert process.returncode == 130, output
        assert result["verdict"]["status"] == "interrupted"
        assert not any(aggregate["value"] is not None for aggregate in result["aggregates"])
    assert result["verdict"]["reason"] or result["verdict"]["status"] == "success"
    assert (run / "report.md").exists()


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_and_recovered(start: Any, benchhub: Any, free_port: int, name: str) -> None:
    process = start(name)
    os.kill(process.pid, signal.SIGKILL)  # the controller alone, as the kernel's OOM killer does
    process.wait()
    run = benchhub.run_folder()
    done = benchhub.call("recover", run.name, limit=90)
    assert leftovers(run.name, free_port) == [], done.stdout
    result = benchhub.result()
    assert result["verdict"]["status"] in {"interrupted", "lost", "success"}
    if name != "tearing-down":
        assert result["verdict"]["status"] != "success"
    assert result["verdict"]["reason"] or result["verdict"]["status"] == "success"
    assert (run / "report.md").exists()
