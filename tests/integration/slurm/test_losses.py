"""Slurm takes the nodes away, or goes away itself: the run ends in order with that reason, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.integration.slurm.harness import OnSlurm, ended

pytestmark = pytest.mark.real


def check_lost(
    on_slurm: OnSlurm, process: subprocess.Popen[str], code: int, reason: str, *, files: bool = True
) -> None:
    got, output = ended(process)
    assert got == code, output
    result = on_slurm.benchhub.result()
    assert reason in result["verdict"]["reason"]
    assert result["verdict"]["status"] == "failed"
    assert not any(sample["valid"] for sample in result["samples"])
    on_slurm.gone(files=files)


@pytest.mark.parametrize("where", ["slurm", "slurm:connect=srun"])
def test_cancelled_from_outside(on_slurm: OnSlurm, where: str) -> None:
    process = on_slurm.start(where)
    on_slurm.farm.call("scancel", on_slurm.loading())
    check_lost(on_slurm, process, 5, "was cancelled", files=where == "slurm")
    if where == "slurm":  # the nodes can still be reached, and what the load printed comes home
        outputs = list(on_slurm.benchhub.run_folder().glob("collected/loader-1/units/*/*.out"))
        assert any("rate=7" in path.read_text() for path in outputs)


def test_its_time_limit(on_slurm: OnSlurm) -> None:
    process = on_slurm.start("slurm:time=1m,connect=srun")
    check_lost(on_slurm, process, 5, "nears its time limit of 1m")
    outputs = list(on_slurm.benchhub.run_folder().glob("collected/loader-1/units/*/*.out"))
    assert any("rate=7" in path.read_text() for path in outputs), "there was time to collect"


def test_a_node_whose_slurmd_is_killed(on_slurm: OnSlurm) -> None:
    process = on_slurm.start("slurm")
    on_slurm.loading()
    on_slurm.farm.kill_node("node3")
    check_lost(on_slurm, process, 6, "lost a node, which failed")


def test_slurmctld_away_and_back(on_slurm: OnSlurm) -> None:
    process = on_slurm.start("slurm")
    on_slurm.loading()
    on_slurm.farm.stop_slurmctld()
    on_slurm.told("slurmctld does not answer")
    on_slurm.farm.start_slurmctld()
    on_slurm.told("slurmctld answers again")
    on_slurm.go.touch()
    code, output = ended(process)
    assert code == 0, output
    on_slurm.gone()


def test_slurmctld_away_for_longer_than_patience(on_slurm: OnSlurm) -> None:
    process = on_slurm.start("slurm:patience=5s")
    on_slurm.loading()
    on_slurm.farm.stop_slurmctld()
    code, output = ended(process)
    assert code == 5, output
    assert "slurmctld has not answered for 5s" in on_slurm.benchhub.result()["verdict"]["reason"]
    assert "end it with: scancel --me --name=benchhub-" in output
    on_slurm.farm.start_slurmctld()
    name = f"benchhub-{on_slurm.benchhub.run_folder().name}"
    on_slurm.farm.until(lambda: any(name in job for job in on_slurm.farm.jobs()), "slurmctld answers")
    on_slurm.farm.call("scancel", f"--name={name}")
    on_slurm.gone()


def test_slurmctld_away_from_the_beginning(on_slurm: OnSlurm) -> None:
    on_slurm.farm.stop_slurmctld()
    done = on_slurm.benchhub.call("run", on_slurm.job, "--on", "slurm")
    assert done.returncode == 5, done.stdout
    assert "slurmctld does not answer" in done.stdout
    assert "scontrol ping" in done.stdout


@pytest.mark.parametrize("where", ["slurm", "slurm:connect=srun"])
def test_killed_while_it_loads_then_recovered(on_slurm: OnSlurm, where: str) -> None:
    process = on_slurm.start(where)
    on_slurm.loading()
    os.kill(process.pid, signal.SIGKILL)
    ended(process)
    done = on_slurm.benchhub.call("recover")
    assert done.returncode == 0, done.stdout
    assert "recovered afterwards" in on_slurm.benchhub.result()["verdict"]["reason"]
    on_slurm.gone()
    outputs = list(on_slurm.benchhub.run_folder().glob("collected/loader-1/units/*/*.out"))
    assert any("rate=7" in path.read_text() for path in outputs)
