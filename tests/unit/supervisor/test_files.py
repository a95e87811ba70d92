"""File steps: content, mode, owner, staged files, folders, and what is refused."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from typing import Any

import pytest

from .conftest import Node

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")


def file(dest: str, content: bytes = b"x", **keys: Any) -> dict[str, Any]:
    return {"name": "file", "kind": "file", "dest": dest, "content": base64.b64encode(content).decode(), **keys}


def stage(node: Node, content: bytes) -> str:
    (node.folder / "staged").mkdir()
    (node.folder / "staged" / "abc").write_bytes(content)
    return "staged/abc"


def packed(**files: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("UP", ".."))
            member.size, member.mode = len(content), 0o750
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def test_content_and_mode(node: Node) -> None:
    content = bytes(range(256)) * 10
    assert node.steps(file("a b'c", content, mode="0640"))["state"] == "ok"
    path = node.dir / "a b'c"
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_staged_file(node: Node) -> None:
    step = {"name": "file", "kind": "file", "dest": "big", "staged": stage(node, b"large" * 100_000)}
    assert node.steps(step)["state"] == "ok"
    assert (node.dir / "big").read_bytes() == b"large" * 100_000
    assert (node.dir / "big").stat().st_mode & 0o777 == 0o644


def test_a_folder_below_its_prefix(node: Node) -> None:
    staged = stage(node, packed(a=b"1", sub__b=b"2"))
    step = {"name": "f", "kind": "file", "dest": "to", "staged": staged, "directory": True, "prefix": "conf"}
    assert node.steps(step)["state"] == "ok"
    assert (node.dir / "to/conf/a").read_bytes() == b"1"
    assert (node.dir / "to/conf/sub/b").stat().st_mode & 0o777 == 0o750


def test_a_folder_never_leaves_its_place(node: Node) -> None:
    staged = stage(node, packed(UP__evil=b"1"))
    status = node.steps({"name": "f", "kind": "file", "dest": "to", "staged": staged, "directory": True})
    assert status["state"] == "failed"
    assert "would leave the folder" in status["steps"][0]["tail"][0]
    assert not (node.dir / "evil").exists()


@pytest.mark.parametrize("staged", ["../../etc/passwd", "/etc/passwd", "staged/../../x"])
def test_staged_files_are_below_the_supervisor(node: Node, staged: str) -> None:
    reply = node("start", unit="u", kind="steps", steps=[{"kind": "file", "dest": "x", "staged": staged}])
    assert not reply["ok"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (file("no/such/folder/x"), "no/such/folder/x cannot be written: No such file or directory"),
        (file("."), ". cannot be written: it is a folder"),
        (file("x", mode="rw"), "is not an octal number"),
    ],
)
def test_what_cannot_be_written_says_why(node: Node, step: dict[str, Any], said: str) -> None:
    status = node.steps(step)
    assert status["state"] == "failed"
    assert said in status["steps"][0]["tail"][0]
    assert [path.name for path in node.dir.iterdir() if "benchhub-" in path.name] == []


@needs_root
def test_owner_and_group(node: Node) -> None:
    assert node.steps(file("x", owner="nobody", group="root"))["state"] == "ok"
    assert (node.dir / "x").owner() == "nobody"


@needs_root
def test_a_file_as_a_user_who_may_not_write(node: Node) -> None:
    status = node.steps(file("/etc/benchhub-test", user="nobody"))
    assert "Permission denied" in status["steps"][0]["tail"][0]
