"""Whole jobs on nodes that are containers of this machine, and every way they end."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.schedulers.docker import access
from benchhub_ansible.testing.engine import Engine
from tests.integration.conftest import variables

pytestmark = pytest.mark.real

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart" / "job.yml"

HOSTS = """\
version: 2
name: two hosts
workload: none
database: none
nodes:
  db: {type: database, memory: 1GiB, cpus: 1}
  loader: {type: loader}
stages:
  - name: look
    nodes: all
    tasks:
      - {name: hostname, shell: hostname}
      - {name: peers, shell: 'getent hosts db loader-1 host.docker.internal'}
  - name: container
    nodes: all
    tasks:
      - copy: {src: /bin/busybox, dest: '${run.dir}/busybox', mode: "0755"}
      - shell: cd '${run.dir}' && mkdir bin && mv busybox bin/ && tar -c bin | docker import - tiny
      - {name: run, shell: 'docker run --rm tiny /bin/busybox echo in a container of ${node.name}'}
pipeline: [[look], [container]]
"""

LONG = """\
version: 2
name: long
workload: none
database: none
nodes:
  db: {type: database}
  loader: {type: loader}
stages:
  - name: serve
    nodes: {type: database}
    tasks:
      - name: server
        exec: [python3, -m, http.server, "8000"]
        type: long
        ready: {tcp: "localhost:8000", timeout: 1m}
  - name: load
    nodes: {type: loader}
    tasks: [{shell: sleep 600}]
pipeline: [[serve], [load]]
"""


def begun(stage: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: bool(event["event"] == "stage-begin" and event["stage"] == stage)


def named(event_name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: bool(event["event"] == event_name)


def outputs(run: Path, slot: str) -> str:
    return "".join(path.read_text() for path in sorted((run / "collected" / slot).rglob("*.out")))


def test_nodes_are_hosts_of_their_own_and_run_containers(
    benchhub: Any, docker_job: Callable[[str], Path], nothing_left: Callable[[str], None]
) -> None:
    done = benchhub.call("run", docker_job(HOSTS), "--on", "docker")
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    addresses = {node["slot"]: node["address"] for node in benchhub.result()["nodes"]}
    assert len(set(addresses.values())) == 2
    for slot in ("db", "loader-1"):
        said = outputs(run, slot)
        assert slot in said.splitlines()
        assert all(address in said for address in addresses.values()), "nodes find each other by name"
        assert f"in a container of {slot}" in said
    nothing_left(run.name)


def test_the_quickstart_without_an_edit(
    benchhub: Any, docker_job: Callable[[str], Path], nothing_left: Callable[[str], None]
) -> None:
    job = docker_job(QUICKSTART.read_text())
    done = benchhub.call("run", job, "--on", "docker:engine=no", *variables(seconds=1, scale=1), limit=280)
    assert done.returncode == 0, done.stdout
    (rows,) = [s for s in benchhub.result()["samples"] if s["metric"] == "rows"]
    (sent,) = [a for a in benchhub.result()["aggregates"] if a["metric"] == "transactions"]
    assert rows["value"] == sent["value"] > 0
    nothing_left(benchhub.run_folder().name)


def cut_off(engine: Engine, run_id: str) -> str:
    engine("network", "disconnect", f"benchhub-{run_id}", f"benchhub-{run_id}-loader-1")
    return "node loader-1 was cut off: its container was disconnected from the network"


def kill(engine: Engine, run_id: str) -> str:
    engine("kill", f"benchhub-{run_id}-loader-1")
    return "node loader-1 was lost: its container ended, with exit code 137"


@pytest.mark.parametrize("lose", [cut_off, kill])
def test_a_node_that_is_lost_ends_the_run_by_name(
    benchhub: Any,
    docker_engine: Engine,
    docker_job: Callable[[str], Path],
    nothing_left: Callable[[str], None],
    lose: Callable[[Engine, str], str],
) -> None:
    process = benchhub.start("run", docker_job(LONG), "--on", "docker:engine=no")
    benchhub.wait_for(begun("load"))
    run = benchhub.run_folder()
    reason = lose(docker_engine, run.name)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 6, output
    result = benchhub.result()
    assert result["verdict"]["reason"] == reason
    (service,) = result["services"]
    assert (service["slot"], service["state"]) == ("db", "stopped"), "the other node is torn down in order"
    nothing_left(run.name)


@pytest.mark.parametrize("reached", [named("acquire-intent"), named("acquired"), begun("load")])
def test_a_killed_controller_leaves_nothing_that_recover_does_not_remove(
    benchhub: Any,
    docker_job: Callable[[str], Path],
    nothing_left: Callable[[str], None],
    reached: Callable[[dict[str, Any]], bool],
) -> None:
    process = benchhub.start("run", docker_job(LONG), "--on", "docker:engine=no")
    benchhub.wait_for(reached)
    process.kill()
    process.wait()
    run = benchhub.run_folder()
    done = benchhub.call("recover", run.name)
    assert done.returncode == 0, done.stdout
    nothing_left(run.name)


def test_two_runs_at_once_have_networks_of_their_own(
    benchhub: Any, docker_engine: Engine, docker_job: Callable[[str], Path], nothing_left: Callable[[str], None]
) -> None:
    job = docker_job(LONG)
    both = [benchhub.start("run", job, "--on", "docker:engine=no", "--runs-dir", f"runs-{n}") for n in (1, 2)]
    journals = [journal_with(benchhub.folder / f"runs-{n}", "stage-begin", "load") for n in (1, 2)]
    found = []
    for journal in journals:
        run_id = journal.parent.name
        subnets = docker_engine(
            "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", f"benchhub-{run_id}"
        )
        found.append(subnets)
        done = benchhub.call("nodes", "--on", "docker", "--json")
        held = [node for node in json.loads(done.stdout)["nodes"] if node["holder"] == run_id]
        assert sorted(node["type"] for node in held) == ["database", "loader"]
    assert found[0] != found[1]
    for process in both:
        process.send_signal(signal.SIGINT)
    for process in both:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 130, output
    for journal in journals:
        nothing_left(journal.parent.name)


def journal_with(runs: Path, event: str, stage: str, limit: float = 120) -> Path:
    """The journal of the one run below a folder, once it holds an event of a stage."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        for path in runs.glob("*/journal.jsonl"):
            lines = path.read_text().splitlines()
            if any(f'"event": "{event}"' in line and f'"stage": "{stage}"' in line for line in lines):
                return path
        time.sleep(0.05)
    raise AssertionError(f"no {event} of {stage} below {runs} within {limit} s")


