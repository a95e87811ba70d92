"""Whole runs on this machine: how each ends, what it leaves (nothing), and what can be read afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers, processes

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: ends
vars: {{seconds: "0.1"}}
nodes:
  db: {{type: database}}
  loader: {{type: loader, count: 2}}
stages:
  - name: start service
    nodes: {{type: database}}
    tasks:
      - name: serve
        shell: "{service}"
        type: long
        ready: {{file: up, timeout: {ready}}}
  - name: load
    nodes: {{type: loader}}
    tasks:
      - shell: "{load}"
        collect: [out.txt]
  - name: drop data
    nodes: {{type: database}}
    tasks:
      - shell: echo dropped
pipeline:
  - [start service]
  - [load]
cleanup: [drop data]
{more}
"""


def write_job(folder: Path, **changes: str) -> Path:
    values = {
        "service": "touch ${run.dir}/up; sleep 600",
        "ready": "10s",
        "load": "echo wps=1 | tee out.txt; sleep ${seconds}",
        "more": "",
        **changes,
    }
    path = folder / "job.yml"
    path.write_text(JOB.format(**values))
    return path


def events(benchhub: Any, name: str) -> list[dict[str, Any]]:
    return [event for event in benchhub.journal() if event["event"] == name]


def verdict(benchhub: Any) -> tuple[str, str]:
    found = benchhub.result()["verdict"]
    return found["status"], found["reason"] or ""


def wait_until_loading(benchhub: Any) -> None:
    """Returns when both loaders have printed their line and sleep."""
    folder = Path(f"/tmp/benchhub-{benchhub.run_folder().name}")
    deadline = time.monotonic() + 60
    while not all((folder / f"loader-{n}" / "out.txt").exists() for n in (1, 2)):
        assert time.monotonic() < deadline, "the load has not begun"
        time.sleep(0.05)


def test_success(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder))
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    assert verdict(benchhub) == ("success", "")
    assert (run / "collected/loader-2/units/load/01.out").read_text() == "wps=1\n"
    assert (run / "collected/db/units/drop-data/01.out").read_text() == "dropped\n"
    assert list((run / "collected/loader-1/files").rglob("out.txt"))
    assert [e["playbook"] for e in events(benchhub, "launch")] == ["site.yml"], "one launch where all goes well"
    ends = [(e["stage"], e["status"]) for e in events(benchhub, "stage-end")]
    assert ends == [("start-service", "ok"), ("load", "ok"), ("drop-data", "ok")]
    names = [e["event"] for e in benchhub.journal()]
    order = ["run-begin", "acquire-intent", "acquired", "launch", "teardown-begin", "launched", "teardown-end"]
    order += ["release-intent", "released", "run-end"]
    assert [name for name in names if name in order] == order
    assert leftovers(run.name) == []
    assert oct((run / "journal.jsonl").stat().st_mode)[-3:] == "600"


def test_a_failing_step_fails_the_run_and_says_where(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder, load="echo oh no >&2; exit 3"))
    assert done.returncode == 1, done.stdout
    status, reason = verdict(benchhub)
    assert status == "failed"
    assert "exit" in reason
    assert "job.yml" in done.stdout
    assert "oh no" in done.stdout
    assert events(benchhub, "stage-end")[1]["status"] == "failed"
    assert (benchhub.run_folder() / "collected/db/units/drop-data/01.out").exists(), "cleanup runs after a failure too"
    assert leftovers(benchhub.run_folder().name) == []


def test_a_service_that_dies_while_its_check_waits_ends_the_wait(benchhub: Any) -> None:
    begun = time.monotonic()
    job = write_job(benchhub.folder, service="echo no database; exit 9", ready="60s")
    done = benchhub.call("run", job)
    assert done.returncode == 1, done.stdout
    assert time.monotonic() - begun < 30
    assert "no database" in done.stdout
    assert "9" in verdict(benchhub)[1]
    assert not any(e["stage"] == "load" for e in events(benchhub, "stage-begin"))
    assert leftovers(benchhub.run_folder().name) == []


