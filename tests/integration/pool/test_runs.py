"""Whole runs on a pool: the second waits and says so, whoever goes leaves nothing, and a lease can be taken away."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real

LAB = "machines: [{name: m1, address: 127.0.0.1, types: worker, vars: {ansible_connection: local}}]\n"
JOB = """\
version: 2
name: shared
vars: {gate: ""}
nodes: {worker: {type: worker}}
stages:
  - name: work
    nodes: {type: worker}
    tasks:
      - shell: 'while test -n "${gate}" && ! test -e "${gate}"; do sleep 0.05; done'
        timeout: 5m
pipeline: [[work]]
"""


class Pool:
    """A lab file, a job, and runs of it in folders of their own."""

    def __init__(self, benchhub: Any, folder: Path) -> None:
        self.benchhub = benchhub
        self.lab = folder / "lab.yml"
        self.lab.write_text(LAB)
        self.job = folder / "job.yml"
        self.job.write_text(JOB)
        self.gate = folder / "gate"
        self.runs = folder / "runs"

    def start(self, *arguments: str, gate: bool = True) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = self.benchhub.start(
            *("run", self.job, "--on", f"pool:{self.lab}", "--runs-dir", self.runs, *arguments),
            *(("--var", f"gate={self.gate}") if gate else ()),
        )
        return process

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.benchhub.call(*arguments, "--on", f"pool:{self.lab}")
        return done

    def nodes(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.call("nodes", "--json").stdout)
        return data

    def lease(self) -> str | None:
        held: str | None = self.nodes()["nodes"][0]["lease"]
        return held

    def waiting(self) -> list[str]:
        return [row["run_id"] for row in self.nodes()["waiting"]]

    def events(self, run_id: str) -> list[str]:
        path = self.runs / run_id / "journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["event"] for line in lines if line.endswith("}")]

    def result(self, run_id: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.runs / run_id / "result.json").read_text())
        return data

    def works(self) -> str:
        """The run that holds the machine, once its stage has begun."""
        until(self.lease, "the machine is leased")
        run_id = self.lease() or ""
        until(lambda: "stage-begin" in self.events(run_id), "the stage has begun")
        return run_id


def until(reached: Callable[[], object], what: str, limit: float = 120.0) -> None:
    deadline = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def pool(benchhub: Any, tmp_path: Path) -> Pool:
    folder = tmp_path / "the lab"
    folder.mkdir()
    return Pool(benchhub, folder)


def test_the_second_run_waits_and_says_so_and_one_who_leaves_leaves_the_queue(pool: Pool) -> None:
    first = pool.start()
    holder = pool.works()
    impatient = pool.start()
    until(pool.waiting, "the second waits")
    killed = pool.start()
    until(lambda: len(pool.waiting()) == 2, "the third waits")
    shown = pool.call("nodes").stdout
    assert f"for {holder} until " in shown
    assert "1 worker" in shown

    impatient.send_signal(signal.SIGINT)
    said, _ = impatient.communicate(timeout=60)
    assert impatient.returncode == 130, said
    assert "waiting for machines: position 1 of 1 in the queue of lab.yml; " in said
    assert f"has m1 for {holder} (until " in said
    killed.kill()
    killed.communicate(timeout=60)
    assert pool.waiting() == []

    last = pool.start(gate=False)
    until(pool.waiting, "the last waits")
    pool.gate.touch()
    for process in (first, last):
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert pool.lease() is None


def test_a_lease_outlives_its_killed_controller_until_recover(pool: Pool) -> None:
    process = pool.start()
    run_id = pool.works()
    live = pool.call("nodes", "release", run_id)
    assert live.returncode == 5, live.stdout
    assert f"benchhub stop {run_id}" in live.stdout
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert pool.lease() == run_id, "its nodes may still be at work"
    done = pool.benchhub.call("recover", pool.runs / run_id)
    assert done.returncode == 0, done.stdout
    assert pool.lease() is None
    assert pool.events(run_id).count("released") == 1


def test_a_run_whose_lease_is_taken_away_ends_with_that_reason(pool: Pool) -> None:
    process = pool.start()
    run_id = pool.works()
    forced = pool.call("nodes", "release", run_id, "--force")
    assert forced.returncode == 0, forced.stdout
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 5, said
    verdict = pool.result(run_id)["verdict"]
    assert verdict["exit_code"] == 5
    assert "the lease of the machines was ended: by " in verdict["reason"]


def test_a_controller_that_was_stopped_too_long_has_lost_its_machines(pool: Pool) -> None:
    process = pool.start()
    run_id = pool.works()
    process.send_signal(signal.SIGSTOP)
    with contextlib.closing(sqlite3.connect(pool.lab.with_name("lab.yml.leases"), timeout=60)) as connection:
        connection.execute("UPDATE lease SET expires = ?", (time.time() - 1,))  # as if it had been for minutes
        connection.commit()
    other = pool.start(gate=False)
    said, _ = other.communicate(timeout=120)
    assert other.returncode == 0, said
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 5, said
    assert "has expired: the controller did not run for too long" in pool.result(run_id)["verdict"]["reason"]
    assert pool.lease() is None


def test_kept_nodes_stay_leased_until_they_are_given_back(pool: Pool) -> None:
    process = pool.start("--keep", "--keep-for", "1h", gate=False)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    (node,) = pool.nodes()["nodes"]
    assert 3000 < node["until"] - time.time() < 3700
    refused = pool.call("nodes", "release", node["lease"])
    assert refused.returncode == 5
    assert "is kept until" in refused.stdout
    assert pool.benchhub.call("stop", pool.runs / node["lease"]).returncode == 0
    assert pool.lease() is None


def test_what_can_never_be_ends_at_once_with_exit_code_5(pool: Pool) -> None:
    pool.job.write_text(JOB.replace("{type: worker}}", "{type: worker, count: 2}}", 1))
    said, _ = (process := pool.start(gate=False)).communicate(timeout=60)
    assert process.returncode == 5, said
    assert "needs 2 worker, and only 1 machine of the pool fits: m1" in said
    assert not pool.runs.exists(), "nothing was begun"


def test_mistakes_of_the_lab_file_are_told_with_their_place(pool: Pool) -> None:
    pool.lab.write_text("machines:\n  - {name: m1, tpyes: worker}\n")
    done = pool.call("nodes")
    assert done.returncode == 3, done.stdout
    assert "lab.yml:2:16: error[unknown-key]: `tpyes` is not a key of a machine" in done.stdout
    assert "did you mean `types`?" in done.stdout
