"""How it all ends: finish, remove, deaths of monitors and supervisors, the dead-man switch."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import Node, all_gone, eventually

LIVE = {"kind": "file", "target": "nowhere", "interval": 0.1, "failures": 1}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")


def run(node: Node, text: str, unit: str = "work") -> None:
    assert node("start", unit=unit, kind="steps", steps=[{"kind": "shell", "text": text}])["ok"]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def monitor(node: Node) -> psutil.Process:
    return psutil.Process(node.pid).children()[0]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users reach; pytest's own are for root alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def short(tmp_path: Path, python: str) -> Iterator[Node]:
    """A node whose lease is short."""
    one = Node(tmp_path, python, lease=2, retention=0.5)
    assert one.boot()["ok"]
    yield one
    one.close()


def test_finish_ends_and_removes_everything(node: Node) -> None:
    node.service("exec sleep 300")
    run(node, "setsid sleep 300 & sleep 300")
    text = "mkdir -p a/b; touch a/b/c; chmod 0 a/b; ln -s /etc link; mkfifo fifo"
    node.steps({"kind": "shell", "text": text}, unit="files")
    pid = node.pid
    reply = node("finish")
    assert reply["ok"]
    assert reply["left"] == []
    assert {name: unit["state"] for name, unit in reply["units"].items()} == {
        "service": "stopped",
        "work": "stopped",
        "files": "ok",
    }
    assert not node.dir.parent.exists()
    assert Path("/etc").is_dir()
    eventually(lambda: not Path(f"/proc/{pid}").exists())


@needs_root
def test_finish_removes_files_of_other_users(shared: Path) -> None:
    node = Node(shared, "/usr/bin/python3")
    try:
        assert node.boot()["ok"]
        (node.dir / "theirs").mkdir()
        (node.dir / "theirs").chmod(0o777)
        assert node.sh("mkdir -m 700 theirs/x; touch theirs/x/y", user="nobody")["state"] == "ok"
        assert node("finish")["left"] == []
        assert not node.dir.exists()
    finally:
        node.close()


def test_remove_alone_ends_everything(node: Node) -> None:
    node.service("exec sleep 300")
    members = node.members()
    assert node("remove")["left"] == []
    eventually(lambda: all_gone(members))
    assert not node.dir.parent.exists()


def test_two_slots_of_one_machine(tmp_path: Path, python: str) -> None:
    first, second = Node(tmp_path, python, slot="a"), Node(tmp_path, python, slot="b")
    try:
        assert first.boot()["ok"]
        assert second.boot()["ok"]
        second.service("exec sleep 300")
        assert first("finish")["ok"]
        assert first.dir.parent.exists()
        assert second("status")["units"]["service"]["state"] == "running"
        assert second("finish")["ok"]
        assert not second.dir.parent.exists()
    finally:
        first.close()
        second.close()


def test_a_killed_monitor_costs_its_unit_and_no_other(node: Node) -> None:
    node.service("exec sleep 300", name="other")
    eventually(lambda: len(node.members()) == 2)
    other = {process.pid for process in node.members()}
    run(node, "setsid env -i setsid sleep 300 & setsid sleep 300 & sleep 300; echo never")
    eventually(lambda: len(node.members()) >= 6)
    mine = [process for process in node.members() if process.pid not in other]
    pid = next(process.pid for process in psutil.Process(node.pid).children() if process.pid not in other)
    kill(pid)
    reply = node("wait", units=["work"], bound=10)
    assert reply["state"] == "failed"
    assert reply["units"]["work"]["error"] == "its monitor was killed"
    assert reply["units"]["work"]["steps"][0]["state"] == "killed"
    eventually(lambda: all_gone(mine))
    assert node("status")["units"]["other"]["state"] == "running"


def test_a_killed_supervisor_takes_all_with_it_and_can_be_replaced(node: Node) -> None:
    node.service("trap '' TERM; while :; do sleep 1; done")
    run(node, "setsid sleep 300 & sleep 300")
    waiting = node.begin("wait", units=["work"], bound=20)
    time.sleep(0.2)
    members = node.members()
    kill(node.pid)
    assert node.answer(waiting) == {"ok": False, "error": "gone"}
    assert node("clock") == {"ok": False, "error": "gone"}
    assert node.boot()["ok"]
    assert all_gone(members)
    assert node("status")["units"] == {}
    assert node.sh("echo new", unit="again")["state"] == "ok"


def test_a_second_supervisor_is_refused_while_one_lives(node: Node) -> None:
    node.service("exec sleep 300")
    answer = node.boot()
    assert not answer["ok"]
    assert "already runs" in answer["error"]
    assert node("status")["units"]["service"]["state"] == "running"
    assert len(list(node.folder.glob("supervisor.*"))) == 1


def test_a_stale_folder_is_wiped(node: Node) -> None:
    node.sh("touch old")
    kill(node.pid)
    (node.folder / "staged").mkdir()
    assert node.boot()["ok"]
    assert sorted(path.name for path in node.dir.iterdir()) == [".async", ".benchhub"]
    assert not (node.folder / "staged").exists()


def test_without_a_controller_everything_ends(short: Node) -> None:
    log = short.dir.parent.parent / "order"
    for name in ("one", "two"):
        short.service(
            "exec sleep 300", name=name, shutdown={"kind": "shell", "text": f"echo {name} >> {log}"}, grace=0.1
        )
    pid = short.pid
    eventually(lambda: log.exists() and log.read_text() == "two\none\n")
    eventually(lambda: not short.dir.parent.exists())
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_controller_can_come_back_in_time(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path, python, lease=1.5, retention=30)
    try:
        assert node.boot()["ok"]
        node.service("exec sleep 300")
        eventually(lambda: not node.members())
        unit = node("status", lease=20)["units"]["service"]
        assert (unit["state"], unit["reason"]) == ("failed", "no controller renewed the lease")
        assert (unit["ended_by"], unit["told"]) == ("lease", False)
        time.sleep(2)
        assert node("clock")["ok"]
    finally:
        node.close()


def test_a_waiting_call_renews_the_lease_and_a_dead_one_does_not(short: Node) -> None:
    short.service("exec sleep 300")
    client = short.begin("wait", units=["service"], bound=30)
    time.sleep(2.6)
    assert short.members()
    client.kill()
    client.communicate()
    eventually(lambda: not short.dir.exists())


def test_what_was_kept_ends_at_its_time_and_no_call_puts_that_off(node: Node) -> None:
    node.service("exec sleep 300")
    members = [psutil.Process(node.pid), *node.members()]
    assert node("hold", seconds=1.5)["ok"]
    assert node("clock", lease=300)["ok"]
    waiting = node.begin("wait", units=["service"], bound=60)
    reply = node.answer(waiting, limit=60)
    assert reply["units"]["service"]["state"] == "stopped"
    assert reply["units"]["service"]["ended_by"] == "hold"
    eventually(lambda: not node.dir.parent.exists(), 60)
    eventually(lambda: all_gone(members), 60)


@pytest.mark.parametrize(
    ("how", "by"), [("deadline", "deadline"), ("live", "live"), ("monitor", "sigterm"), ("call", "request")]
)
def test_the_status_says_who_ended_a_service(node: Node, how: str, by: str) -> None:
    limits: dict[str, dict[str, Any]] = {"deadline": {"deadline": 0.5}, "live": {"live": LIVE}}
    node.service("exec sleep 300", **limits.get(how, {}))
    eventually(lambda: len(node.members()) >= 2, 60)
    if how == "monitor":
        monitor(node).terminate()
    elif how == "call":
        assert node("stop", units=["service"], bound=60)["state"] == "done"
    eventually(lambda: node("status")["units"]["service"]["end"], 60)
    unit = node("status")["units"]["service"]
    assert unit["ended_by"] == by
    assert unit["told"] is (by == "request")
    assert unit["state"] == ("stopped" if by == "request" else "failed")
    assert bool(unit["error"]) is (by != "request")


def test_the_status_says_what_ended_a_step(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path, python, retention=120)
    try:
        assert node.boot()["ok"]
        run(node, "exec sleep 300")
        status = node.folder / "units/work/status.json"
        eventually(status.exists, 60)
        os.kill(node.pid, signal.SIGTERM)
        eventually(lambda: '"state": "failed"' in status.read_text(), 60)
        found = json.loads(status.read_text())
        assert found["ended_by"] == "sigterm"
        assert found["error"] == found["steps"][0]["error"] == "the supervisor was told to end"
        assert found["steps"][0]["state"] == "killed"
    finally:
        node.close()


def test_hold(short: Node) -> None:
    short.service("exec sleep 300")
    assert short("hold", seconds=30)["ok"]
    time.sleep(2.6)
    assert short("status")["units"]["service"]["state"] == "running"


def test_retention_waits_until_all_has_ended(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path, python, lease=2, retention=0)
    try:
        assert node.boot()["ok"]
        log = tmp_path / "ended"
        node.service("exec sleep 300", shutdown={"kind": "shell", "text": f"sleep 1; touch {log}"}, grace=0.1)
        eventually(lambda: not node.dir.exists())
        assert log.exists()
    finally:
        node.close()


def test_sigterm_ends_everything_in_order(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path, python, retention=0.2)
    try:
        assert node.boot()["ok"]
        node.service("exec sleep 300", shutdown={"kind": "shell", "text": f"touch {tmp_path}/asked"}, grace=0.1)
        members = node.members()
        os.kill(node.pid, signal.SIGTERM)
        eventually(lambda: all_gone(members))
        assert (tmp_path / "asked").exists()
        eventually(lambda: not node.dir.exists())
    finally:
        node.close()


@needs_root
def test_a_whole_node_of_a_normal_user(shared: Path) -> None:
    shared.chmod(0o777)
    node = Node(shared, "/usr/bin/python3")
    try:
        prefix = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        answer = node.boot(*prefix)
        assert answer["ok"], answer
        assert answer["facts"]["uid"] == 65534
        status = node.steps(
            {"name": "own", "kind": "shell", "text": "id -u; mkdir -m 0 locked"},
            {"name": "other", "kind": "shell", "text": "true", "user": "root"},
        )
        assert node.output() == b"65534\n"
        assert "become is needed" in status["steps"][1]["tail"][0]
        reply = node("finish")
        assert reply["left"] == []
        assert not node.dir.exists()
    finally:
        node.close()


@needs_root
def test_a_root_supervisor_serves_its_login_user(shared: Path) -> None:
    python = "/usr/bin/python3"
    node = Node(shared, python, login_uid=65534, login_gid=65534)
    other = Node(shared, python, slot="second", login_uid=65534, login_gid=65534)
    try:
        assert node.boot()["ok"]
        assert other.boot()["ok"]  # the parent belongs to the login user by now
        node.steps(
            {"kind": "shell", "text": "id -u; echo mine > file"}, {"kind": "shell", "text": "id -u", "user": "root"}
        )
        assert node.output() == b"65534\n"
        assert node.output(name="02.out") == b"0\n"
        reply = node("finish", collect=["file"], inline=0)
        assert Path(reply["path"]).stat().st_uid == 65534
        assert node("remove")["ok"]
        kill(other.pid)
        assert other.boot()["ok"]
        assert other("finish")["left"] == []
        assert not other.dir.parent.exists()
    finally:
        node.close()
        other.close()


def test_one_that_was_stopped_is_woken(node: Node) -> None:
    """A step can do that by mistake: `kill -STOP -1`."""
    node.service("exec sleep 300")
    eventually(lambda: len(node.members()) >= 2, 60)
    members = [psutil.Process(node.pid), *node.members()]
    for process in members:
        process.suspend()
    assert node("finish")["left"] == []
    eventually(lambda: all_gone(members), 60)
    assert not node.dir.parent.exists()


def test_a_crowd_is_ended(node: Node) -> None:
    """A fork bomb of bounded size whose children fork on while they are ended."""
    bomb = "trap '' TERM; n=0; while [ $n -lt 150 ]; do n=$((n+1)); (sleep 0.2; exec sleep 300) & done; wait"
    node.service(bomb, grace=0.5)
    eventually(lambda: len(node.members()) >= 150, 60)
    members = node.members()
    assert node("finish")["left"] == []
    eventually(lambda: all_gone(members), 60)
