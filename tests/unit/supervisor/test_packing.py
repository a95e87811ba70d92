"""What comes home: which files, masked, of bounded size, in a form that every tar reads."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from .conftest import Node

MiB = 1 << 20


def unpack(reply: dict[str, Any]) -> dict[str, bytes]:
    assert reply["ok"], reply
    data = base64.b64decode(reply["inline"]) if "inline" in reply else Path(reply["path"]).read_bytes()
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            assert member.isfile()
            file = archive.extractfile(member)
            assert file is not None
            files[member.name] = file.read()
    return files


def collected(node: Node, files: dict[str, bytes], path: str) -> bytes:
    return files[f"files{node.dir}/{path}"]


def test_outputs_status_and_log(node: Node) -> None:
    node.sh("echo hello; echo bad >&2")
    files = unpack(node("pack"))
    assert files["units/work/01.out"] == b"hello\n"
    assert files["units/work/01.err"] == b"bad\n"
    assert json.loads(files["units/work/status.json"])["state"] == "ok"
    assert "supervisor.log" in files


def test_patterns(node: Node) -> None:
    for name in ("a.csv", "b.csv", "deep/c.csv", "deep/d.txt", "[x]"):
        (node.dir / name).parent.mkdir(exist_ok=True)
        (node.dir / name).write_text(name)
    reply = node("pack", collect=["*.csv", "deep", str(node.dir / "[[]x]"), "none.csv", "no*", "."])
    files = unpack(reply)
    names = {name.removeprefix(f"files{node.dir}/") for name in files if name.startswith("files/")}
    assert names == {"a.csv", "b.csv", "deep/c.csv", "deep/d.txt", "[x]"}
    assert reply["missing"] == ["none.csv", "no*"]


def test_only_plain_files_and_no_link_is_followed(node: Node) -> None:
    (node.dir / "real").write_text("real")
    (node.dir / "link").symlink_to("/etc/passwd")
    (node.dir / "folder").symlink_to("/etc")
    os.mkfifo(node.dir / "fifo")
    reply = node("pack", collect=["*", "folder", "/dev/zero", "/dev/null"])
    names = [name for name in unpack(reply) if name.startswith("files/")]
    assert names == [f"files{node.dir}/real"]
    assert f"{node.dir}/link: it is a link" in reply["unreadable"]


@pytest.mark.parametrize("length", [99, 100, 101, 250])
def test_long_and_odd_names(node: Node, length: int) -> None:
    name = "ü ☃'\n" + "n" * (length - len("ü ☃'\n".encode()))
    deep = node.dir / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / name).write_text("found")
    (node.dir / name).write_text("found too")
    files = unpack(node("pack", collect=["."]))
    assert collected(node, files, f"{'d' * 120}/{'e' * 120}/{name}") == b"found"
    assert collected(node, files, name) == b"found too"


def test_names_that_are_no_text(node: Node) -> None:
    Path(os.fsdecode(os.fsencode(node.dir) + b"/\xff\xfe")).write_text("odd")
    files = unpack(node("pack", collect=["."]))
    assert list(files.values()).count(b"odd") == 1


def test_secrets_are_masked_in_every_form(node: Node) -> None:
    secrets = ['pa"ss\\wörd', "abc", "abcdef"]
    node("clock", mask=secrets)
    text = f"plain {secrets[0]} json {json.dumps(secrets)} utf8 {json.dumps(secrets[0], ensure_ascii=False)} abcdef abc"
    (node.dir / "x").write_text(text)
    packed = collected(node, unpack(node("pack", collect=["x"])), "x").decode()
    assert packed == 'plain *** json ["***", "***", "***"] utf8 "***" *** ***'


@pytest.mark.parametrize("shift", range(-7, 2))
def test_secrets_across_the_borders_of_chunks(node: Node, shift: int) -> None:
    node("clock", mask=["sEcReT", "sEcReTlonger"])
    content = b"x" * (MiB + shift) + b"sEcReTlonger" + b"y" * MiB
    (node.dir / "x").write_bytes(content)
    packed = collected(node, unpack(node("pack", collect=["x"], inline=1 << 22)), "x")
    assert packed == content.replace(b"sEcReTlonger", b"***")


def test_a_large_file_keeps_its_beginning_and_its_end(node: Node) -> None:
    (node.dir / "x").write_bytes(b"A" * MiB + b"B" * 5 * MiB + b"C" * MiB)
    packed = collected(node, unpack(node("pack", collect=["x"], limit=2 * MiB)), "x")
    marker = b"\n*** benchhub left out %d bytes here ***\n" % (5 * MiB)
    assert packed == b"A" * MiB + marker + b"C" * MiB


@pytest.mark.parametrize("shift", range(-12, 3, 2))
@pytest.mark.parametrize("end", [False, True])
def test_no_part_of_a_secret_is_left_where_a_file_is_cut(node: Node, shift: int, *, end: bool) -> None:
    """The beginning kept is 50 bytes, and so is the end."""
    secret = b"0123456789"
    content = bytearray(b"x" * 1000)
    place = 950 + shift if end else 50 + shift
    content[place : place + len(secret)] = secret
    (node.dir / "x").write_bytes(content)
    packed = collected(node, unpack(node("pack", collect=["x"], limit=100, mask=[secret.decode()])), "x")
    text = packed.replace(packed[packed.index(b"\n***") : packed.rindex(b"***\n") + 4], b"")
    assert set(text) <= set(b"x*")


def test_a_small_limit(node: Node) -> None:
    (node.dir / "x").write_bytes(b"A" * 500 + b"C" * 500)
    packed = collected(node, unpack(node("pack", collect=["x"], limit=100)), "x")
    assert packed == b"A" * 50 + b"\n*** benchhub left out 900 bytes here ***\n" + b"C" * 50


def test_an_archive_too_large_for_a_reply(node: Node) -> None:
    (node.dir / "x").write_bytes(os.urandom(400_000))
    reply = node("finish", collect=["x"])
    assert "inline" not in reply
    assert reply["size"] == Path(reply["path"]).stat().st_size
    assert collected(node, unpack(reply), "x") == (node.dir / "x").read_bytes()
    assert node("remove")["left"] == []
    assert not node.dir.exists()


def test_an_archive_at_the_bound_of_a_reply(node: Node) -> None:
    (node.dir / "x").write_bytes(os.urandom(250_000))
    files = unpack(node("finish", collect=["x"]))
    assert len(collected(node, files, "x")) == 250_000
    assert not node.dir.exists()


def test_an_archive_can_be_kept(node: Node) -> None:
    assert "inline" in node("finish", keep_archive=True)
    assert node.dir.exists()
    assert node("remove")["ok"]


def test_a_planted_link_is_never_written_through(node: Node, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (node.dir / ".archive.tar.gz").symlink_to(target)
    assert "path" in node("pack", inline=0)
    assert target.read_text() == "precious"