def test_a_service_that_never_gets_ready(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder, service="sleep 600", ready="1s"))
    assert done.returncode == 1, done.stdout
    assert leftovers(benchhub.run_folder().name) == []


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")], ids=["ctrl-c", "sigterm"]
)
def test_asked_to_end_while_loading(benchhub: Any, number: signal.Signals, words: str) -> None:
    process = benchhub.start("run", write_job(benchhub.folder), "--var", "seconds=300")
    wait_until_loading(benchhub)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    status, reason = verdict(benchhub)
    assert status == "interrupted"
    assert words in reason
    run = benchhub.run_folder()
    assert (run / "collected/loader-1/units/load/01.out").read_text() == "wps=1\n", "what there was is collected"
    assert (run / "collected/db/units/drop-data/01.out").exists()
    assert leftovers(run.name) == []


def test_asked_to_end_before_anything_ran(benchhub: Any) -> None:
    process = benchhub.start("run", write_job(benchhub.folder))
    benchhub.wait_for(lambda event: event["event"] == "run-begin")
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert verdict(benchhub)[0] == "interrupted"
    assert leftovers(benchhub.run_folder().name) == []


def test_the_limit_of_the_run(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder, more="timeout: 3s"), "--var", "seconds=300")
    assert done.returncode == 1, done.stdout
    status, reason = verdict(benchhub)
    assert (status, reason) == ("failed", "not done within its limit of 3s")
    assert leftovers(benchhub.run_folder().name) == []


def kill_while_loading(benchhub: Any) -> Path:
    process = benchhub.start("run", write_job(benchhub.folder), "--var", "seconds=300")
    wait_until_loading(benchhub)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    folder: Path = benchhub.run_folder()
    return folder


def test_killed_and_recovered(benchhub: Any) -> None:
    run = kill_while_loading(benchhub)
    assert processes(run.name), "the controller was killed, so its Ansible and the nodes go on"
    status = benchhub.call("status", "--json")
    assert json.loads(status.stdout)["state"] == "lost"
    done = benchhub.call("recover", run.name)
    assert done.returncode == 0, done.stdout
    status, reason = verdict(benchhub)
    assert status == "interrupted"
    assert "recovered" in reason
    assert (run / "collected/loader-1/units/load/01.out").read_text() == "wps=1\n"
    assert leftovers(run.name) == []
    assert benchhub.call("recover", run.name).returncode == 2, "there is nothing left to recover"
    assert benchhub.call("recover").returncode == 2


def test_the_next_run_tells_of_the_lost_one(benchhub: Any) -> None:
    run = kill_while_loading(benchhub)
    done = benchhub.call("run", write_job(benchhub.folder), "--runs-dir", benchhub.runs)
    assert done.returncode == 0, done.stdout
    assert f"benchhub recover {run.name}" in done.stdout
    assert benchhub.call("recover").returncode == 0
    assert leftovers(run.name) == []


def test_a_run_whose_controller_lives_is_stopped_and_not_recovered(benchhub: Any) -> None:
    process = benchhub.start("run", write_job(benchhub.folder), "--var", "seconds=300")
    wait_until_loading(benchhub)
    refused = benchhub.call("recover", benchhub.run_folder().name)
    assert refused.returncode == 2
    assert "has a controller that lives" in refused.stdout
    shown = benchhub.call("status")
    assert "running" in shown.stdout
    assert "start service" in shown.stdout
    assert benchhub.call("logs", "--ansible").stdout.startswith("\nPLAY")
    stopped = benchhub.call("stop")
    assert stopped.returncode == 0, stopped.stdout
    assert "interrupted" in stopped.stdout
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "benchhub stop" in verdict(benchhub)[1]
    assert leftovers(benchhub.run_folder().name) == []