def test_kept_nodes_go_when_their_time_is_over(
    benchhub: Any, docker_engine: Engine, docker_job: Callable[[str], Path], nothing_left: Callable[[str], None]
) -> None:
    job = docker_job(LONG.replace("sleep 600", "'true'"))
    done = benchhub.call("run", job, "--on", "docker:engine=no", "--keep", "--keep-for", "15s")
    assert done.returncode == 0, done.stdout
    run_id = benchhub.run_folder().name
    assert [kind.split()[0] for kind in docker_engine.of_run(run_id)].count("container") == 2
    keys = access.directory(run_id)
    deadline = time.monotonic() + 120
    while (docker_engine.of_run(run_id) or keys.exists()) and time.monotonic() < deadline:
        time.sleep(0.2)
    nothing_left(run_id)


def test_ctrl_c_while_nodes_start_leaves_nothing(
    benchhub: Any, docker_job: Callable[[str], Path], nothing_left: Callable[[str], None]
) -> None:
    process = benchhub.start("run", docker_job(LONG), "--on", "docker")
    benchhub.wait_for(named("acquire-intent"))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 130, output
    nothing_left(benchhub.run_folder().name)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("docker:count=1", "the job needs 2 nodes, and count= says 1 at most"),
        ("docker:image=benchhub-test/busybox:1,engine=no", "the image has no sshd"),
        ("docker:image=benchhub-test/busybox:1", "the image has no dockerd"),
        ("docker:engine=no,network=no-such-network", "no-such-network"),
    ],
)
def test_what_cannot_be_is_told_with_the_next_step(
    benchhub: Any, docker_engine: Engine, docker_job: Callable[[str], Path], where: str, says: str
) -> None:
    done = benchhub.call("run", docker_job(LONG), "--on", where)
    assert done.returncode == 5, done.stdout
    assert says in done.stdout
    for run in benchhub.runs.glob("*"):
        assert docker_engine.of_run(run.name) == []


def test_an_engine_that_is_dead_or_absent_is_told_with_the_mend(
    benchhub: Any, docker_job: Callable[[str], Path], tmp_path: Path
) -> None:
    job = docker_job(LONG)
    benchhub.environment["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    done = benchhub.call("run", job, "--on", "docker")
    assert done.returncode == 5, done.stdout
    assert "Cannot connect to the Docker daemon" in done.stdout
    assert "mend: start the engine" in done.stdout
    benchhub.environment["PATH"] = str(tmp_path)
    done = benchhub.call("run", job, "--on", "docker")
    assert done.returncode == 5, done.stdout
    assert "there is no docker command on PATH; mend: install an engine" in done.stdout


def test_a_job_too_large_for_this_machine_is_refused(benchhub: Any, docker_job: Callable[[str], Path]) -> None:
    job = docker_job(LONG.replace("{type: database}", "{type: database, cpus: 4096, memory: 4096TiB}", 1))
    done = benchhub.call("run", job, "--on", "docker")
    assert done.returncode == 5, done.stdout
    assert "needs 4096 CPUs, and this machine has" in done.stdout
    assert "of memory, and this machine has" in done.stdout
    assert not benchhub.runs.exists()
