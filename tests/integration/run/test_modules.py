"""Modules of a parallel group: they run beside its other stages, fail as any task does, and leave nothing."""

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

HEAD = """\
version: 2
name: modules
nodes:
  db: {type: database}
  loader: {type: loader, count: 2}
stages:
"""

#: Each stage waits for a file of the other: one after the other they would never end.
MEETING = (
    HEAD
    + """\
  - name: by module
    nodes: loader
    tasks:
      - name: meet
        module:
          name: ansible.builtin.command
          args: {cmd: "sh -c 'touch module; until [ -e step ]; do sleep 0.05; done'", chdir: "${run.dir}"}
        timeout: 2m
      - name: on one slot
        module: {name: ansible.builtin.command, args: {cmd: touch once, chdir: "${run.dir}"}}
        when: test ${node.index} = 1
      - {name: then, shell: test -e module && test -e step && ls}
  - name: by steps
    nodes: loader
    tasks:
      - {name: meet too, shell: "touch step; until [ -e module ]; do sleep 0.05; done", timeout: 2m}
pipeline: [[by module, by steps]]
"""
)

#: A module with a child that has left its session, beside a step that takes long.
LONG = (
    HEAD
    + """\
  - name: by module
    nodes: loader
    tasks:
      - name: wait
        module:
          name: ansible.builtin.command
          args: {cmd: "sh -c 'setsid sleep 300 & touch up; sleep 300'", chdir: "${run.dir}"}
  - name: by steps
    nodes: all
    tasks: [{name: wait too, shell: sleep 300}]
pipeline: [[by module, by steps]]
"""
)

FAILING = LONG.replace("touch up; sleep 300", "echo why >&2; exit 7")


@pytest.fixture
def home(benchhub: Any) -> Path:
    """The home that Ansible finds on a `local` node."""
    folder: Path = benchhub.folder / "home"
    folder.mkdir()
    benchhub.environment["HOME"] = str(folder)
    return folder


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SshFarm]:
    with SshFarm(tmp_path / "ssh farm", 3) as farm:
        yield farm


def write(benchhub: Any, text: str) -> Path:
    path: Path = benchhub.folder / "job.yml"
    path.write_text(text)
    return path


def kept_by_ansible(home: Path) -> list[Path]:
    return [*home.glob(".ansible_async/*"), *home.glob(".ansible/tmp/ansible-tmp-*")]


def wait_until(benchhub: Any, *files: str) -> None:
    """Returns when these are in the run folder of both loaders: the module runs, its supervisor knows of it."""
    folder = Path(f"/tmp/benchhub-{benchhub.run_folder().name}")
    deadline = time.monotonic() + 120
    while not all((folder / f"loader-{number}" / file).exists() for number in (1, 2) for file in files):
        assert time.monotonic() < deadline, "the module has not begun"
        time.sleep(0.05)


def steps(benchhub: Any, name: str) -> list[dict[str, Any]]:
    found = [step for stage in benchhub.result()["stages"] for step in stage["steps"] if step["name"] == name]
    return sorted(found, key=lambda step: str(step["slot"]))


@pytest.mark.parametrize("on", ["local", "ssh"])
def test_modules_run_beside_the_other_stages(benchhub: Any, home: Path, on: str, request: Any) -> None:
    where = on if on == "local" else f"inventory:{request.getfixturevalue('farm').inventory}"
    done = benchhub.call("run", write(benchhub, MEETING), "--on", where)
    assert done.returncode == 0, done.stdout
    assert benchhub.result()["verdict"]["status"] == "success"
    for module, step in zip(steps(benchhub, "meet"), steps(benchhub, "meet too"), strict=True):
        assert max(module["start"], step["start"]) < min(module["end"], step["end"])
        assert module["exit_code"] == 0
    assert [step["state"] for step in steps(benchhub, "on one slot")] == ["skipped", "ok"]
    run = benchhub.run_folder()
    listed = [(run / f"collected/loader-{n}/units/by-module.2/02.out").read_text().split() for n in (1, 2)]
    assert listed == [["module", "step"], ["module", "once", "step"]]
    assert leftovers(run.name) == []
    assert kept_by_ansible(home) == []


def test_a_module_that_fails_fails_its_stage_and_ends_the_others(benchhub: Any, home: Path) -> None:
    done = benchhub.call("run", write(benchhub, FAILING))
    assert done.returncode == 1, done.stdout
    failure = benchhub.result()["verdict"]["failure"]
    assert (failure["task_name"], failure["exit_code"], failure["line"]) == ("wait", 7, 11)
    assert "why" in failure["last_lines"]
    states = {stage["name"]: stage["status"] for stage in benchhub.result()["stages"]}
    assert states == {"by module": "failed", "by steps": "interrupted"}
    assert leftovers(benchhub.run_folder().name) == []
    assert kept_by_ansible(home) == []


def test_ctrl_c_ends_the_module(benchhub: Any, home: Path) -> None:
    process = benchhub.start("run", write(benchhub, LONG))
    wait_until(benchhub, "up")
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert leftovers(benchhub.run_folder().name) == []
    assert kept_by_ansible(home) == []


def test_killed_and_recovered(benchhub: Any, farm: SshFarm) -> None:
    process = benchhub.start("run", write(benchhub, LONG), "--on", f"inventory:{farm.inventory}")
    wait_until(benchhub, "up", ".benchhub/units/by-module/status.json")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    done = benchhub.call("recover", benchhub.run_folder())
    assert done.returncode == 0, done.stdout
    assert benchhub.result()["verdict"]["status"] == "interrupted"
    assert [step["state"] for step in steps(benchhub, "wait")] == ["killed", "killed"]
    assert leftovers(benchhub.run_folder().name) == []
