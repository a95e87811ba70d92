"""Requests that are wrong or many, clients that die, and folders that somebody else prepared."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import CALL, Node, bootstrap, eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
STEP = {"kind": "shell", "text": "true"}


def raw(node: Node, data: bytes) -> dict[str, Any]:
    done = subprocess.run([*CALL, str(node.folder), ""], input=data, capture_output=True, timeout=20, check=True)
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"op": "clock"} x', b'{"lease": NaN, "op": "clock"}', b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "no-text", "two", "nan", "deep"],
)
def test_what_is_no_request_is_refused(node: Node, data: bytes) -> None:
    reply = raw(node, data)
    assert not reply["ok"]
    assert reply["error"] == "the request is not a JSON object"
    assert node("clock")["ok"]


REQUESTS: list[dict[str, Any]] = [
    {"op": "nonesuch"},
    {"op": "__class__"},
    {"op": ["clock"]},
    {"op": "clock", "lease": "long"},
    {"op": "clock", "lease": 1e300},
    {"op": "clock", "mask": "secret"},
    {"op": "clock", "mask": [1]},
    {"op": "hold"},
    {"op": "start"},
    {"op": "start", "unit": "../../evil", "kind": "steps", "steps": [STEP]},
    {"op": "start", "unit": ".hidden", "kind": "steps", "steps": [STEP]},
    {"op": "start", "unit": "x" * 200, "kind": "steps", "steps": [STEP]},
    {"op": "start", "unit": {"a": 1}, "kind": "steps", "steps": [STEP]},
    {"op": "start", "unit": "u", "kind": "nonesuch", "steps": [STEP]},
    {"op": "start", "unit": "u", "kind": "steps"},
    {"op": "start", "unit": "u", "kind": "steps", "steps": []},
    {"op": "start", "unit": "u", "kind": "steps", "steps": "true"},
    {"op": "start", "unit": "u", "kind": "steps", "steps": ["true"]},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [{"kind": "shell"}]},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [{"kind": ["shell"], "text": "true"}]},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [{"kind": "exec", "argv": []}]},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [{**STEP, "timeout": "1s"}]},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [{**STEP, "env": ["A=1"]}]},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [STEP], "wait": "forever"},
    {"op": "start", "unit": "u", "kind": "steps", "steps": [STEP], "deadline": []},
    {"op": "start", "unit": "u", "kind": "service"},
    {"op": "start", "unit": "u", "kind": "service", "service": "sleep 1"},
    {"op": "start", "unit": "u", "kind": "service", "service": STEP, "live": "yes"},
    {"op": "wait", "units": "work"},
    {"op": "wait", "units": [["work"]]},
    {"op": "stop", "units": 5},
    {"op": "stop", "units": [{}]},
    {"op": "check", "kind": "poll", "target": "x"},
    {"op": "check", "kind": "tcp"},
    {"op": "check", "kind": "tcp", "target": "no port", "timeout": 0.1},
    {"op": "check", "kind": "log", "target": "x", "service": "nonesuch"},
    {"op": "check", "kind": "tcp", "target": "a:1", "timeout": {}},
    {"op": "pack", "collect": "all"},
    {"op": "finish", "limit": "much"},
]


def test_wrong_requests_are_refused_and_the_supervisor_lives(node: Node) -> None:
    for request in REQUESTS:
        reply = raw(node, json.dumps(request).encode())
        assert reply["ok"] is False, request
        assert isinstance(reply["error"], str)
    assert node("status")["units"] == {}
    assert node.sh("echo alive")["state"] == "ok"


def test_a_unit_is_started_once(node: Node) -> None:
    node.sh("true")
    assert "started before" in node("start", unit="work", kind="steps", steps=[STEP])["error"]


def test_the_same_request_again_starts_nothing_and_is_answered(node: Node) -> None:
    step = {"kind": "shell", "text": "echo once >> begun; until [ -e go ]; do sleep 0.05; done"}
    request = {"unit": "work", "kind": "steps", "steps": [step], "id": "a1", "wait": {"units": ["work"], "bound": 20}}
    waiting = [node.begin("start", **request) for _ in range(2)]
    eventually((node.dir / "begun").exists)
    waiting.append(node.begin("start", **request))
    assert "started before" in node("start", **{**request, "id": "a2"})["error"]
    (node.dir / "go").touch()
    assert [node.answer(one)["state"] for one in waiting] == ["done"] * 3
    assert (node.dir / "begun").read_text() == "once\n"


def test_the_same_request_again_is_armed_too(node: Node) -> None:
    request = {"unit": "work", "kind": "steps", "steps": [STEP], "id": "a1", "together": True}
    assert [node("start", **request)["state"] for _ in range(2)] == ["armed"] * 2
    assert node("wait", units=["work"], release=time.time(), bound=20)["state"] == "done"


def test_a_huge_request(node: Node) -> None:
    content = "x" * 5_000_000
    assert node.steps({"kind": "shell", "text": "true", "name": content}, bound=20)["state"] == "ok"
    assert len(node("status")["units"]["work"]["steps"][0]["name"]) == len(content)


def test_a_text_that_is_too_long_for_the_kernel_says_so(node: Node) -> None:
    record = node.sh("true #" + "x" * 200_000)
    assert "Argument list too long" in record["tail"][0]


def test_fifty_clients_at_once(node: Node) -> None:
    clients = [
        node.begin("start", unit=f"u{n}", kind="steps", steps=[STEP], wait={"units": [f"u{n}"]}) for n in range(50)
    ]
    for number, client in enumerate(clients):
        reply = node.answer(client)
        assert reply["state"] == "done", reply
        assert list(reply["units"]) == [f"u{number}"]
    eventually(lambda: not list(node.folder.glob("q.*")), 60)  # removed once the reply is on its way
    assert {path.name for path in node.folder.glob("r.*")} == {f"r.{n}" for n in range(9)}


def test_clients_that_die_leave_nothing_behind(node: Node) -> None:
    node.service("exec sleep 300")
    clients = [node.begin("wait", units=["service"], bound=60) for _ in range(12)]
    eventually(lambda: len(list(node.folder.glob("q.*"))) == 12)
    time.sleep(0.2)
    for client in clients:
        client.kill()
        client.communicate()
    eventually(lambda: not list(node.folder.glob("q.*")))
    assert node("clock")["ok"]


def test_a_client_that_does_not_read_delays_nobody(node: Node) -> None:
    node.steps({"kind": "shell", "text": "true", "name": "x" * 300_000})
    client = node.begin("status")
    time.sleep(0.3)  # its reply is larger than every pipe on the way
    assert node("clock")["ok"]
    assert len(node.answer(client)["units"]["work"]["steps"][0]["name"]) == 300_000


def test_junk_in_the_control_fifo_is_ignored(node: Node) -> None:
    with (node.folder / "ctl").open("wb", buffering=0) as control:
        control.write(b"\n\n../../x\nx\n99999999999999999999999\n-1\n0\n\xff\n x1\nx1\n9\n3\n")
    assert node("clock")["ok"]


def test_status_files_are_always_whole(node: Node) -> None:
    seen = []
    over = threading.Event()

    def read() -> None:
        path = node.folder / "units" / "work" / "status.json"
        while not over.is_set():
            with contextlib.suppress(FileNotFoundError):
                seen.append(json.loads(path.read_text())["unit"])

    reader = threading.Thread(target=read)
    reader.start()
    status = node.steps(*[STEP] * 40)
    over.set()
    reader.join()
    assert status["state"] == "ok"
    assert set(seen) == {"work"}


def test_no_command_and_no_secret_in_the_status(node: Node) -> None:
    node.sh("echo hidden-text", env={"PASSWORD": "s3cret"}, mask=["s3cret"])
    text = (node.folder / "units/work/status.json").read_text()
    assert "hidden-text" not in text
    assert "s3cret" not in text
    assert all(b"s3cret" not in path.read_bytes() for path in node.folder.rglob("*") if path.is_file())


def test_folders_have_the_rights_they_need(node: Node) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (node.dir.parent, node.dir, node.folder)]
    assert modes == [0o755, 0o755, 0o700]


# -- folders that somebody else prepared ------------------------------------------------------------------------------


def refused(node: Node, *prefix: str) -> str:
    answer = node.boot(*prefix)
    assert not answer["ok"], answer
    error: str = answer["error"]
    return error


@pytest.mark.parametrize("level", ["parent", "run", "own"])
def test_a_planted_link_is_refused(tmp_path: Path, python: str, level: str) -> None:
    node = Node(tmp_path / "node", python)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = {"parent": node.dir.parent, "run": node.dir, "own": node.folder}[level]
    path.parent.mkdir(parents=True, mode=0o755)
    path.symlink_to(elsewhere)
    assert "not ours alone" in refused(node)
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path, python)
    node.dir.parent.mkdir()
    node.dir.parent.chmod(0o777)
    assert "not ours alone" in refused(node)


@needs_root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path, python)
    node.dir.mkdir(parents=True)
    os.chown(node.dir, 65534, 65534)
    assert "not ours alone" in refused(node)
    assert list(node.dir.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, python: str) -> None:
    (tmp_path / 'a "file"').write_text("")
    error = refused(Node(tmp_path / 'a "file"' / "below", python))
    assert "Not a directory" in error
    assert "benchhub_node_dir" in error


def test_odd_places_work(tmp_path: Path, python: str) -> None:
    node = Node(tmp_path / "it's a $HOME; {{ x }}", python)
    try:
        assert node.boot()["ok"]
        assert node.sh("pwd")["state"] == "ok"
        assert node.output().decode() == f"{node.dir}\n"
    finally:
        node.close()


def test_old_pythons_are_passed_over(tmp_path: Path, python: str) -> None:
    old = tmp_path / "python3.6"
    old.write_text("#!/bin/sh\nexit 99\n")
    old.chmod(0o755)
    node = Node(tmp_path, str(old))
    try:
        assert node.boot()["ok"]
    finally:
        node.close()


def test_without_a_python_it_says_what_to_do(tmp_path: Path) -> None:
    script = bootstrap.script(Node(tmp_path, "x").config).replace("python3", "nopython3").replace("platform-", "no-")
    done = subprocess.run(["/bin/sh", "-c", script], input=b"", capture_output=True, check=True, timeout=20)
    assert "benchhub_python" in json.loads(done.stdout)["error"]


def test_the_program_is_the_same_for_the_same_sources() -> None:
    assert bootstrap.program() == bootstrap.program()


def test_the_supervisor_does_not_carry_the_mark_of_its_controller(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHHUB_CONTROLLER", "run")
    node = Node(tmp_path, python)
    assert node.boot()["ok"]
    environment = Path(f"/proc/{node.pid}/environ").read_bytes()
    node.close()
    assert b"PATH=" in environment
    assert b"BENCHHUB_CONTROLLER" not in environment, "what ends a controller's leftovers would end the supervisor"
