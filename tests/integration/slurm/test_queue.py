"""What Slurm does before a run has its nodes: refuse, let wait, and be given up."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.slurm.harness import OnSlurm, ended

pytestmark = pytest.mark.real


def test_the_queue_is_waited_for_and_told(on_slurm: OnSlurm) -> None:
    somebody = on_slurm.occupy()
    process = on_slurm.benchhub.start("run", on_slurm.job, "--on", "slurm")
    text = on_slurm.in_queue()["text"]
    assert "position 1 of 1" in text
    on_slurm.told("nodes are busy (Resources)")
    waiting = on_slurm.benchhub.call("nodes", "--on", "slurm")
    assert f"Slurm job {somebody} of root" in waiting.stdout
    on_slurm.farm.call("scancel", somebody)
    code, output = ended(process)
    assert code == 0, output
    assert "waits in partition main" in output
    assert on_slurm.benchhub.result()["allocation"]["queued"] > 0
    on_slurm.gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_given_up_in_the_queue(on_slurm: OnSlurm, number: signal.Signals) -> None:
    on_slurm.occupy()
    process = on_slurm.benchhub.start("run", on_slurm.job, "--on", "slurm")
    on_slurm.in_queue()
    os.killpg(process.pid, number)
    code, output = ended(process)
    assert code == 130, output
    assert "in the queue" in output
    on_slurm.gone()


def test_killed_between_request_and_grant_then_recovered(on_slurm: OnSlurm) -> None:
    on_slurm.occupy()
    process = on_slurm.benchhub.start("run", on_slurm.job, "--on", "slurm")
    on_slurm.in_queue()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run_id = on_slurm.benchhub.run_folder().name
    assert any(run_id in job for job in on_slurm.farm.jobs()), "the request lives on without its controller"
    done = on_slurm.benchhub.call("recover", run_id)
    assert "recovered" in done.stdout
    on_slurm.gone()


def test_cancelled_by_somebody_in_the_queue(on_slurm: OnSlurm) -> None:
    on_slurm.occupy()
    process = on_slurm.benchhub.start("run", on_slurm.job, "--on", "slurm")
    on_slurm.in_queue()
    on_slurm.farm.call("scancel", f"--name=benchhub-{on_slurm.benchhub.run_folder().name}")
    code, output = ended(process)
    assert code == 5, output
    assert "was cancelled before the run could begin" in output
    on_slurm.gone()


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        ("slurm", ("count: 2", "count: 9"), "cannot give 10 nodes (1 database, 9 loader)"),
        ("slurm", ("[ssd]", "[gold]"), "Invalid feature specification"),
        ("slurm:partition=nope", ("", ""), "there are the partitions: main"),
        ("slurm:time=9h", ("", ""), "540 min were asked for (time=…)"),
        ("slurm", ("[ssd]", "[ssd], options: {output: x}"), "Slurm is not asked with this option"),
    ],
    ids=["too-many", "no-such-feature", "no-such-partition", "too-long", "no-such-option"],
)
def test_what_can_never_be_is_refused_at_once(
    on_slurm: OnSlurm, where: str, change: tuple[str, str], message: str
) -> None:
    job = on_slurm.job
    job.write_text(job.read_text().replace(*change) if change[0] else job.read_text())
    done = on_slurm.benchhub.call("run", job, "--on", where)
    assert done.returncode == 5, done.stdout
    assert message in done.stdout
    assert not on_slurm.benchhub.runs.exists(), "a run was begun"
    assert on_slurm.farm.jobs() == []
