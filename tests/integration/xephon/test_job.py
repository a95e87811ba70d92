"""The job of Xephon-B on KairosDB, as far as no database is needed: its notations, its playbooks, its metrics."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchhub_ansible.job.load import load_file
from benchhub_ansible.plan.build import make_plan

EXAMPLE = Path(__file__).parents[3] / "examples" / "xephon-b-kairosdb"
RECORDED = Path(__file__).parent / "recorded"
BIN = Path(sys.executable).parent


def test_both_notations_give_the_same_plan() -> None:
    one, other = (make_plan(load_file(EXAMPLE / name).job) for name in ("job.yml", "job.job"))
    assert one.job == "xephon-b-v0.1-kairosdb-1.2.0"
    assert one.hash == other.hash


@pytest.mark.real
@pytest.mark.timeout(900)
def test_what_is_compiled_is_ansible(benchhub: Any, tmp_path: Path) -> None:
    compiled = tmp_path / "out"
    done = benchhub.call("compile", EXAMPLE / "job.yml", "-o", compiled)
    assert done.returncode == 0, done.stdout
    environment = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    said = subprocess.run(  # it has ansible-playbook check the syntax, too
        [str(BIN / "ansible-lint"), "--profile", "production", "--offline", "--nocolor", "site.yml"],
        cwd=compiled / "project",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def _recorded(benchhub: Any, name: str) -> dict[str, Any]:
    """The result of the job's own stages `install loader` and `load`, with a Xephon-B that prints what it once did."""
    xephon = benchhub.folder / "xb"
    configured = 'test "$1 $2" = "run --config" && grep -q "prefix: xb.loader-[12]" "$3"'
    xephon.write_text(f"#!/bin/sh\n{configured} && exec cat '{RECORDED / name}'\n")
    job = yaml.safe_load((EXAMPLE / "job.yml").read_text())
    stages = ["install loader", "load"]
    job.update(
        pipeline=[[stage] for stage in stages],
        cleanup=[],
        stages=[stage for stage in job["stages"] if stage["name"] in stages],
    )
    (benchhub.folder / "loader").symlink_to(EXAMPLE / "loader")
    (benchhub.folder / "job.yml").write_text(yaml.safe_dump(job, sort_keys=False))
    benchhub.call("run", benchhub.folder / "job.yml", "--var", "loader=xephon-b", "--var", f"xb={xephon}")
    result: dict[str, Any] = benchhub.result()
    return result


def _samples(result: dict[str, Any], metric: str) -> list[dict[str, Any]]:
    return [sample for sample in result["samples"] if sample["metric"] == metric]


@pytest.mark.real
def test_a_good_result_of_xephon_b_is_valid(benchhub: Any) -> None:
    result = _recorded(benchhub, "result-good.json")
    assert result["verdict"]["status"] == "success"
    rates = _samples(result, "throughput")
    assert [sample["valid"] for sample in rates] == [True, True]
    # points and duration as in the recorded line: 225600 points in 5.0128 s
    assert [sample["value"] for sample in rates] == pytest.approx([225600 / 5.012800505] * 2)
    assert [sample["value"] for sample in _samples(result, "latency")] == pytest.approx([8.85735] * 2)
    (total,) = [a for a in result["aggregates"] if a["metric"] == "throughput"]
    assert total["value"] == pytest.approx(2 * 225600 / 5.012800505)


@pytest.mark.real
def test_failed_requests_make_a_result_of_xephon_b_invalid(benchhub: Any) -> None:
    """Seven times the rate and exit code 0: what the real Xephon-B says of a database that is dead."""
    result = _recorded(benchhub, "result-database-dead.json")
    assert result["verdict"]["status"] == "invalid"
    assert [sample["value"] for sample in _samples(result, "failed")] == [15495, 15495]
    assert not any(sample["valid"] for sample in result["samples"])
    assert [a["value"] for a in result["aggregates"]] == [None] * len(result["aggregates"])
