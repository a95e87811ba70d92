"""The same job on three real sshd nodes: nothing of it is changed, and no ssh connection outlives the run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers
from benchhub_ansible.testing.sshd import SshFarm

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: on ssh
vars: {seconds: "0"}
nodes:
  db: {type: database}
  loader: {type: loader, count: 2}
stages:
  - name: start service
    nodes: {type: database}
    tasks:
      - name: serve
        shell: touch ${run.dir}/up; sleep 600
        type: long
        ready: {file: up, timeout: 10s}
  - name: load
    nodes: {type: loader}
    start: together
    tasks:
      - shell: echo ${node.address} to ${nodes.db.address} | tee out.txt; sleep ${seconds}
pipeline: [[start service], [load]]
"""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SshFarm]:
    with SshFarm(tmp_path / "ssh farm", 3) as farm:
        yield farm


def _job(benchhub: Any) -> Path:
    path: Path = benchhub.folder / "job.yml"
    path.write_text(JOB)
    return path


def test_success_on_ssh_nodes(benchhub: Any, farm: SshFarm) -> None:
    done = benchhub.call("run", _job(benchhub), "--on", f"inventory:{farm.inventory}")
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    assert (run / "collected/loader-1/units/load/01.out").read_text() == "127.0.1.2 to 127.0.1.1\n"
    assert (run / "collected/loader-2/units/load/01.out").read_text() == "127.0.1.3 to 127.0.1.1\n"
    assert leftovers(run.name) == []
    hosts = (run / "inventory/hosts.yml").read_text()
    assert "ansible_ssh_private_key_file" not in hosts, "the user's variables stay in his inventory"


def test_killed_and_recovered_on_ssh_nodes(benchhub: Any, farm: SshFarm) -> None:
    (benchhub.folder / "lab.ini").symlink_to(farm.inventory)
    where = "inventory:lab.ini"
    process = benchhub.start("run", _job(benchhub), "--on", where, "--var", "seconds=300")
    folder = Path(f"/tmp/benchhub-{benchhub.run_folder().name}")
    deadline = time.monotonic() + 60
    while not (folder / "loader-2" / "out.txt").exists():
        assert time.monotonic() < deadline, "the load has not begun"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    run, home = benchhub.run_folder(), benchhub.folder
    benchhub.folder = home.parent  # recover works from any folder
    done = benchhub.call("recover", run)
    benchhub.folder = home
    assert done.returncode == 0, done.stdout
    assert benchhub.result()["verdict"]["status"] == "interrupted"
    assert leftovers(benchhub.run_folder().name) == []


def test_kept_ssh_nodes_end_at_their_time(benchhub: Any, farm: SshFarm) -> None:
    """Processes and files are gone then, although nobody speaks to the nodes any more."""
    done = benchhub.call(
        "run", _job(benchhub), "--on", f"inventory:{farm.inventory}", "--keep", "--keep-for", "4s", "--json"
    )
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    (kept,) = [event for event in benchhub.journal() if event["event"] == "kept"]
    assert leftovers(run.name, patience=90) == []
    assert kept["until"] - 1 <= time.time()
    assert (run / "collected/loader-1/units/load/01.out").exists()
    after = benchhub.call("recover", run.name)
    assert after.returncode == 0, after.stdout
    assert leftovers(run.name) == []
