"""The quickstart on a real Slurm, unchanged: over ssh, with srun, inside salloc."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import variables
from tests.integration.slurm.harness import OnSlurm

pytestmark = pytest.mark.real

JOB = Path(__file__).parents[3] / "examples" / "quickstart" / "job.yml"


def check(on_slurm: OnSlurm, port: int) -> dict[str, Any]:
    result: dict[str, Any] = on_slurm.benchhub.result()
    assert result["verdict"]["status"] == "success"
    (rows,) = [s for s in result["samples"] if s["metric"] == "rows"]
    (transactions,) = [a for a in result["aggregates"] if a["metric"] == "transactions"]
    assert rows["value"] == transactions["value"] > 0, "what the loaders sent is not what the database holds"
    assert [node["address"] for node in result["nodes"]] == list(on_slurm.farm.ssh.addresses[:3])
    on_slurm.gone(port)
    return result


@pytest.mark.parametrize("where", ["slurm", "slurm:connect=srun"])
def test_unchanged(on_slurm: OnSlurm, free_port: int, quick_python: Path, where: str) -> None:
    given = variables(port=free_port, seconds=1, scale=1, python=quick_python)
    done = on_slurm.benchhub.call("run", JOB, "--on", where, *given)
    assert done.returncode == 0, done.stdout
    assert ("pam_slurm_adopt" in done.stdout) is (where == "slurm")
    result = check(on_slurm, free_port)
    assert result["allocation"]["partition"] == "main"
    assert result["allocation"]["queued"] >= 0
    assert result["allocation"]["id"].startswith("slurm-")
    assert result["nodes"][0]["facts"]["features"] == "ssd"
    assert [node["facts"]["host"] for node in result["nodes"]] == ["node1", "node2", "node3"]


def test_inside_salloc_it_uses_that_allocation_and_leaves_it(
    on_slurm: OnSlurm, free_port: int, quick_python: Path
) -> None:
    options = (
        f"--on slurm:connect=srun --var port={free_port} --var seconds=1 --var scale=1 --var 'python={quick_python}'"
    )
    run = f"'{sys.executable}' -m benchhub_ansible.cli.main run '{JOB}' {options}"
    after = "code=$?; squeue --noheader --jobs=$SLURM_JOB_ID --format='still %T'; squeue --noheader --steps; exit $code"
    done = on_slurm.program("salloc", "--nodes=3", "--exclusive", "sh", "-c", f"{run}; {after}")
    assert done.returncode == 0, done.stdout
    assert "still RUNNING" in done.stdout
    assert "holder" not in done.stdout.split("still RUNNING")[1], "our own step was left in it"
    check(on_slurm, free_port)


def test_inside_an_allocation_that_is_too_small(on_slurm: OnSlurm) -> None:
    run = f"'{sys.executable}' -m benchhub_ansible.cli.main run '{on_slurm.job}' --on slurm"
    done = on_slurm.program("salloc", "--nodes=2", "sh", "-c", run)
    assert done.returncode == 5, done.stdout
    assert "the job needs 3 nodes (1 database, 2 loader)" in done.stdout
    assert "has 2, and none of them is left for loader-2" in done.stdout
