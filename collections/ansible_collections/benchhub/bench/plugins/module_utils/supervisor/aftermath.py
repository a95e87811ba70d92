"""What a command has to have done after its end, whatever its end was: removing the container it ran, say.

A step or service may carry ``after``, a command like itself; with ``only: unfinished`` it runs only when its command
did not end by itself. What it prints, a JSON list, is kept as ``containers`` of its record. A request may carry
``sweeps``: they run once everything on the slot has ended, and print a line for each thing that is still there.
"""

import _signal as signal
import os
import time

from . import processes, status, wire

_LIMIT = 60.0


def follow(monitor, step, record, stem):
    """None, or why what follows a command could not be done; its record says what it told."""
    after = step.get("after")
    if not after or (after.get("only") == "unfinished" and record.get("state") in ("ok", "failed")):
        return None
    out, err = (os.path.join(monitor.folder, "%s.after.%s" % (stem, end)) for end in ("out", "err"))
    pid = monitor.spawn(after, out, err)
    if not monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + _LIMIT, even_if_stopping=True):
        processes.send([pid, *processes.descendants(pid)], signal.SIGKILL)
        monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + 5.0, even_if_stopping=True)
        return "what it started could not be removed within %g s" % _LIMIT
    code, _signal = monitor.ended_with(pid)
    told = _containers(out)
    if told:
        record["containers"] = told
    if code != 0:
        return "what it started could not be removed: %s" % _last_line(err, monitor.masks)
    for path in (out, err):
        os.unlink(path)
    return None


def cause(record):
    """Why a container ended, where its engine knows more than an exit code; else None."""
    killed = any(isinstance(one, dict) and one.get("oom") is True for one in record.get("containers") or [])
    return "the kernel killed its container for want of memory" if killed else None


def _containers(path):
    try:
        with open(path, "rb") as file:
            told = wire.loads(file.read())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, list) else None


def _last_line(path, masks=()):
    return " ".join(status.tail([path], masks, lines=1)) or "nobody knows why"


def afters(request):
    """The commands that follow those of a unit, for when its monitor is not there to run them."""
    steps = request.get("steps") or [request.get("service") or {}]
    return [step["after"] for step in steps if step.get("after")]


def run_all(context, folder, steps):
    """Runs commands one after the other, in a forked child of the daemon; the lines they print, or why they cannot."""
    lines = []
    for number, step in enumerate(steps, 1):
        out, err = (os.path.join(folder, "sweep-%d-%d.%s" % (os.getpid(), number, end)) for end in ("out", "err"))
        code = _ended_by(context.spawn(step, out, err), time.monotonic() + _LIMIT)
        lines += status.tail([out], lines=1000)
        if code != 0:
            lines.append("it could not be looked for what is left: %s" % _last_line(err))
        for path in (out, err):
            os.unlink(path)
    return {"left": lines}


def _ended_by(pid, deadline):
    pause = 0.002
    while time.monotonic() < deadline:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            return code
        time.sleep(pause)
        pause = min(0.05, pause * 2)
    processes.send([pid, *processes.descendants(pid)], signal.SIGKILL)
    return os.waitpid(pid, 0)[1]
