"""Which process this is, in a text that another process of the same host can later ask about."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

_UNKNOWN = "unknown"


def me() -> str:
    """The text of this process: the boot it lives in, its PID namespace, its number and when it was started."""
    return f"{_boot()}/{_namespace()}/{os.getpid()}/{_started(os.getpid())}"


def gone(process: str) -> bool:
    """Whether that process has surely ended; False also where nobody can tell, such as from another container."""
    match = re.fullmatch(r"([^/]*)/([^/]*)/(\d+)/([^/]*)", process)
    if match is None:
        return False
    boot, namespace, pid, started = match.groups()
    if _UNKNOWN in (boot, _boot()):
        return False
    if boot != _boot():
        return True
    return namespace == _namespace() and _started(int(pid)) != started


@functools.cache  # it stays the same as long as this process lives
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _UNKNOWN


@functools.cache
def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN


def _started(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat; None when there is no such process, or only what its parent has not read yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
