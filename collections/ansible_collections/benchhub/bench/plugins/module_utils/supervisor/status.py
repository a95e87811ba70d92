"""The status of a unit: one JSON file that is never half written, and the last lines of an output."""

import os

from . import wire

#: A unit in one of these states runs no more.
ENDED = ("ok", "failed", "stopped", "killed")

#: ``ended_by``: who ended a unit, None when it ended by itself. A call or the end of a hold had the controller's word.
TOLD = ("request", "hold")

_TAIL_BYTES = 16 * 1024
_LINE_LIMIT = 500


def new(unit, kind, steps):
    """The status of a unit that has not begun."""
    status = {
        "unit": unit,
        "kind": kind,
        "state": "running",
        "error": None,
        "start": None,
        "end": None,
        "cpu": 0.0,
        "ours_cpu": 0.0,
        "told": False,
        "ended_by": None,
        "stop_at": None,
        "pid": None,
        "exit": None,
        "signal": None,
    }
    if kind == "steps":
        status["steps"] = [
            {
                "index": number,
                "name": step.get("name") or "",
                "state": "pending",
                "rc": None,
                "signal": None,
                "start": None,
                "end": None,
                "attempts": 0,
                "stdout": "%02d.out" % number,
                "stderr": "%02d.err" % number,
            }
            for number, step in enumerate(steps, 1)
        ]
    return status


def write(folder, status):
    """Replaces the status file; a reader sees the old or the new one, whole."""
    beside = os.path.join(folder, "status.json.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        data = wire.dumps(status).encode()
        while data:
            data = data[os.write(handle, data) :]
    finally:
        os.close(handle)
    os.rename(beside, os.path.join(folder, "status.json"))


def is_full(folder):
    """Whether this user can write nothing more there."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return False  # the folder itself is gone
    return facts.f_blocks > 0 and (facts.f_bfree if os.geteuid() == 0 else facts.f_bavail) == 0


def tail(paths, masks=(), lines=20):
    """The last lines of the first of these files that holds any; secrets hidden, long lines cut, odd bytes replaced."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                text = _last(file, masks).decode("utf-8", "replace")
        except OSError:
            continue
        found = [line[:_LINE_LIMIT] for line in text.splitlines() if line.strip()]
        if found:
            return found[-lines:]
    return []


def _last(file, masks):
    """The last bytes of a file; before anything else is cut, because half a secret would be none to look for."""
    begin = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
    if not masks:
        file.seek(begin)
        return file.read()
    from .masking import apart, hidden, mask_forms  # noqa: PLC0415 - only where there are secrets

    forms = mask_forms(masks)
    file.seek(apart(file, begin, forms)[1] if begin else 0)
    return hidden(file.read(), forms)
