"""However a run ends, its containers, networks and volumes go, and nobody else's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchhub_ansible.testing.engine import TINY_IMAGE
from benchhub_ansible.testing.leftovers import leftovers
from tests.integration.docker.conftest import Containers, begins

pytestmark = pytest.mark.real

#: A service with all that can be left behind, and a run-and-finish container that runs while the run ends.
JOB = """\
- name: serve
  nodes: db
  tasks:
    - name: kv
      docker:
        run: IMAGE
        engine: ENGINE
        name: NAME-kv
        volumes: ["NAME-data:/data", /anonymous]
        network: NAME-net
        command: [sh, -c, 'SERVE']
      type: long
      ready: {log: ^up$, timeout: 60s}
- name: load
  nodes: db
  tasks:
    - docker: {run: IMAGE, engine: ENGINE, name: NAME-load, command: [sleep, "600"]}
      timeout: LIMIT
"""


@pytest.fixture
def bystander(docker: Containers) -> Any:
    """A container, a network and a volume of somebody else."""
    name, call = f"{docker.tag}-other", docker.engine
    call("network", "create", name)
    call("run", "--detach", "--name", name, "--network", name, "--volume", f"{name}:/x", TINY_IMAGE, "sleep", "600")
    yield name
    call("rm", "--force", "--volumes", name)
    call("network", "rm", name)
    call("volume", "rm", name)


def loading(containers: Containers, limit: str = "10m") -> Any:
    """A started run whose load is a container that runs."""
    containers.job(JOB, "[[serve], [load]]", LIMIT=limit)
    process = containers.benchhub.start("run", "job.yml")
    containers.benchhub.run_folder()
    containers.benchhub.wait_for(begins("load"))
    deadline = time.monotonic() + 60
    while containers.engine.call("top", f"{containers.tag}-load").returncode:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def supervisors(run: Path) -> list[psutil.Process]:
    """The supervisor of the run and its monitors: they stand in its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(f"/tmp/benchhub-{run.name}/") and process.cwd().endswith("/.benchhub"):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_a_task_that_takes_too_long(containers: Containers) -> None:
    containers.job(JOB, "[[serve], [load]]", LIMIT="2s")
    assert "did not end within 2 s" in " ".join(containers.run(code=1).split())
    assert containers.benchhub.result()["verdict"]["status"] == "failed"


def test_ctrl_c(containers: Containers) -> None:
    process = loading(containers)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    containers.nothing_is_left()


def test_a_killed_controller_and_recover(docker: Containers, bystander: str) -> None:
    process = loading(docker)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run = docker.benchhub.run_folder()
    assert docker.engine.of_run(run.name) != []
    done = docker.benchhub.call("recover", run.name)
    docker.nothing_is_left()
    assert leftovers(run.name) == [], done.stdout
    assert docker.engine("inspect", "--format", "{{.State.Status}}", bystander) == "running"


def test_a_killed_supervisor_with_its_monitors(containers: Containers) -> None:
    process = loading(containers)
    run = containers.benchhub.run_folder()
    killed = supervisors(run)
    assert len(killed) >= 3  # the supervisor, and a monitor for each unit
    for one in killed:
        with contextlib.suppress(psutil.NoSuchProcess):  # one that sees the other end ends by itself
            one.kill()
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0, output
    containers.nothing_is_left()
    assert leftovers(run.name) == []


def test_a_killed_monitor(docker: Containers) -> None:
    process = loading(docker)
    mark = f"{docker.benchhub.run_folder().name}/db/kv"
    marked = [one for one in psutil.process_iter() if _unit_of(one) == mark]
    # the monitor is the parent of the unit's first process, and carries no mark itself
    parents = {one.parent() for one in marked} - {None, *marked}
    (monitor,) = (one for one in parents if one is not None)
    monitor.kill()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "its monitor was killed" in output
    docker.nothing_is_left()


def _unit_of(process: Any) -> str:
    try:
        return str(process.environ().get("BENCHHUB_UNIT", ""))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def test_a_killed_command_line(docker: Containers) -> None:
    """The container lives on without its `docker start`, so the service is not what it was started as any more."""
    process = loading(docker)
    for client in psutil.process_iter():
        run = docker.benchhub.run_folder().name
        if client.name() == "docker" and _unit_of(client) == f"{run}/db/kv":
            client.kill()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "the command line of docker was ended while its container ran" in output
    docker.nothing_is_left()


def test_a_container_killed_by_somebody_else(containers: Containers) -> None:
    process = loading(containers)
    containers.engine("kill", "--signal", "KILL", f"{containers.tag}-kv")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "exit code 137" in output
    assert containers.benchhub.result()["services"][0]["died"]
    containers.nothing_is_left()
