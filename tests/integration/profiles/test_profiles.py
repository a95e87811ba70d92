"""Both profiles do the same job: the same steps, exit codes and samples; and plain Ansible does what `run` does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers

pytestmark = pytest.mark.real

BIN = Path(sys.executable).parent

HEAD = """\
version: 2
name: both
vars: {word: hello}
nodes:
  db: {type: database}
  loader: {type: loader, count: 2}
"""

JOBS = {
    "parallel-services-metrics": HEAD
    + """\
stages:
  - name: left
    nodes: loader
    tasks:
      - name: a
        shell: echo value=${node.index}.5
        metrics: [{name: value, regex: 'value=([0-9.]+)', aggregate: sum}]
      - {name: b, exec: [echo, '${word}', '${nodes.db.address}', '${node.name}']}
  - name: right
    nodes: db
    tasks:
      - {name: module, module: {name: ansible.builtin.command, args: {cmd: 'true'}}}
      - {name: skipped module, module: {name: ansible.builtin.ping}, when: 'false'}
      - {name: c, shell: 'echo err >&2; echo out', env: {A: b}, chdir: /}
  - name: serve
    nodes: db
    tasks:
      - name: server
        shell: echo up; exec sleep 300
        type: long
        ready: {log: up, timeout: 20s}
  - name: load
    nodes: loader
    start: together
    tasks:
      - {name: json, shell: "echo '{\\"rate\\": 12.5}'", metrics: [{name: rate, jsonpath: $.rate}]}
      - {name: skipped, shell: echo never, when: 'test ${node.index} = 7'}
      - name: again
        shell: test -e ${run.dir}/tried || { touch ${run.dir}/tried; exit 1; }
        retry: {count: 2, delay: 100ms}
  - name: clean
    nodes: db
    tasks: [{name: bye, shell: echo bye}]
pipeline: [[left, right], [serve], [load]]
cleanup: [clean]
""",
    "a-step-fails": HEAD
    + """\
stages:
  - name: first
    nodes: all
    tasks: [{name: fine, shell: 'true'}]
  - name: second
    nodes: loader
    tasks:
      - {name: bad, shell: 'echo last words >&2; exit 7'}
      - {name: not run, shell: 'true'}
  - name: third
    nodes: db
    tasks: [{name: never, shell: 'true'}]
  - name: clean
    nodes: all
    tasks: [{name: bye, shell: echo bye}]
pipeline: [[first], [second], [third]]
cleanup: [clean]
""",
    "a-step-takes-too-long": """\
version: 2
name: both
nodes:
  db: {type: database}
stages:
  - name: slow
    nodes: db
    tasks: [{name: sleeper, shell: sleep 60, timeout: 1s}]
pipeline: [[slow]]
""",
}


def outline(result: dict[str, Any]) -> dict[str, Any]:
    """What both profiles must agree on."""
    return {
        "status": result["verdict"]["status"],
        "steps": sorted(
            (stage["id"], step["slot"], step["name"], step["state"], step["exit_code"])
            for stage in result["stages"]
            for step in stage["steps"]
        ),
        "services": sorted((service["name"], service["slot"]) for service in result["services"]),
        "samples": sorted((s["metric"], s["slot"], str(s["value"]), s["valid"]) for s in result["samples"]),
    }


@pytest.mark.parametrize("name", JOBS)
def test_the_profiles_agree(benchhub: Any, name: str) -> None:
    (benchhub.folder / "job.yml").write_text(JOBS[name])
    outlines = []
    for profile in ("default", "portable"):
        done = benchhub.call("run", "job.yml", "--profile", profile)
        outlines.append(outline(benchhub.result()))
        assert done.returncode == (0 if outlines[-1]["status"] == "success" else 1), done.stdout
        shutil.rmtree(benchhub.runs)
    assert outlines[0]["steps"]
    assert outlines[0] == outlines[1]


def plain(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE")}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.parametrize(
    ("name", "launcher", "profile"),  # every two of them meet: ansible-runner does no more than start ansible-playbook
    [
        ("parallel-services-metrics", "ansible-playbook", "default"),
        ("parallel-services-metrics", "ansible-runner", "portable"),
        ("a-step-fails", "ansible-runner", "default"),
        ("a-step-fails", "ansible-playbook", "portable"),
    ],
)
def test_under_plain_ansible(benchhub: Any, name: str, launcher: str, profile: str) -> None:
    # The run's id of a compiled folder comes from the job's name: tests that run at the same time need different ones.
    number = time.time_ns()
    job, server = f"both-{number}", f"sleep 300.{number}"
    text = JOBS[name].replace("name: both\n", f"name: {job}\n").replace("sleep 300", server)
    (benchhub.folder / "job.yml").write_text(text)
    compiled = benchhub.call("compile", "job.yml", "-o", "compiled", "--profile", profile)
    assert compiled.returncode == 0, compiled.stdout
    folder = benchhub.folder / "compiled"
    if launcher == "ansible-playbook":
        done = plain(folder, BIN / "ansible-playbook", "-i", "inventory/hosts.yml", "project/site.yml")
    else:
        done = plain(benchhub.folder, BIN / "ansible-runner", "run", "compiled", "--playbook", "site.yml")
    assert (done.returncode == 0) is (name == "parallel-services-metrics"), done.stdout + done.stderr
    outputs = {path.read_text() for path in (folder / "collected").rglob("*.out")}
    assert "bye\n" in outputs, "the cleanup stage did not run"
    assert leftovers(f"compiled-{job}") == []
    leftover = subprocess.run(["pgrep", "-f", server], capture_output=True, text=True, check=False)  # noqa: S607
    assert leftover.stdout == ""
