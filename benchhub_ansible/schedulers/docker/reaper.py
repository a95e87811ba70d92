"""Removes the nodes of a run that were kept (``--keep``) when their time is over, in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.docker import access, containers
from benchhub_ansible.schedulers.docker.engine import Engine

_POLL = 1.0
_AGAIN = 60.0


def start(run_id: str, until: float) -> None:
    """Starts the process; it ends at that time (epoch seconds), or as soon as the run's nodes have been released."""
    command = ["setsid", "--fork", sys.executable, "-m", __name__, run_id, str(until)]
    silent = subprocess.DEVNULL
    try:
        subprocess.run(command, stdin=silent, stdout=silent, stderr=silent, cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SchedulerError(f"nothing can be started that would remove the nodes in time: {error}") from None


def reap(run_id: str, until: float) -> None:
    """Waits, and removes what is left; tries again while the engine does not answer."""
    keys = access.directory(run_id)
    while keys.exists():
        if time.time() < until:
            time.sleep(min(_POLL, max(0.0, until - time.time())))
            continue
        with contextlib.suppress(SchedulerError):
            containers.remove(Engine(), run_id)
            access.remove(keys, run_id)
            return
        time.sleep(_AGAIN)


if __name__ == "__main__":
    reap(sys.argv[1], float(sys.argv[2]))