def test_kept_until_stopped(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder), "--keep", "--keep-for", "10m")
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    assert f"benchhub stop {run.name}" in done.stdout
    assert any("sleep 600" in line for line in processes(run.name)), "the service is still up"
    assert (run / "collected/loader-1/units/load/01.out").exists(), "outputs are there already"
    assert list((run / "collected/loader-1/files").rglob("out.txt")), "and files, of which a metric may be read"
    assert json.loads(benchhub.call("status", "--json").stdout)["state"] == "kept"
    stopped = benchhub.call("stop", run.name)
    assert stopped.returncode == 0, stopped.stdout
    assert verdict(benchhub)[0] == "success"
    assert leftovers(run.name) == []


def test_kept_nodes_end_by_themselves(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder), "--keep", "--keep-for", "2s")
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    deadline = time.monotonic() + 30
    while any("sleep 600" in line for line in processes(run.name)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any("sleep 600" in line for line in processes(run.name))
    assert benchhub.call("stop", run.name).returncode == 0
    assert leftovers(run.name) == []


@pytest.mark.parametrize(("load", "kept"), [("exit 1", True), ("true", False)], ids=["failed", "succeeded"])
def test_kept_on_failure(benchhub: Any, load: str, *, kept: bool) -> None:
    done = benchhub.call("run", write_job(benchhub.folder, load=f"{load}; touch out.txt"), "--keep-on-failure")
    run = benchhub.run_folder()
    assert done.returncode == (1 if kept else 0), done.stdout
    assert any("sleep 600" in line for line in processes(run.name)) == kept
    if kept:
        assert benchhub.call("stop", run.name).returncode == 0
        assert verdict(benchhub)[0] == "failed"
    assert leftovers(run.name) == []


def test_nodes_are_only_kept_where_something_ends_them(benchhub: Any) -> None:
    done = benchhub.call("run", write_job(benchhub.folder), "--keep", "--profile", "portable")
    assert done.returncode == 2
    assert "nodes cannot be kept" in done.stdout
    assert not benchhub.runs.exists()


def test_hurried_by_a_second_ctrl_c(benchhub: Any) -> None:
    """The service would be given five minutes to end: a run that ends in the time of this test was hurried."""
    stubborn = "trap '' TERM INT; touch ${run.dir}/up; while :; do sleep 1; done"
    path = write_job(benchhub.folder, service=stubborn)
    path.write_text(path.read_text().replace("type: long", "type: long\n        grace: 5m"))
    process = benchhub.start("run", path, "--var", "seconds=300")
    wait_until_loading(benchhub)
    os.kill(process.pid, signal.SIGINT)
    benchhub.wait_for(lambda event: event["event"] == "launch" and event["playbook"] == "teardown.yml")
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert [e["reason"] for e in events(benchhub, "stop-asked")] == ["ctrl-c", "ctrl-c"]
    assert events(benchhub, "released")
    assert events(benchhub, "run-end")
    assert verdict(benchhub)[0] == "interrupted"
    run = benchhub.run_folder().name
    while left := processes(run):  # it would end by itself, in five minutes
        for line in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(f"/tmp/benchhub-{run}", ignore_errors=True)


def test_too_few_nodes_is_refused_before_anything_is_made(benchhub: Any) -> None:
    (benchhub.folder / "hosts.ini").write_text("[database]\nh1\n[loader]\nh2\n")
    done = benchhub.call("run", write_job(benchhub.folder), "--on", "inventory:hosts.ini")
    assert done.returncode == 5, done.stdout
    assert "needs 2 hosts of group 'loader', which has 1" in done.stdout
    assert not benchhub.runs.exists()


def test_nodes_that_cannot_be_reached(benchhub: Any) -> None:
    hosts = "[database]\nh1\n[loader]\nh2\nh3\n[all:vars]\nansible_host=127.0.0.1\nansible_port=1\n"
    (benchhub.folder / "hosts.ini").write_text(hosts)
    done = benchhub.call("run", write_job(benchhub.folder), "--on", "inventory:hosts.ini")
    assert done.returncode == 6, done.stdout
    assert "could not be reached" in verdict(benchhub)[1]
    assert leftovers(benchhub.run_folder().name) == []


def test_variables_and_parts_of_a_job(benchhub: Any) -> None:
    job = write_job(benchhub.folder)
    wrong = benchhub.call("run", job, "--var", "secnods=1")
    assert wrong.returncode == 2
    assert "did you mean 'seconds'?" in wrong.stdout
    done = benchhub.call("run", job, "--only", "load", "--var", "seconds=0", "--json")
    assert done.returncode == 0, done.stdout
    assert {e["stage"] for e in events(benchhub, "stage-begin")} == {"load", "drop-data"}


def test_a_secret_reaches_the_node_and_no_file(benchhub: Any) -> None:
    job = write_job(
        benchhub.folder,
        load="test $(printf ${secrets.PW} | wc -c) = 13 && echo it is ${secrets.PW} | tee out.txt",
        more="secrets: {PW: {env: BENCH_PW}}",
    )
    missing = benchhub.call("run", job)
    assert missing.returncode == 3
    assert "export BENCH_PW=" in missing.stdout
    benchhub.environment["BENCH_PW"] = "correct-horse"
    done = benchhub.call("run", job)
    assert done.returncode == 0, done.stdout
    assert "correct-horse" not in done.stdout
    run = benchhub.run_folder()
    for path in run.rglob("*"):
        if path.is_file():
            assert b"correct-horse" not in path.read_bytes(), path
    assert "it is ***" in (run / "collected/loader-1/units/load/01.out").read_text()


@pytest.mark.parametrize(("load", "code"), [("echo wps=1 | tee out.txt", 0), ("exit 3", 1)], ids=["good", "bad"])
@pytest.mark.parametrize("streams", ["full", "closed"])
def test_nobody_can_read_of_it(benchhub: Any, streams: str, load: str, code: int) -> None:
    job = write_job(benchhub.folder, load=load)
    command = f"{shlex.quote(sys.executable)} -m benchhub_ansible.cli.main run {job.name}"
    command = {"full": f"{command} >/dev/full 2>&1", "closed": f"{command} 2>&1 | true; exit ${{PIPESTATUS[0]}}"}[
        streams
    ]
    done = subprocess.run(["/bin/bash", "-c", command], cwd=benchhub.folder, check=False, timeout=240)
    assert done.returncode == code
    assert verdict(benchhub)[0] == ("success" if code == 0 else "failed")
    assert events(benchhub, "run-end")
    assert "dropped" in (benchhub.run_folder() / "collected/db/units/drop-data/01.out").read_text()
    assert leftovers(benchhub.run_folder().name) == []


def test_a_load_that_ends_between_ctrl_c_and_teardown_is_no_result(benchhub: Any) -> None:
    go = benchhub.folder / "go"
    load = f"touch out.txt; until [ -e '{go}' ]; do sleep 0.02; done; echo wps=1"
    metric = "timeout: 2m, metrics: [{name: wps, regex: 'wps=([0-9]+)'}]"
    path = write_job(benchhub.folder, load=load)
    path.write_text(path.read_text().replace("collect: [out.txt]", metric.replace(", ", "\n        ", 1)))
    process = benchhub.start("run", path)
    wait_until_loading(benchhub)
    os.kill(process.pid, signal.SIGINT)
    benchhub.wait_for(lambda event: event["event"] == "stop-asked")
    go.touch()  # Ansible is killed by now or will be; a teardown takes half a second to come to the nodes
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    result = benchhub.result()
    assert {stage["id"]: stage["status"] for stage in result["stages"]}["load"] == "interrupted"
    assert [sample["valid"] for sample in result["samples"]] == [False, False]


def test_a_database_that_its_node_ends_while_the_load_runs_fails_the_run(benchhub: Any) -> None:
    """No metric would show it."""
    process = benchhub.start("run", write_job(benchhub.folder), "--var", "seconds=300")
    wait_until_loading(benchhub)
    run = benchhub.run_folder().name
    supervisor = int(Path(f"/tmp/benchhub-{run}/db/.benchhub/pid").read_text())
    os.kill(supervisor, signal.SIGTERM)  # does what a lease that ran out does
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    (failure,) = [f for f in benchhub.result()["failures"] if f["kind"] == "service"]
    assert (failure["slot"], failure["task_name"]) == ("db", "serve")
    assert leftovers(run) == []
