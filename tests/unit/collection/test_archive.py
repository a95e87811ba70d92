"""What a node sends can neither leave its folder nor fill the disk."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.benchhub.bench.plugins.plugin_utils import archive


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    stream.seek(0)
    return stream


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def test_files_and_folders_are_written(tmp_path: Path) -> None:
    stream = packed(
        (member("units", tarfile.DIRTYPE), b""), (member("units/a/01.out"), b"x\n"), (member("files/var/log/l"), b"")
    )
    assert archive.unpack(stream, tmp_path / "db") == 3
    assert (tmp_path / "db/units/a/01.out").read_bytes() == b"x\n"
    assert (tmp_path / "db/files/var/log/l").read_bytes() == b""


def test_special_permissions_are_not_taken_over(tmp_path: Path) -> None:
    archive.unpack(packed((member("tool", mode=0o6777), b"x")), tmp_path)
    assert (tmp_path / "tool").stat().st_mode & 0o7777 == 0o644 & ~_umask()


def _umask() -> int:
    return int(Path("/proc/self/status").read_text().split("Umask:")[1].split()[0], 8)


@pytest.mark.parametrize(
    "info",
    [
        member("/etc/passwd"),
        member("../outside"),
        member("a/../../outside"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "../outside"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name,
)
def test_what_steps_out_is_refused(info: tarfile.TarInfo, tmp_path: Path) -> None:
    with pytest.raises(archive.BadArchiveError) as error:
        archive.unpack(packed((info, b"")), tmp_path / "db")
    assert info.name in str(error.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "db"]
    assert list((tmp_path / "db").iterdir()) == []


def test_a_link_that_already_stands_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "db").mkdir()
    (tmp_path / "db/files").symlink_to(tmp_path / "outside")
    with pytest.raises(archive.BadArchiveError):
        archive.unpack(packed((member("files/x"), b"x")), tmp_path / "db")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_linked_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "db").mkdir()
    (tmp_path / "db/x").symlink_to(tmp_path / "kept")
    archive.unpack(packed((member("x"), b"new")), tmp_path / "db")
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "db/x").read_text() == "new"


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SIZE_LIMIT", 10)
    with pytest.raises(archive.BadArchiveError, match="larger"):
        archive.unpack(packed((member("a"), b"123456"), (member("b"), b"123456")), tmp_path)
    monkeypatch.setattr(archive, "COUNT_LIMIT", 1)
    with pytest.raises(archive.BadArchiveError, match="larger"):
        archive.unpack(packed((member("a", tarfile.DIRTYPE), b""), (member("b"), b"")), tmp_path / "second")


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08\x00" + b"\x00" * 40])
def test_garbage_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(archive.BadArchiveError):
        archive.unpack(io.BytesIO(data), tmp_path)


def test_half_an_archive_is_refused(tmp_path: Path) -> None:
    whole = packed((member("a"), bytes(range(256)) * 2000)).getvalue()
    with pytest.raises(archive.BadArchiveError):
        archive.unpack(io.BytesIO(whole[: len(whole) // 2]), tmp_path)
