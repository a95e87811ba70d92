"""N ssh nodes on loopback, and what everything that ran on them cost.

nodes.py DIR COUNT: prints one JSON line when the nodes are up. A line on stdin asks what still runs on them besides
sshd (nothing should, once a job is over). At the end of stdin the nodes are ended and the CPU seconds printed: of the
sshd masters, their sessions, and all that was ever started by them, however it detached itself.

There are two processes: one holds the nodes, the other is the init above them, which takes every orphan at once (a
command that waits for a pid to go away must not see a zombie) and so counts every process.
"""

import getpass
import json
import os
import sys
import time
from pathlib import Path

import psutil
from meter import become_subreaper, children_cpu, end_all, wait_for

from benchhub_ansible.testing.sshd import SshFarm

_SETTLE = 8.0  # Ansible's async_wrapper looks every 5 s whether its command has ended; this time is not counted


def still_running(init: psutil.Process) -> list[str]:
    """Command lines of all but sshd on the nodes, after a moment for sessions that are just ending."""
    deadline = time.monotonic() + _SETTLE
    while True:
        left = [line for process in init.children(recursive=True) for line in _not_idle(process)]
        if not left or time.monotonic() > deadline:
            return [line for line in left if not line.startswith("sshd")]
        time.sleep(0.02)


def _not_idle(process: psutil.Process) -> list[str]:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return []
        if process.name() == "sshd" and process.ppid() == os.getpid():  # a master
            return []
        return [" ".join(process.cmdline()).strip()]
    except psutil.Error:
        return []


def hold(directory: str, count: str) -> None:
    init = psutil.Process(os.getppid())
    with SshFarm(Path(directory), int(count)) as farm:
        where = {
            "addresses": farm.addresses,
            "inventory": str(farm.inventory),
            "known_hosts": str(farm.directory / "known_hosts"),
            "ssh_key": str(farm.key),
            "ssh_port": farm.port,
            "ssh_user": getpass.getuser(),
        }
        print(json.dumps(where), flush=True)
        for _ in sys.stdin:
            print(json.dumps(still_running(init)), flush=True)


def main(directory: str, count: str) -> None:
    become_subreaper()
    holder = os.fork()
    if holder == 0:
        hold(directory, count)
        os._exit(0)
    if wait_for(holder) != 0:
        raise SystemExit("the nodes could not be held")
    end_all()
    print(json.dumps(children_cpu()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
