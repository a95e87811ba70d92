"""The script of the portable profile, run as it is, by sh."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import benchhub_ansible.playbook
from benchhub_ansible.playbook.portable_tasks import pack_or_end

SCRIPT = Path(benchhub_ansible.playbook.__file__).with_name("node.sh")


class Node:
    """A run's folder with the script in it, as the portable profile prepares it."""

    def __init__(self, base: Path) -> None:
        # What is to be ended is found by the run's id, on the whole machine: tests in parallel need ids of their own.
        self.run = uuid.uuid4().hex
        self.run_dir = base / f"benchhub-{self.run}" / "db"
        self.here = self.run_dir / ".benchhub"
        (self.here / "units").mkdir(parents=True)
        (self.here / "node.sh").write_text(SCRIPT.read_text("utf-8"), "utf-8")

    def argv(self, *arguments: str) -> list[str]:
        return ["/bin/sh", str(self.here / "node.sh"), *arguments]

    def call(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], **(env or {})}
        return subprocess.run(
            self.argv(*arguments), capture_output=True, text=True, check=False, env=environment, timeout=60
        )

    def step(self, *options: str, program: tuple[str, ...], number: str = "01") -> subprocess.CompletedProcess[str]:
        given = (
            "--unit",
            "load",
            "--of",
            "3",
            "--step",
            number,
            "--name",
            '"a \\"step\\""',
            "--grace",
            "1",
            "--timeout",
            "20",
        )
        return self.call("run", *given, *options, "--", *program)

    def service(self, *program: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv("serve", "--unit", "web", "--", *program))

    def packed(self, env: Mapping[str, str] | None = None) -> dict[str, bytes]:
        done = self.call("pack", "--grace", "1", "--limit", "1000000", env=env)
        assert done.returncode == 0, done.stderr
        with tarfile.open(self.here / "pack.tar.gz") as archive:
            files = (member for member in archive if member.isfile())
            return {member.name: getattr(archive.extractfile(member), "read")() for member in files}  # noqa: B009

    def status(self, unit: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.packed()[f"units/{unit}/status.json"])
        return made


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "a b")


def test_a_step_leaves_output_exit_code_and_times(node: Node) -> None:
    assert node.step(program=("printf", "%s", "-n {{ x }} $HOME")).returncode == 0
    assert node.step(program=("/bin/sh", "-c", "echo no >&2; exit 3"), number="02").returncode == 3
    files = node.packed()
    status = json.loads(files["units/load/status.json"])
    assert files["units/load/01.out"] == b"-n {{ x }} $HOME"
    assert files["units/load/02.err"] == b"no\n"
    assert (status["unit"], status["kind"], status["state"], status["error"]) == (
        "load",
        "steps",
        "failed",
        "a step failed",
    )
    first, second, third = status["steps"]
    assert third == {"index": 3, "name": None, "state": "not-run", "rc": None, "attempts": 0}
    assert (first["name"], first["index"], first["state"], first["rc"], first["attempts"]) == (
        'a "step"',
        1,
        "ok",
        0,
        1,
    )
    assert (second["state"], second["rc"]) == ("failed", 3)
    assert status["start"] == first["start"] <= first["end"] <= second["start"] <= second["end"] == status["end"]


def test_a_step_runs_in_the_run_s_folder_with_its_mark_and_no_input(node: Node) -> None:
    (node.run_dir / "sub dir").mkdir()
    node.step("--chdir", "sub dir", program=("/bin/sh", "-c", 'pwd; echo "$BENCHHUB_UNIT"; cat'))
    assert node.packed()["units/load/01.out"].decode() == f"{node.run_dir}/sub dir\n{node.run}/db/load\n"


def test_a_folder_that_is_not_there_is_a_failure(node: Node) -> None:
    assert node.step("--chdir", "nowhere", program=("true",)).returncode == 72
    assert node.status("load")["steps"][0]["state"] == "failed"


def test_retries_and_conditions(node: Node) -> None:
    tried = ("/bin/sh", "-c", "echo again; test -e tried || { touch tried; exit 1; }")
    assert node.step("--retries", "2", "--delay", "0.1", program=tried).returncode == 0
    assert node.step("--when", "test -e nowhere", program=("false",), number="02").returncode == 0
    assert node.step("--when", "test -e tried", program=("true",), number="03").returncode == 0
    steps = node.status("load")["steps"]
    assert [(step["state"], step["attempts"]) for step in steps] == [("ok", 2), ("skipped", 0), ("ok", 1)]
    assert steps[1]["start"] is None


def test_a_timeout_is_told_from_a_program_that_ends_with_its_code(node: Node) -> None:
    assert node.step("--timeout", "0.3", program=("sleep", "30")).returncode == 124
    assert node.step(program=("/bin/sh", "-c", "exit 124"), number="02").returncode == 124
    steps = node.status("load")["steps"]
    assert [(step["state"], step["rc"]) for step in steps[:2]] == [("timeout", None), ("failed", 124)]


