"""Whole runs handed to sbatch: carried out, looked after in the queue, ended, and written off when they never begin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers
from tests.integration.conftest import variables
from tests.integration.slurm.harness import OnSlurm

pytestmark = pytest.mark.real

JOB = Path(__file__).parents[3] / "examples" / "quickstart" / "job.yml"


def submit(on_slurm: OnSlurm, job: Path, *arguments: str, where: str = "slurm:connect=srun") -> str:
    """The ticket of a run that was handed over."""
    done = on_slurm.benchhub.call("submit", job, "--on", where, "--json", *arguments)
    assert done.returncode == 0, done.stdout
    return str(json.loads(done.stdout.splitlines()[-1])["ticket"])


def status(on_slurm: OnSlurm) -> dict[str, Any]:
    done = on_slurm.benchhub.call("status", "--json")
    assert done.returncode == 0, done.stdout
    data: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return data


def wait_until_ended(on_slurm: OnSlurm) -> dict[str, Any]:
    """The event that ended the run."""
    event: dict[str, Any] = on_slurm.benchhub.wait_for(lambda event: event["event"] == "run-end", limit=240)
    return event


def test_the_quickstart(on_slurm: OnSlurm, free_port: int, quick_python: Path) -> None:
    ticket = submit(on_slurm, JOB, *variables(port=free_port, seconds=1, scale=1, python=quick_python))
    log = on_slurm.benchhub.run_folder() / "controller.log"
    assert wait_until_ended(on_slurm)["status"] == "success", log.read_text()
    on_slurm.gone(free_port)
    assert status(on_slurm)["state"] == "success"
    report = on_slurm.benchhub.call("report")
    assert "tps" in report.stdout
    logs = on_slurm.benchhub.call("logs", "latest", "--slot", "loader-1")
    assert "tps = " in logs.stdout
    result = on_slurm.benchhub.result()
    assert result["allocation"]["slurm_job"] == ticket
    (rows,) = [s for s in result["samples"] if s["metric"] == "rows"]
    (transactions,) = [a for a in result["aggregates"] if a["metric"] == "transactions"]
    assert rows["value"] == transactions["value"] > 0


def test_in_the_queue_and_stopped_there(on_slurm: OnSlurm) -> None:
    on_slurm.occupy()
    submit(on_slurm, on_slurm.job)
    assert status(on_slurm)["state"] == "submitted"
    assert "waits in partition main" in on_slurm.benchhub.call("status").stdout
    assert "has not begun" in on_slurm.benchhub.call("report").stdout
    recover = on_slurm.benchhub.call("recover", "latest")
    assert recover.returncode == 2
    assert "benchhub stop" in recover.stdout
    done = on_slurm.benchhub.call("stop")
    assert done.returncode == 0, done.stdout
    assert "interrupted" in done.stdout
    on_slurm.gone()
    assert on_slurm.benchhub.result()["verdict"]["exit_code"] == 130


def test_cancelled_before_it_begins(on_slurm: OnSlurm) -> None:
    on_slurm.occupy()
    ticket = submit(on_slurm, on_slurm.job)
    on_slurm.farm.call("scancel", ticket)
    assert status(on_slurm)["state"] == "failed"
    verdict = on_slurm.benchhub.result()["verdict"]
    assert verdict["exit_code"] == 5
    assert f"Slurm job {ticket} was cancelled before the run could begin" in verdict["reason"]
    on_slurm.gone()


def test_a_slurm_job_that_dies_before_it_begins(on_slurm: OnSlurm) -> None:
    somebody = on_slurm.occupy()
    ticket = submit(on_slurm, on_slurm.job)
    submission = on_slurm.benchhub.run_folder() / "submission.json"
    submission.write_text("torn")  # its controller cannot begin with that
    on_slurm.farm.call("scancel", somebody)
    on_slurm.farm.until(lambda: on_slurm.state(ticket).startswith("FAILED"), "the Slurm job has failed")
    submission.write_text(
        json.dumps(
            {"options": {"where": "slurm", "runs_dir": "runs", "ansible_args": [], "pass_env": []}, "job_dir": "/"}
        )
    )
    assert status(on_slurm)["state"] == "failed"
    reason = on_slurm.benchhub.result()["verdict"]["reason"]
    assert "has ended (FAILED) before the run could begin" in reason
    assert "controller.log" in reason
    on_slurm.gone()


def test_stopped_while_it_loads(on_slurm: OnSlurm) -> None:
    given = ("--var", f"go={on_slurm.go}", "--var", f"seen={on_slurm.seen}")
    ticket = submit(on_slurm, on_slurm.job, *given)
    on_slurm.loading()
    assert status(on_slurm)["state"] == "running"
    done = on_slurm.benchhub.call("stop")
    assert done.returncode == 0, done.stdout
    verdict = on_slurm.benchhub.result()["verdict"]
    assert (verdict["exit_code"], verdict["reason"]) == (130, "ended with `benchhub stop`")
    on_slurm.farm.until(lambda: "RUNNING" not in on_slurm.state(ticket), "the Slurm job ends with its controller")
    assert leftovers(on_slurm.benchhub.run_folder().name, patience=30) == []


def test_only_a_batch_system_takes_whole_runs(on_slurm: OnSlurm) -> None:
    done = on_slurm.benchhub.call("submit", on_slurm.job, "--on", "local")
    assert done.returncode == 2
    assert "'local' carries out no runs by itself" in done.stdout
    refused = on_slurm.benchhub.call("submit", on_slurm.job, "--on", "slurm:partition=nope")
    assert refused.returncode == 5
    assert "there are the partitions: main" in refused.stdout
    assert list(on_slurm.benchhub.runs.glob("2*")) == []
