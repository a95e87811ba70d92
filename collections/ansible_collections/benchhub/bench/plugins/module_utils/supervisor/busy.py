"""What else is at work on a node as a run begins: the processes that are on a core, or wait for one or for a disk.

One look at /proc, and only where the load says that there is something to see: it is the node's CPU that pays for it.
A process that is always at work is always seen; one that works a tenth of the time is seen in one run of ten.
"""

import os

from . import processes

#: Runnable tasks beside us, or load, from which on it is worth a look.
_LOAD = 0.7
_SHOWN = 5
#: Seconds of CPU below which a process has not been at work for long: a login, another slot's supervisor that starts.
_LONG = 1.0
#: In the environment of whatever benchhub starts, on a node or beside its controller.
_OURS = (("%s=" % processes.MARKER).encode(), b"BENCHHUB_CONTROLLER=")


def others():
    """``java (4711), dd (4712)``: foreign processes at work, those first that have used most CPU; None: none seen."""
    try:
        with open("/proc/loadavg") as file:
            load = float(file.read().split()[0])
        if load < _LOAD:
            return None
        found = sorted(_at_work(), reverse=True)
    except (OSError, ValueError, IndexError):
        return None
    shown = ["%s (%d)" % (name, pid) for _ticks, pid, name in found[:_SHOWN]]
    if len(found) > _SHOWN:
        shown.append("%d more" % (len(found) - _SHOWN))
    return ", ".join(shown) or None


def _at_work():
    """CPU ticks, number and name of the processes that run or wait for a disk, without us and those we come from."""
    stats = {pid: stat for pid, stat in ((pid, _stat(pid)) for pid in processes.every()) if stat}
    related, long = set(), _LONG * os.sysconf("SC_CLK_TCK")
    pid = os.getpid()
    while pid in stats and pid not in related:
        related.add(pid)
        pid = stats[pid]["parent"]
    for pid, stat in stats.items():
        at_work = stat["state"] in ("R", "D") and stat["ticks"] >= long and not stat["kernel"]
        if at_work and pid not in related and not _ours(pid):
            yield stat["ticks"], pid, stat["name"]


def _stat(pid):
    """What decides whether a process is at work; None when it has ended."""
    found = processes.stat(pid)
    if found is None:
        return None
    name, fields = found
    return {
        "name": name,
        "state": fields[0],
        "parent": int(fields[1]),
        "kernel": bool(int(fields[6]) & 0x00200000),  # PF_KTHREAD
        "ticks": int(fields[11]) + int(fields[12]),
    }


def _ours(pid):
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return False
    return any(variable.startswith(_OURS) for variable in variables)
