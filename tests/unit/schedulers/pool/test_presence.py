"""A process is told from another that got its number, and what cannot be known is not claimed."""

from __future__ import annotations

import os
import subprocess
import sys

from benchhub_ansible.schedulers.pool import presence

OTHER = "import benchhub_ansible.schedulers.pool.presence as p, sys; print(p.me(), flush=True); sys.stdin.read()"


def test_a_process_is_there_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        other = process.stdout.readline().decode().strip()
        assert not presence.gone(other)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert presence.gone(other), "a process that only waits to be reaped has ended"
    assert presence.gone(other)


def test_the_same_number_in_another_life_is_another_process() -> None:
    boot, namespace, pid, started = presence.me().split("/")
    assert not presence.gone(presence.me())
    assert presence.gone(f"{boot}/{namespace}/{pid}/{int(started) - 1}")
    assert presence.gone(f"another-boot/{namespace}/{pid}/{started}")


def test_nothing_is_claimed_of_another_container() -> None:
    boot, _, pid, _ = presence.me().split("/")
    assert not presence.gone(f"{boot}/pid:[1]/{pid}/1")
    assert not presence.gone("what is this")
