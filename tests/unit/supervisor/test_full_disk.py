"""A node whose disk is full: what is lost is told with its cause, and everything is ended and removed all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Node, all_gone, eventually
from .test_packing import unpack

NO_SPACE = "No space left on device"


@pytest.fixture
def small(tmp_path: Path, python: str) -> Iterator[Node]:
    """A node of its own disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)  # noqa: S607
    node = Node(disk, python)
    try:
        assert node.boot()["ok"]
        yield node
    finally:
        node.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)  # noqa: S607


def fill(node: Node, unit: str = "fill") -> None:
    """Takes all that is left."""
    status = node.steps({"kind": "shell", "text": "echo first; cat /dev/zero > filler; echo last"}, unit=unit)
    assert status["warning"].startswith("no space left on the disk of ")
    with pytest.raises(OSError, match=NO_SPACE):
        (node.dir / "more").write_bytes(b"x" * 8192)


def test_it_costs_no_unit_that_runs(small: Node) -> None:
    small.service("exec sleep 300", name="other")
    fill(small)
    assert small("status")["units"]["other"]["state"] == "running"
    reply = small("stop", units=["other"], bound=60)
    assert reply.get("state") == "done", reply
    assert reply["units"]["other"]["state"] == "stopped"


def test_what_starts_then_says_why_it_cannot(small: Node) -> None:
    fill(small)
    reply = small("start", unit="work", kind="steps", steps=[{"kind": "shell", "text": "echo out; false"}])
    assert reply["ok"], reply
    done = small("wait", units=["work"], bound=60)["units"]["work"]
    assert done["state"] == "failed"
    assert "no space is left on the node's disk" in done["error"]


@pytest.mark.parametrize("size", [10, 300_000], ids=["small", "large"])
def test_outputs_come_home_as_far_as_they_can_and_nothing_stays(size: int, small: Node) -> None:
    small.service("exec sleep 300", name="other")
    members = small.members()
    (small.dir / "wanted").write_bytes(b"begin" + bytes(i * i % 251 for i in range(size)) + b"end")
    text = f"head -c {size} /dev/urandom > noise"
    assert small.sh(text)["state"] == "ok"
    fill(small)
    reply = small("finish", collect=["noise", "wanted"])
    assert reply["left"] == []
    files = unpack(reply)
    assert b"first" in files["units/fill/01.out"]
    wanted = next(text for name, text in files.items() if name.endswith("/wanted"))
    assert wanted.startswith(b"begin")
    assert wanted.endswith(b"end")
    if size > 1000:
        assert NO_SPACE in reply["lost"][0]
        assert b"benchhub left out" in wanted
    else:
        assert reply["lost"] == []
    eventually(lambda: all_gone(members), 60)
    assert not small.dir.parent.exists()


def test_a_long_request_gets_through(small: Node) -> None:
    fill(small)
    assert small("finish", collect=["x" * 20_000], mask=["y" * 20_000])["left"] == []