def test_a_start_together_waits_for_the_instant(node: Node) -> None:
    instant = int(time.time()) + 1
    node.step("--at", str(instant), program=("date", "+%s.%N"))
    assert float(node.packed()["units/load/01.out"]) >= instant
    together = json.loads((node.here / "units" / "load" / "together").read_text())
    assert together["target"] == instant
    assert together["late"] >= 0


def _wait_for(path: Path) -> None:
    for _ in range(100):
        if path.exists() and path.read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"{path} did not appear")


@pytest.mark.parametrize(
    "script",
    ["exec sleep 300", "trap '' TERM; while :; do sleep 1; done", "(setsid sleep 300 &); exec sleep 300"],
    ids=["plain", "ignores-term", "daemonises"],
)
def test_a_service_is_stopped_with_all_it_started(node: Node, script: str) -> None:
    service = node.service("/bin/sh", "-c", script)
    _wait_for(node.here / "units/web/pid")
    assert node.call("alive", "--unit", "web").returncode == 0
    shutdown = ("--timeout", "5", "--", "/bin/sh", "-c", "echo told > told-file")
    assert node.call("stop", "--unit", "web", "--grace", "1", *shutdown).returncode == 0
    service.wait(timeout=10)
    assert (node.run_dir / "told-file").read_text() == "told\n"
    assert node.call("stop", "--unit", "web", "--grace", "1").returncode == 0
    status = node.status("web")
    assert (status["state"], status["told"], status["exit"]) == ("stopped", True, None)
    assert status["signal"] in (9, 15)
    marks = f"BENCHHUB_UNIT={node.run}/".encode()
    assert not [path for path in Path("/proc").glob("[0-9]*/environ") if marks in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended meanwhile, or is not ours
        return b""


def test_a_service_that_ends_by_itself_has_failed_whatever_its_code(node: Node) -> None:
    service = node.service("/bin/sh", "-c", "echo bye; exit 0")
    service.wait(timeout=10)
    alive = node.call("alive", "--unit", "web")
    assert alive.returncode == 1
    assert "has ended with exit code 0" in alive.stderr
    assert "bye" in alive.stderr
    stopped = node.call("stop", "--unit", "web", "--grace", "1")
    assert stopped.returncode == 1
    assert "before it was told to" in stopped.stderr
    status = node.status("web")
    assert (status["state"], status["told"], status["exit"], status["signal"]) == ("failed", False, 0, None)


def test_a_service_with_a_condition_that_does_not_hold_is_not_started(node: Node) -> None:
    assert node.call("serve", "--unit", "web", "--when", "false", "--", "sleep", "300").returncode == 0
    assert node.call("stop", "--unit", "web", "--grace", "1").returncode == 0


def test_files_are_collected_cut_and_masked(node: Node) -> None:
    (node.run_dir / "out").mkdir()
    (node.run_dir / "out" / "a b.json").write_text("key s3cr$t.* s3cr$t.*\nmore")
    (node.run_dir / "out" / "big.json").write_text("x" * 100)
    node.step(program=("echo", "s3cr$t.*"))
    mask = {"BENCHHUB_MASK_A": "s3cr$t", "BENCHHUB_MASK_B": "other\ns3cr$t.*\n"}
    assert node.call("collect", "--limit", "40", "--", "out/*.json", "none/*", env=mask).returncode == 0
    files = node.packed(env=mask)
    assert files[f"files{node.run_dir}/out/a b.json"] == b"key *** ***\nmore\n"
    assert files[f"files{node.run_dir}/out/big.json"] == b"x" * 40
    assert files["units/load/01.out"] == b"***\n"
    assert b"s3cr" not in b"".join(files.values())


def test_units_of_several_users_share_a_folder(node: Node) -> None:
    (node.here / "units").chmod(0o1777)
    node.step(program=("true",))
    assert (node.here / "units" / "load").stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize("arguments", [("dance",), ("run", "--what", "1")])
def test_what_it_does_not_know_it_says(node: Node, arguments: tuple[str, ...]) -> None:
    done = node.call(*arguments)
    assert done.returncode == 70
    assert "what is" in done.stderr


def test_where_the_script_was_removed_everything_is_ended_by_its_mark(node: Node) -> None:
    command = pack_or_end({"grace": "1", "limit": "1000"})["ansible.builtin.command"]["argv"]
    script = str(node.here / "node.sh")
    argv = [script if "{{" in part else part for part in command]
    service = node.service("sh", "-c", "setsid sleep 300 & exec sleep 300")
    try:
        deadline = time.monotonic() + 60
        while len(marked(node)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        shutil.rmtree(node.here)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert marked(node) == []
    finally:
        service.kill()
        service.wait()


def marked(node: Node) -> list[int]:
    mark = f"BENCHHUB_UNIT={node.run}/db/".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            running = b"State:\tZ" not in environ.with_name("status").read_bytes()
            if running and mark in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found
