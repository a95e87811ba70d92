"""Services that misbehave: whatever they do, they are stopped, and the controller does not grow with their logs."""

from __future__ import annotations

import resource
import textwrap
import time
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers, listeners

pytestmark = pytest.mark.real

DAEMON = """\
import os, socket, sys, time
if os.fork(): os._exit(0) if len(sys.argv) < 3 else time.sleep(600)
os.setsid()
if os.fork(): os._exit(0)
os.environ.clear()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""

SERVICES = {
    "ignores TERM": "trap '' TERM INT HUP; echo up; while :; do sleep 1; done",
    "closes its output": "echo up; exec >&- 2>&- <&-; exec sleep 600",
    "forks children": "for i in $(seq 30); do sleep 600 & done; echo up; exec sleep 600",
    "daemonises": "python3 '${run.dir}/daemon.py' ${port} stay & echo up; exec sleep 600",
    "cleans its environment": "echo up; exec env -i setsid sleep 600",
    "writes 1 GB": "yes 0123456789abcdef | head -c 1000000000; echo; echo up; exec sleep 600",
}


def job(name: str, command: str, port: int) -> str:
    return f"""\
version: 2
name: misbehaving service
vars: {{port: "{port}"}}
nodes:
  db: {{type: database}}
stages:
  - name: prepare
    nodes: db
    tasks:
      - copy:
          dest: ${{run.dir}}/daemon.py
          content: |
{textwrap.indent(DAEMON, " " * 12)}
  - name: serve
    nodes: db
    tasks:
      - name: {name}
        shell: {command!r}
        type: long
        grace: 1s
        ready: {{log: ^up$, timeout: 60s}}
  - name: work
    nodes: db
    tasks: [{{name: sleep, shell: sleep 0.5}}]
pipeline: [[prepare], [serve], [work]]
"""


@pytest.mark.parametrize("name", SERVICES)
def test_it_is_stopped(benchhub: Any, free_port: int, name: str) -> None:
    (benchhub.folder / "job.yml").write_text(job(name, SERVICES[name], free_port))
    done = benchhub.call("run", "job.yml")
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    assert leftovers(run.name, free_port) == []
    (service,) = benchhub.result()["services"]
    assert service["told"]


def test_the_daemon_of_the_test_really_gets_away(benchhub: Any, free_port: int) -> None:
    """The case above proves something only if its daemon listens while the stage after it runs."""
    text = job("daemonises", SERVICES["daemonises"], free_port).replace("sleep 0.5", "sleep 8")
    (benchhub.folder / "job.yml").write_text(text)
    process = benchhub.start("run", "job.yml")
    benchhub.wait_for(lambda event: event["event"] == "stage-begin" and event["stage"] == "work")
    deadline = time.monotonic() + 60
    while not listeners(free_port) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert listeners(free_port)
    assert process.wait(timeout=60) == 0
    assert leftovers(benchhub.run_folder().name, free_port) == []


def test_a_gigabyte_of_log_stays_out_of_the_controller(benchhub: Any, free_port: int) -> None:
    (benchhub.folder / "job.yml").write_text(job("writes 1 GB", SERVICES["writes 1 GB"], free_port))
    assert benchhub.call("run", "job.yml").returncode == 0
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert largest < 400 * 2**20, f"a process of the run grew to {largest >> 20} MiB"
    kept = sum(path.stat().st_size for path in (benchhub.run_folder() / "collected").rglob("*.out"))
    assert 0 < kept < 100 * 2**20


def test_a_service_that_dies_while_it_is_waited_for_ends_the_wait_at_once(benchhub: Any, free_port: int) -> None:
    text = job("dies", "echo last words; sleep 0.3; exit 0", free_port).replace(
        "^up$, timeout: 60s", "never, timeout: 60s"
    )
    (benchhub.folder / "job.yml").write_text(text)
    done = benchhub.call("run", "job.yml", limit=30)
    assert done.returncode == 1
    result = benchhub.result()
    assert result["verdict"]["status"] == "failed"
    (service,) = result["services"]
    assert service["exit_code"] == 0
    assert not service["told"]
    assert "last words" in done.stdout


def test_a_service_that_dies_during_a_later_stage_fails_the_run(benchhub: Any, free_port: int) -> None:
    text = job("dies", "echo up; sleep 1.5; echo oh no; exit 3", free_port).replace("sleep 0.5", "sleep 60")
    (benchhub.folder / "job.yml").write_text(text)
    done = benchhub.call("run", "job.yml", limit=40)
    assert done.returncode == 1
    assert "oh no" in done.stdout
    assert "dies" in benchhub.result()["verdict"]["reason"]
