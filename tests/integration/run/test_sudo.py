"""Nodes that are reached as a normal user, who becomes root by sudo: tasks as that user, as root and as another one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchhub_ansible.testing.leftovers import leftovers
from benchhub_ansible.testing.sshd import SshFarm

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: becomes
vars: {seconds: "0"}
nodes:
  db: {type: database}
  client: {type: loader}
stages:
  - name: serve
    nodes: {type: database}
    tasks:
      - name: server
        shell: id -un; touch up; exec sleep 600
        become: true
        type: long
        ready: {command: 'test "$(id -un)" = root && test -O up', timeout: 60s}
        shutdown: {shell: id -un > stopped-by}
  - name: users
    nodes: all
    tasks:
      - {name: login, shell: id -un; mkdir own; touch own/file}
      - name: root
        shell: id -un; mkdir -m 700 secret; echo hidden > secret/file
        become: true
        collect: [secret/file]
      - {name: other, shell: id -un, user: nobody}
      - {name: file, copy: {content: of root, dest: '/run/RUN-${node.name}', mode: "0600"}, become: true}
      - {name: theirs, exec: [stat, -c, '%U %a', '/run/RUN-${node.name}']}
      - {name: tidy, shell: 'rm /run/RUN-${node.name}', become: true}
  - name: modules
    nodes: {type: loader}
    tasks:
      - {name: root module, module: {name: ansible.builtin.command, args: {cmd: id -un}}, become: true}
      - {name: long module, module: {name: ansible.builtin.command, args: {cmd: 'sleep ${seconds}'}}, become: true}
  - name: login modules
    nodes: {type: loader}
    tasks: [{name: login module, module: {name: ansible.builtin.command, args: {cmd: id -un}}}]
  - name: load
    nodes: all
    start: together
    tasks:
      - {name: load, shell: 'echo rate=$(id -u)', become: true, metrics: [{name: rate, regex: 'rate=(\\d+)'}]}
pipeline: [[serve], [users], [modules, login modules], [load]]
"""

SHELLS_JOB = """\
version: 2
name: shells
nodes: {db: {type: database}, client: {type: loader}}
stages:
  - name: serve
    nodes: {type: database}
    tasks:
      - {name: server, shell: exec sleep 600, type: long, ready: {command: id -un, timeout: 60s}}
  - name: load
    nodes: {type: loader}
    start: together
    tasks:
      - name: root
        shell: id -un; printf '%s' 'two\\lines' '!'
        become: true
      - {name: other, shell: id -un, user: nobody}
      - {name: module, module: {name: ansible.builtin.command, args: {cmd: id -un}}}
pipeline: [[serve], [load]]
"""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Two nodes with a normal user who may become root, and the inventory that names them."""

    user: str
    inventory: Path
    farm: SshFarm


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Makes the user, his rule for sudo and his sshd; his keys have to be where he can read them."""
    if os.geteuid() != 0:
        pytest.fail("this test makes a user: run it as root")
    if shutil.which("sudo") is None:
        pytest.fail("sudo is missing: apt-get install sudo")
    user = f"bh{uuid.uuid4().hex[:8]}"
    folder = Path("/var/tmp") / f"benchhub-{user}"
    rule = Path("/etc/sudoers.d") / user
    # "*": no password, and yet not locked, as sshd would have it
    accounts("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", user)
    try:
        folder.mkdir(mode=0o755)
        rule.write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
        rule.chmod(0o440)
        with SshFarm(folder, 2) as farm:
            inventory = folder / "lab.ini"
            inventory.write_text(farm.inventory.read_text() + f"ansible_user={user}\n")
            yield Lab(user=user, inventory=inventory, farm=farm)
    finally:
        rule.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        accounts("userdel", "--force", "--remove", user)  # force: a session of his may just be ending


def accounts(*command: str) -> None:
    """Changes the users of this machine; tests of other workers may hold the lock on their file."""
    deadline = time.monotonic() + 60
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        assert "lock" in done.stderr, done.stderr
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)


def start(benchhub: Any, lab: Lab, *options: str, job_text: str = JOB) -> Any:
    job: Path = benchhub.folder / "job.yml"
    job.write_text(job_text.replace("RUN", lab.user))
    return benchhub.start("run", job, "--on", f"inventory:{lab.inventory}", *options)


def outputs(run: Path, slot: str, unit: str) -> list[str]:
    found = sorted((run / "collected" / slot / "units" / unit).glob("*.out"))
    return [path.read_text().split("\n")[0] for path in found]


@pytest.fixture(params=["tcsh", "bsd-csh", "fish"])
def login_shell(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    """What the user of the nodes has for a login shell: ssh hands it every command."""
    path = shutil.which(request.param)
    assert path is not None, f"{request.param} is missing: apt-get install csh fish tcsh"
    accounts("usermod", "--shell", path, lab.user)
    yield path
    accounts("usermod", "--shell", "/bin/sh", lab.user)


def test_any_login_shell_will_do(login_shell: str, benchhub: Any, lab: Lab) -> None:
    process = start(benchhub, lab, job_text=SHELLS_JOB)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, (login_shell, said)
    run = benchhub.run_folder()
    assert outputs(run, "client", "load") == ["root", "nobody"]
    assert (run / "collected/client/units/load/01.out").read_text() == "root\ntwo\\lines!"
    assert leftovers(run.name) == []


@pytest.mark.parametrize("profile", ["default", "portable"])
def test_each_task_runs_as_whom_the_job_says(profile: str, benchhub: Any, lab: Lab) -> None:
    process = start(benchhub, lab, "--profile", profile)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    run = benchhub.run_folder()
    for slot in ("db", "client"):
        who = outputs(run, slot, "users")
        assert [who[0], who[1], who[2], who[4]] == [lab.user, "root", "nobody", "root 600"]
        (hidden,) = (run / "collected" / slot / "files").rglob("secret/file")
        assert hidden.read_text() == "hidden\n"
    assert outputs(run, "db", "server")[0] == "root"
    if profile == "default":  # as async jobs, whose results root's supervisor reads
        assert outputs(run, "client", "modules") == ["root"]
        assert outputs(run, "client", "login-modules") == [lab.user]
    assert [(s["value"], s["valid"]) for s in benchhub.result()["samples"]] == [(0.0, True)] * 2
    assert leftovers(run.name) == []


def test_ctrl_c_ends_what_root_runs(benchhub: Any, lab: Lab) -> None:
    process = start(benchhub, lab, "--var", "seconds=500")
    benchhub.wait_for(lambda event: event["event"] == "stage-begin" and event["stage"] == "modules")
    run = benchhub.run_folder()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 130, said
    assert leftovers(run.name) == []


def test_what_a_killed_root_supervisor_leaves_is_ended_too(benchhub: Any, lab: Lab) -> None:
    process = start(benchhub, lab, "--var", "seconds=500")
    benchhub.wait_for(lambda event: event["event"] == "stage-begin" and event["stage"] == "modules")
    run = benchhub.run_folder()
    for slot in ("db", "client"):
        daemon = psutil.Process(int(Path(f"/tmp/benchhub-{run.name}/{slot}/.benchhub/pid").read_text()))
        assert daemon.uids().real == 0
        monitors = daemon.children()
        daemon.suspend()
        for one in (*monitors, daemon):
            one.kill()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 130, said
    assert leftovers(run.name) == []
    assert any("the supervisor was gone" in text for text in benchhub.result()["warnings"])
