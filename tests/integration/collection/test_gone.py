"""Teardown where no supervisor is left: what it ran is ended by its marks, and its folder is removed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.real

START = """
- name: Prepare
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Prepare
      benchhub.bench.prepare:
        lease: 300
      run_once: true
    - name: Service
      benchhub.bench.service:
        name: busy
        shell: setsid sleep 400 & exec sleep 400
      async: 300
      poll: 0
      run_once: true
    - name: Steps
      benchhub.bench.start:
        unit: u
        steps: [{name: long, shell: exec sleep 400}]
        join: false
      run_once: true
"""

FINISH = """
- name: Teardown
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Stop
      benchhub.bench.stop:
        services: [busy]
        stages: true
      run_once: true
    - name: Finish
      benchhub.bench.finish:
        dest: "{{ playbook_dir }}/collected"
      run_once: true
"""


@pytest.fixture(params=["local", "ssh"])
def site(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("local") if request.param == "local" else request.getfixturevalue("over_ssh")()


def folders(site: Any) -> list[Path]:
    found = sorted(site.nodes.rglob(".benchhub"))
    assert len(found) == 3
    return found


def family(folder: Path) -> list[psutil.Process]:
    """The supervisor, its two monitors, and what these run."""
    daemon = psutil.Process(int((folder / "pid").read_text()))
    deadline = time.monotonic() + 60
    while len(found := [daemon, *daemon.children(), *daemon.children(recursive=True)]) < 1 + 2 + 2 + 2 + 1:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return [daemon, *daemon.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(_runs, processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def kill(folder: Path) -> None:
    daemon = psutil.Process(int((folder / "pid").read_text()))
    monitors = daemon.children()
    daemon.suspend()
    for process in (*monitors, daemon):
        process.kill()


@pytest.mark.parametrize("how", ["killed", "removed"])
def test_nothing_stays(how: str, site: Any) -> None:
    assert site.play(START, around=False).code == 0
    started = [process for folder in folders(site) for process in family(folder)]
    for folder in folders(site):
        if how == "killed":
            kill(folder)
        else:
            shutil.rmtree(folder)
    played = site.play(FINISH, around=False)
    assert played.code == 0, played.output
    for host in played.hosts("Finish").values():
        assert host["gone"]
        assert host["ended"] >= 3
        assert host["lost"] == ["outputs and files: the supervisor was gone"]
    assert gone(started)
    site.assert_nothing_left()


MODULE = """
- name: Prepare
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Prepare
      benchhub.bench.prepare:
        lease: 300
      run_once: true
- name: Module
  hosts: benchhub
  gather_facts: false
  environment:
    BENCHHUB_UNIT: "{{ benchhub_run_id }}/{{ inventory_hostname }}/~ansible"
  tasks:
    - name: A daemon of the node that outlives the module which started it
      ansible.builtin.shell: setsid sleep 77 </dev/null >/dev/null 2>&1 &
    - name: Module
      ansible.builtin.command: sleep 400
"""


def marked(site: Any) -> dict[int, list[str]]:
    """Command line by pid of what carries the mark of this run's modules."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("BENCHHUB_UNIT", "").startswith(f"{site.folder.name}/"):
                found[process.pid] = process.cmdline()
        except psutil.Error:
            continue
    return found


def test_modules_are_ended_when_ansible_was_killed_and_daemons_of_the_node_are_not(over_ssh: Any) -> None:
    site = over_ssh()
    ansible = site.start(MODULE, around=False)
    try:
        deadline = time.monotonic() + 120
        while sum(words == ["sleep", "400"] for words in marked(site).values()) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        ansible.kill()
        ansible.communicate()
    assert ["sleep", "400"] in marked(site).values(), "the nodes do not know that Ansible is gone"
    played = site.play(FINISH, around=False)
    assert played.code == 0, played.output
    left = marked(site)
    daemons = [psutil.Process(pid) for pid in left]
    for daemon in daemons:
        daemon.kill()
    psutil.wait_procs(daemons, timeout=60)
    assert list(left.values()) == [["sleep", "77"]] * 3
    site.assert_nothing_left()
