"""Many controllers on one pool, a part of them killed with SIGKILL: a program of its own, since it forks.

Every controller takes a lock (flock) of each machine it has been given while it uses it: the kernel frees the locks of
the dead at once, so a lock that is taken shows a machine that was given twice, whatever the book of leases says.
"""

# ruff: noqa: S311, T201 - chance needs no secrecy, and what it prints is its result
from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from benchhub_ansible.schedulers.base import Loss
from benchhub_ansible.schedulers.pool.scheduler import PoolScheduler
from benchhub_ansible.testing.scheduler_contract import request_of

NEEDS: tuple[dict[str, int], ...] = (
    {"loader": 1},
    {"loader": 2},
    {"database": 1},
    {"database": 1, "loader": 2},
    {"loader": 4},
)
GIVEN_TWICE, LOST = 3, 4


def controller(lab: Path, number: int, begin: int) -> int:
    """One run: waits, uses its machines for a moment, gives them back. The exit code of its process."""
    chance = random.Random(number)
    pool = PoolScheduler.from_where(str(lab))
    os.read(begin, 1)  # all begin when the other end is closed
    request = request_of(**NEEDS[number % len(NEEDS)])
    allocation = pool.acquire(request, run_id=f"run-{number:03d}", progress=lambda _: None, cancelled=lambda: False)
    lost: list[Loss] = []
    with pool.keep(allocation, lost.append):
        locks = [os.open(lab.parent / f"{node.host}.lock", os.O_RDWR | os.O_CREAT, 0o600) for node in allocation.nodes]
        try:
            for lock in locks:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return GIVEN_TWICE
        time.sleep(chance.uniform(0.02, 0.15))
        for lock in locks:
            os.close(lock)
    pool.release(allocation)
    return LOST if lost else 0


def start(lab: Path, number: int, begin: int, other_end: int) -> int:
    """The process number of a new controller."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(other_end)
            code = controller(lab, number, begin)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    return pid


def kill_some(lab: Path, living: dict[int, int], count: int, chance: random.Random) -> dict[int, float]:
    """Kills so many controllers at random instants, every other one with machines where one has any; when each was."""
    pool, killed = PoolScheduler.from_where(str(lab)), dict[int, float]()
    while len(killed) < count:
        time.sleep(chance.expovariate(10))
        holders = sorted({int(node.lease[4:]) for node in pool.nodes() if node.lease} - killed.keys())
        candidates = holders if holders and len(killed) % 2 else sorted(living.keys() - killed.keys())
        number = chance.choice(candidates)
        if os.waitid(os.P_PID, living[number], os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            continue  # it has run to its end
        when = time.time()
        os.kill(living[number], signal.SIGKILL)
        ended = os.waitid(os.P_PID, living[number], os.WEXITED | os.WNOWAIT)
        if ended is not None and ended.si_code == os.CLD_KILLED:  # else it came to its end just before
            killed[number] = when
    return killed


def main() -> None:
    lab, count, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    PoolScheduler.from_where(str(lab)).nodes()
    begin, other_end = os.pipe()
    living = {number: start(lab, number, begin, other_end) for number in range(count)}
    os.close(other_end)
    began = time.time()
    killed = kill_some(lab, living, kills, random.Random(seed))
    codes = {number: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for number, pid in living.items()}
    print(json.dumps({"killed": killed, "codes": codes, "took": time.time() - began}))


if __name__ == "__main__":
    main()
