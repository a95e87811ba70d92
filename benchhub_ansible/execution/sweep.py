"""Ends what a run's controller left on its machine: Ansible workers, ssh clients and their shared connections.

ansible-runner cancels with SIGKILL, and Ansible's workers lead sessions of their own, so they outlive it. Everything
that a launch starts carries the run's id in its environment; that is how it is found again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil

#: The variable that marks what belongs to a run's controller.
MARKER = "BENCHHUB_CONTROLLER"
_GRACE = 0.5


def left_over(run_id: str) -> list[psutil.Process]:
    """The processes of this user that a launch of the run started.

    On `local` Ansible starts the supervisors of the nodes too, but these take the mark off themselves: teardown or
    their lease ends them, with everything below, in order.
    """
    found = []
    user = os.getuid()
    for process in psutil.process_iter():
        # A process may end while it is looked at, or belong to somebody else.
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.uids().real != user:
                continue
            if process.environ().get(MARKER) == run_id or _shares_connection(process, run_id):
                found.append(process)
    return found


def _shares_connection(process: psutil.Process, run_id: str) -> bool:
    """Whether it is an ssh that waits on a control socket of the run: it writes its title over its environment."""
    title = " ".join(process.cmdline())
    return title.startswith(f"ssh: {control_path_dir(run_id)}/") and "[mux]" in title


def sweep(run_id: str) -> int:
    """Ends the left-over processes, TERM first, and returns how many there were."""
    found = left_over(run_id)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in _alive_after_grace(found):
        with contextlib.suppress(psutil.Error):
            process.kill()
    _alive_after_grace(found)
    return len(found)


def _alive_after_grace(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run when all had time to end; a zombie has ended, however long its parent lets it lie."""
    deadline = time.monotonic() + _GRACE
    alive = processes
    while alive and time.monotonic() < deadline:
        _, alive = psutil.wait_procs(alive, timeout=0.01)
        alive = [process for process in alive if not _is_zombie(process)]
    return alive


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True  # gone by now


def control_path_dir(run_id: str) -> Path:
    """The folder for ssh's control sockets: short, because a socket's path has at most 108 bytes."""
    return Path(tempfile.gettempdir()) / f"bh-{os.getuid()}-{run_id[:15]}-{run_id[-4:]}"


def make_control_path_dir(run_id: str) -> Path:
    """Makes that folder, ours alone."""
    path = control_path_dir(run_id)
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid() or path.is_symlink():
        return Path(tempfile.mkdtemp(prefix="bh-"))
    return path


def remove_control_path_dir(run_id: str) -> None:
    """Removes it with the sockets in it."""
    shutil.rmtree(control_path_dir(run_id), ignore_errors=True)
