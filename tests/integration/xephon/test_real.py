"""Real Cassandra and KairosDB on nodes that are containers: the whole job, and what happens when a part of it dies."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.engine import Engine
from tests.integration.conftest import variables
from tests.integration.xephon.conftest import EXAMPLE, JVM, SETUP_LIMIT, Nodes

pytestmark = [pytest.mark.real, pytest.mark.timeout(SETUP_LIMIT + 1500)]

Variant = Callable[[Callable[[dict[str, Any]], None]], Path]
LOADING = "300"  # seconds of a load that is going to be broken off


def stage(job: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(stage for stage in job["stages"] if stage["name"] == name)
    return found


def unchanged(job: dict[str, Any]) -> None:
    """The job as it stands."""


def value(result: dict[str, Any], metric: str) -> float | None:
    found: float | None = next(a["value"] for a in result["aggregates"] if a["metric"] == metric)
    return found


def service(result: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in result["services"] if s["name"] == name)
    return found


def assert_order(result: dict[str, Any]) -> None:
    """KairosDB was not started before Cassandra had answered in CQL."""
    cassandra, kairosdb = service(result, "cassandra"), service(result, "kairosdb")
    assert kairosdb["start"] >= cassandra["start"] + cassandra["ready_after"]


def assert_valid(result: dict[str, Any]) -> None:
    assert result["verdict"]["status"] == "success", result["verdict"]
    assert all(sample["valid"] for sample in result["samples"])
    rates = [s for s in result["samples"] if s["metric"] == "throughput"]
    assert [s["slot"] for s in rates] == ["loader-1", "loader-2"]
    assert value(result, "throughput") == pytest.approx(sum(s["value"] for s in rates))
    points = value(result, "points")
    assert points
    assert value(result, "stored") == points, "what the loaders sent is not what the database holds"
    assert (value(result, "failed"), value(result, "lost")) == (0, 0)
    assert_order(result)


@pytest.mark.parametrize(("name", "nodes_wanted"), [("job.job", 3), ("ring.yml", 6)])
def test_the_whole_job(setup: Engine, benchhub: Any, name: str, nodes_wanted: int) -> None:
    done = benchhub.call("run", EXAMPLE / name, "--on", "docker", *variables(seconds=2, jvm=JVM), limit=1200)
    assert done.returncode == 0, done.stdout
    result = benchhub.result()
    assert_valid(result)
    assert len({node["address"] for node in result["nodes"]}) == nodes_wanted
    run = benchhub.run_folder()
    assert "points/s" in (run / "report.md").read_text()
    assert setup.of_run(run.name) == []
    if name == "ring.yml":
        ring = [s for s in result["services"] if s["name"] == "cassandra"]
        for earlier, later in itertools.pairwise(ring):
            assert later["start"] >= earlier["start"] + earlier["ready_after"], "two nodes joined at once"
        (status,) = run.glob("collected/db-3/units/see-the-ring/01.err")
        assert status.read_text().count("\nUN ") >= 3


def test_the_compiled_job_runs_under_plain_ansible(nodes: Nodes, benchhub: Any, variant: Variant) -> None:
    before = nodes.look()
    compiled = benchhub.folder / "compiled"
    job = variant(lambda job: job["vars"].update(seconds="2"))
    done = benchhub.call("compile", job, "-o", compiled, "--on", f"inventory:{nodes.inventory}")
    assert done.returncode == 0, done.stdout
    sockets = tempfile.TemporaryDirectory(prefix="bh-")  # the path of a socket has to be short
    played = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "../inventory/hosts.yml", "site.yml"],
        cwd=compiled / "project",
        env={**os.environ, "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets.name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    sockets.cleanup()
    assert played.returncode == 0, played.stdout[-6000:] + played.stderr[-2000:]
    assert "Count |" in played.stdout, "it ended before it had counted what is stored"
    nodes.same_as(before)


def break_off(benchhub: Any, nodes: Nodes, job: Path, victim: str) -> dict[str, Any]:
    """A run whose service is killed in the middle of the load, after which the nodes are as before."""
    before = nodes.look()
    process = benchhub.start("run", job, "--on", f"inventory:{nodes.inventory}", "--var", f"seconds={LOADING}")
    benchhub.run_folder()
    benchhub.wait_for(lambda event: event["event"] == "stage-begin" and event["stage"] == "load", limit=800)
    # points have arrived: it is the middle of the load, not its beginning
    ask = METRIC_NAMES.format(nodes.on("db", "hostname -i").strip())
    wait_until(lambda: "xb.loader-2." in nodes.on("loader-2", ask))
    nodes.on("db", f"docker kill {victim}")
    output, _ = process.communicate(timeout=120)
    assert "Traceback" not in output
    nodes.same_as(before)
    result: dict[str, Any] = benchhub.result()
    return result


METRIC_NAMES = "curl -fsS http://{}:8080/api/v1/metricnames || true"


def wait_until(reached: Callable[[], bool], limit: float = 120) -> None:
    deadline = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {limit} s"
        time.sleep(0.5)


def assert_told(benchhub: Any, result: dict[str, Any], victim: str) -> None:
    """The run says which service died, shows no rate as valid, and has the logs of both."""
    assert result["verdict"]["status"] == "failed"
    assert service(result, victim)["died"]
    assert any(f"service {victim!r}" in failure["message"] for failure in result["failures"])
    loads = [s for s in result["samples"] if s["stage"] == "load"]
    assert loads
    assert not any(sample["valid"] for sample in loads)
    assert all(aggregate["value"] is None for aggregate in result["aggregates"])
    for name in ("cassandra", "kairosdb"):
        assert (benchhub.run_folder() / service(result, name)["log"]).stat().st_size > 0, f"the log of {name} is empty"
    said = next(line for line in (benchhub.run_folder() / "report.md").read_text().splitlines() if "throughput" in line)
    assert "missing" in said or "INVALID" in said.upper(), said


def test_cassandra_is_slow_and_dies_in_the_load(nodes: Nodes, benchhub: Any, variant: Variant) -> None:
    def slow(job: dict[str, Any]) -> None:
        (task,) = stage(job, "start Cassandra")["tasks"]
        task["docker"]["command"] = ["sh", "-c", "sleep 30; exec docker-entrypoint.sh cassandra -f"]

    result = break_off(benchhub, nodes, variant(slow), "cassandra")
    assert service(result, "cassandra")["ready_after"] > 30
    assert_order(result)
    assert_told(benchhub, result, "cassandra")


def test_kairosdb_dies_in_the_load(nodes: Nodes, benchhub: Any, variant: Variant) -> None:
    result = break_off(benchhub, nodes, variant(unchanged), "kairosdb")
    assert_told(benchhub, result, "kairosdb")


def test_without_the_ready_check_kairosdb_ends_at_once(nodes: Nodes, benchhub: Any, variant: Variant) -> None:
    def hasty(job: dict[str, Any]) -> None:
        (task,) = stage(job, "start Cassandra")["tasks"]
        del task["ready"]
        job["pipeline"].remove(["create schema"])
        job["stages"].remove(stage(job, "create schema"))

    before = nodes.look()
    done = benchhub.call("run", variant(hasty), "--on", f"inventory:{nodes.inventory}", limit=800)
    assert done.returncode == 1, done.stdout
    result = benchhub.result()
    assert service(result, "kairosdb")["exit_code"] == 0, (
        "KairosDB no longer ends with 0 when it cannot reach Cassandra"
    )
    failed = result["verdict"]["failure"]
    assert (failed["stage"], failed["exit_code"]) == ("start-kairosdb", 0)
    assert any("NoHostAvailableException" in line for line in failed["last_lines"]), failed["last_lines"]
    assert "NoHostAvailableException" in done.stdout
    nodes.same_as(before)


def test_killed_and_recovered(nodes: Nodes, benchhub: Any, variant: Variant) -> None:
    before = nodes.look()
    job = variant(unchanged)
    process = benchhub.start("run", job, "--on", f"inventory:{nodes.inventory}", "--var", f"seconds={LOADING}")
    benchhub.run_folder()
    benchhub.wait_for(lambda event: event["event"] == "stage-begin" and event["stage"] == "load", limit=800)
    wait_until(lambda: "k6" in nodes.on("loader-1", "ps -e -o args="))
    os.kill(process.pid, signal.SIGKILL)  # the controller alone, as the kernel's OOM killer does
    process.wait()
    assert nodes.look() != before, "nothing was left to recover"
    done = benchhub.call("recover", benchhub.run_folder().name, limit=180)
    assert done.returncode == 0, done.stdout
    nodes.same_as(before)
    result = benchhub.result()
    assert result["verdict"]["status"] == "interrupted"
    assert all(aggregate["value"] is None for aggregate in result["aggregates"])
