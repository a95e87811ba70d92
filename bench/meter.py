"""Runs one command and tells what it and everything it ever started cost: wall time, exit code, CPU.

meter.py RESULT.json LOG ARGV…: the meter is a *child subreaper*: a process whose parent has gone (an ssh master that
went to the background, a detached worker) becomes the meter's child, so it is ended, waited for and counted too. What
the command leaves running is ended after the clock has stopped; its CPU counts, its wall time does not.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_GRACE = 5.0


def become_subreaper() -> None:
    """Orphans below this process become its children from now on (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def end_all() -> list[str]:
    """The command lines of what was still running, after all of it has ended and was waited for."""
    left = descendants()
    names = [_command(process) for process in left]
    for process in left:
        if process.is_running():
            process.terminate()
    deadline = time.monotonic() + _GRACE
    while _reap():
        if time.monotonic() > deadline:
            for process in descendants():
                process.kill()
        time.sleep(0.01)
    return [name for name in names if name]


def wait_for(pid: int) -> int:
    """The exit code of that child. Orphans that end meanwhile are taken too, as init does."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def children_cpu() -> float:
    """CPU seconds, user and system, of all descendants that have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""  # it ended meanwhile, or is a zombie that _reap will take


def _reap() -> bool:
    """Whether any child is left after those that have ended were waited for."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def main(result: str, log: str, *argv: str) -> None:
    become_subreaper()
    with Path(log).open("wb") as output:
        begin = time.monotonic()
        command = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        code = wait_for(command.pid)
        wall = time.monotonic() - begin
    left = end_all()
    Path(result).write_text(json.dumps({"wall": wall, "exit": code, "cpu": children_cpu(), "left": left}))


if __name__ == "__main__":
    main(*sys.argv[1:])
