"""What the tests of the example share: its setup, and three nodes that outlive a run, so that one sees what is left."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchhub_ansible.job.load import load_file
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.docker.scheduler import DockerScheduler
from benchhub_ansible.testing.engine import Engine

EXAMPLE = Path(__file__).parents[3] / "examples" / "xephon-b-kairosdb"
SETUP_LIMIT = 2400
#: Without its second compiler, a parallel collector and a look at each class of its libraries, a Java virtual machine
#: takes a third less CPU time until it is up.
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
_REGISTRY = "benchhub-xephon-registry"
_PATIENCE = 30.0
#: What runs on a node at any time: its first programs, its engine, and how we come there.
_ALWAYS = re.compile(r"^(/sbin/docker-init|sshd:|/\S*sshd |dockerd |containerd |sh -c |ps -e|\[)")
_LOOK = "docker ps --all --quiet; docker network ls --format '{{.Name}}'; docker volume ls --quiet; ps -e -o args="


@pytest.fixture(scope="session")
def setup(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The example's own setup has run; the last test process that needs it stops the registry, unless it was there."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    with (shared / "xephon-users").open("a+") as users:
        with (shared / "xephon-start").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            was_there = shared / "xephon-was-there"
            if not was_there.exists():
                was_there.write_text(docker_engine("ps", "--quiet", "--filter", f"name={_REGISTRY}"))
            _setup(docker_engine)
        yield docker_engine
        with (shared / "xephon-start").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # somebody else still needs it
                return
            if not was_there.read_text():
                _setup(docker_engine, "stop")


def _setup(engine: Engine, *arguments: str) -> None:
    # ahead of the other workers' tests, where root may say so: many tests wait for it, and it builds for minutes
    done = subprocess.run(
        [shutil.which("nice") or "nice", "-n", "-10", str(EXAMPLE / "setup.sh"), *arguments],
        env={**engine.environment, "GOGC": "off"},  # Go's compiler takes a tenth less time, and more memory
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SETUP_LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Machines that are there before a run and after it, each with an engine of its own."""

    engine: Engine
    inventory: Path
    containers: dict[str, str]  # slot → container

    def on(self, slot: str, command: str) -> str:
        """What a shell command prints on a node."""
        return self.engine("exec", self.containers[slot], "sh", "-c", command)

    def look(self) -> dict[str, list[str]]:
        """Containers, networks, volumes and processes of every node that are not always there."""
        return {
            slot: sorted(line for line in self.on(slot, _LOOK).splitlines() if not _ALWAYS.match(line))
            for slot in self.containers
        }

    def same_as(self, before: dict[str, list[str]]) -> None:
        """Asserts that the nodes are as they were, after a while in which what is ending may end."""
        deadline = time.monotonic() + _PATIENCE
        while (now := self.look()) != before and time.monotonic() < deadline:
            time.sleep(0.5)
        assert now == before


@pytest.fixture(scope="session")
def nodes(setup: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A database node and two loaders: containers, behind a plain inventory."""
    scheduler = DockerScheduler.from_where("")
    request = Request.of(make_plan(load_file(EXAMPLE / "job.yml").job))
    run_id = f"xephon-tests-{secrets.token_hex(4)}"
    allocation = scheduler.acquire(request, run_id=run_id, progress=print, cancelled=lambda: False)
    try:
        types = {slot.name: slot.type for slot in request.slots}
        groups: dict[str, Any] = {type_: {"hosts": {}} for type_ in types.values()}
        for node in allocation.nodes:
            groups[types[node.slot]]["hosts"][node.slot] = dict(node.vars)
        inventory = tmp_path_factory.mktemp("nodes") / "hosts.yml"
        inventory.write_text(yaml.safe_dump(groups))
        containers = {node.slot: node.host for node in allocation.nodes}
        yield Nodes(engine=setup, inventory=inventory, containers=containers)
    finally:
        scheduler.release(allocation)


@pytest.fixture
def variant(benchhub: Any) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """Writes job.yml with a change beside links to the files it needs."""

    def write(change: Callable[[dict[str, Any]], None]) -> Path:
        job = yaml.safe_load((EXAMPLE / "job.yml").read_text())
        job["vars"]["jvm"] = JVM
        change(job)
        for name in ("loader", "kairosdb", "cql.py"):
            (benchhub.folder / name).symlink_to(EXAMPLE / name)
        path: Path = benchhub.folder / "job.yml"
        path.write_text(yaml.safe_dump(job, sort_keys=False))
        return path

    return write


def result_of(run: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((run / "result.json").read_text())
    return data
