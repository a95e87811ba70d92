"""Async jobs: Ansible's own async_wrapper runs a module, and the supervisor waits for it, ends it and cleans up."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import Node, all_gone, eventually

_FOUND = importlib.util.find_spec("ansible.modules.async_wrapper")
assert _FOUND is not None
WRAPPER = str(_FOUND.origin)


@dataclass
class Jobs:
    """Starts modules, shell scripts here, as Ansible does on a node."""

    node: Node
    folder: Path
    started: list[psutil.Process] = field(default_factory=list)

    def begin(self, script: str, limit: int = 300) -> dict[str, Any]:
        """The step that waits for a module which has just been started."""
        scratch = self.folder / f"ansible-tmp-{len(self.started)}"
        scratch.mkdir()
        module = scratch / "module"
        module.write_text(f"#!/bin/sh\n{script}\n")
        module.chmod(0o700)
        node = self.node
        mark = f"{node.config['run']}/{node.config['slot']}/~ansible"
        environment = {**os.environ, "ANSIBLE_ASYNC_DIR": str(node.dir / ".async"), "BENCHHUB_UNIT": mark}
        command = [sys.executable, "-P", WRAPPER, f"j{os.getpid()}{len(self.started)}", str(limit), str(module), "_"]
        done = subprocess.run(command, env=environment, cwd=node.dir, capture_output=True, timeout=60, check=True)
        jid = json.loads(done.stdout)["ansible_job_id"]
        self.started += self.wrappers()
        return {"name": "module", "kind": "async", "jid": jid}

    def wrappers(self) -> list[psutil.Process]:
        """Those of this node that run."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = self.node.config["run"] in process.environ().get("BENCHHUB_UNIT", "")
            except psutil.Error:
                continue
            if mine and not all_gone([process]):
                found.append(process)
        return found

    def family(self) -> list[psutil.Process]:
        """Once it is whole: wrapper, watcher, module, and the two that it has started, one in another session."""
        eventually(lambda: (self.node.dir / "up").exists() and len(self.wrappers()) >= 5, 60)
        return self.wrappers()

    def left(self) -> list[str]:
        """The files that Ansible keeps for its jobs."""
        return [str(path) for path in (*self.folder.glob("ansible-tmp-*"), *(self.node.dir / ".async").iterdir())]


@pytest.fixture
def jobs(node: Node, tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(node, tmp_path)
    yield made
    for process in made.wrappers():
        process.kill()


def test_a_module_is_a_step_with_its_own_times(jobs: Jobs, node: Node) -> None:
    before = time.time()
    step = jobs.begin("""sleep 0.2; echo '{"changed": true, "rc": 0, "stdout": "said"}'""")
    status = node.steps(step, {"name": "next", "kind": "shell", "text": "date +%s.%N"})
    module, following = status["steps"]
    assert [module["state"], following["state"]] == ["ok", "ok"]
    assert module["rc"] == 0
    assert before - 0.1 < module["start"] <= module["end"] - 0.15
    assert module["end"] <= following["start"]
    assert node.output(name="01.out") == b"said\n"
    assert jobs.left() == []
    eventually(lambda: all_gone(jobs.started), 60)


@pytest.mark.parametrize(
    ("script", "code", "error", "tail"),
    [
        ("""echo '{"failed": true, "msg": "no such package"}'""", None, "the module failed", "no such package"),
        ("""echo '{"rc": 7, "msg": "no", "stderr": "because"}'""", 7, None, "because"),
        ("echo this is no JSON", None, "the module failed", "Traceback"),
        ("kill -9 $PPID; sleep 300", None, "the module failed", "the module was killed"),
    ],
    ids=["failed", "exit code", "no result", "killed"],
)
def test_a_module_that_fails(jobs: Jobs, node: Node, script: str, code: int | None, error: str, tail: str) -> None:
    status = node.steps(jobs.begin(script), {"name": "next", "kind": "shell", "text": "true"}, bound=60)
    assert status["state"] == "failed"
    module, following = status["steps"]
    assert (module["state"], module["rc"], module.get("error")) == ("failed", code, error)
    assert any(tail in line for line in module["tail"])
    assert following["state"] == "not-run"


FAMILY = "trap '' TERM; setsid sleep 300 & sleep 300 & touch up; wait; sleep 300"


def test_a_timeout_ends_the_whole_family(jobs: Jobs, node: Node) -> None:
    step = jobs.begin(FAMILY)
    family = jobs.family()
    record = node.steps({**step, "timeout": 0.2, "grace": 0.1})["steps"][0]
    assert (record["state"], record["error"]) == ("timeout", "did not end within 0.2 s")
    assert all_gone(family)
    assert jobs.left() == []


def test_a_module_is_stopped_with_its_unit(jobs: Jobs, node: Node) -> None:
    step = jobs.begin(FAMILY)
    family = jobs.family()
    assert node("start", unit="work", kind="steps", steps=[{**step, "grace": 0.1}])["ok"]
    status = node("stop", units=["work"])["units"]["work"]
    assert (status["state"], status["steps"][0]["state"]) == ("stopped", "killed")
    assert all_gone(family)
    assert jobs.left() == []


def test_a_module_that_no_unit_knows_is_ended_when_the_run_is_broken_off(jobs: Jobs, node: Node) -> None:
    """Ansible was killed between starting it and handing it over."""
    jobs.begin(FAMILY)
    family = jobs.family()
    assert node("stop", units="all", bound=60)["ok"]
    assert all_gone(family)
    assert not list(jobs.folder.glob("ansible-tmp-*"))


def test_a_daemon_that_a_module_has_started_lives_on(jobs: Jobs, node: Node) -> None:
    step = jobs.begin("setsid sleep 301 >/dev/null 2>&1 & echo '{}'")
    assert node.steps(step)["state"] == "ok"
    assert node("stop", units="all", bound=60)["ok"]
    eventually(lambda: [process.cmdline() for process in jobs.wrappers()] == [["sleep", "301"]], 60)


def test_a_skipped_module_is_a_skipped_step(node: Node) -> None:
    status = node.steps({"name": "module", "kind": "async", "jid": ""}, {"kind": "shell", "text": "true"})
    assert (status["state"], [step["state"] for step in status["steps"]]) == ("ok", ["skipped", "ok"])


@pytest.mark.parametrize("jid", ["../x", "a/b", 7, None])
def test_a_job_is_named_by_its_id_alone(node: Node, jid: Any) -> None:
    reply = node("start", unit="work", kind="steps", steps=[{"kind": "async", "jid": jid}])
    assert not reply["ok"]
