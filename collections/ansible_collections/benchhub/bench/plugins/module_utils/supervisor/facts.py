"""What a node is: read from /proc, without starting a process."""

import os
import sys


def read():
    """The facts of this node; what cannot be read is None."""
    system = os.uname()
    return {
        "hostname": system.nodename,
        "kernel": "%s %s" % (system.sysname, system.release),
        "machine": system.machine,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
        "os": _line("/etc/os-release", "PRETTY_NAME=", strip='"\n'),
        "cpu": _line("/proc/cpuinfo", "model name", after=":"),
        "clocksource": _text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "python": sys.version.split()[0],
        "uid": os.geteuid(),
    }


def _text(path):
    try:
        with open(path) as file:
            return file.read(4096).strip()
    except (OSError, UnicodeDecodeError):
        return None


def _line(path, start, after=None, strip=None):
    for line in (_text(path) or "").splitlines():
        if line.startswith(start):
            value = line.split(after, 1)[1] if after else line[len(start) :]
            return value.strip().strip(strip)
    return None


def _memory():
    kib = _line("/proc/meminfo", "MemTotal:")
    return int(kib.split()[0]) * 1024 if kib else None
