"""Unpacking what a node sent: only plain files and folders, only below the destination, only so many bytes."""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath

#: What one node may fill of the controller's disk, bytes.
SIZE_LIMIT = 8 * 2**30
COUNT_LIMIT = 200_000
_CHUNK = 1 << 20


class BadArchiveError(Exception):
    """An archive that breaks a rule; the message names the member."""


def unpack(stream, destination):
    """The number of files and folders made below ``destination``; BadArchiveError when one is damaged or steps out.

    Members are written as the controller's user with mode 0644 (folders 0755), whatever the archive says.
    """
    root = Path(destination)
    root.mkdir(parents=True, exist_ok=True)
    total = count = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as archive:
            for member in archive:
                target = _target(root, member)
                count += 1
                total += member.size
                if total > SIZE_LIMIT or count > COUNT_LIMIT:
                    raise BadArchiveError("it is larger than a node may send")
                if member.isdir():
                    _folder(root, target)
                    continue
                _folder(root, target.parent)
                _write(archive.extractfile(member), target)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise BadArchiveError(f"the archive cannot be unpacked: {error}") from error
    return count


def _target(root, member):
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise BadArchiveError(f"{member.name!r} would be written outside of its folder")
    if not (member.isfile() or member.isdir()):
        raise BadArchiveError(f"{member.name!r} is neither a file nor a folder")
    return root.joinpath(*path.parts)


def _folder(root, folder):
    """Makes a folder below root; a link on the way, whoever made it, is refused."""
    current = root
    for part in folder.relative_to(root).parts:
        current = current / part
        if current.is_symlink():
            raise BadArchiveError(f"{current} is a link")
        current.mkdir(mode=0o755, exist_ok=True)


def _write(source, target):
    # O_EXCL on a fresh name: a link that stands there is replaced, never followed
    target.unlink(missing_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
    with os.fdopen(handle, "wb") as out:
        while chunk := source.read(_CHUNK):
            out.write(chunk)
