"""What a node is, and what else it does: read from a few files of /proc and /sys, without starting a process."""

import os
import sys

from . import busy


def read():
    """The facts of this node; what cannot be read is None, and so is ``busy`` where nothing else is at work."""
    system = os.uname()
    cpu = _text("/proc/cpuinfo") or ""
    return {
        "hostname": system.nodename,
        "kernel": "%s %s" % (system.sysname, system.release),
        "machine": system.machine,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
        "os": _line(_text("/etc/os-release"), "PRETTY_NAME=", strip='"\n'),
        "cpu": _line(cpu, "model name", after=":"),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "numa_nodes": _count(_text("/sys/devices/system/node/online")),
        "clocksource": _text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "virtualization": _virtualization(cpu),
        "load": _load(),
        "busy": busy.others(),
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


def _line(text, start, after=None, strip=None):
    for line in (text or "").splitlines():
        if line.startswith(start):
            value = line.split(after, 1)[1] if after else line[len(start) :]
            return value.strip().strip(strip)
    return None


def _memory():
    kib = _line(_text("/proc/meminfo"), "MemTotal:")
    return int(kib.split()[0]) * 1024 if kib else None


def _load():
    """The load average of the last minute."""
    text = _text("/proc/loadavg")
    return float(text.split()[0]) if text else None


def _count(ranges):
    """How many numbers a list such as ``0-1,4`` of the kernel names; None when it is none."""
    try:
        ends = [part.split("-") for part in ranges.split(",")]
        return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)
    except (AttributeError, ValueError):
        return None


def _virtualization(cpu):
    """``container``, ``virtual machine`` with what its firmware calls itself, ``none``, or None where nothing tells."""
    if (
        os.path.exists("/.dockerenv")
        or os.path.exists("/run/.containerenv")
        or os.path.exists("/run/systemd/container")
    ):
        return "container"
    flags = _line(cpu, "flags", after=":")
    if flags is None:
        return None
    if "hypervisor" not in flags.split():
        return "none"
    firmware = _text("/sys/class/dmi/id/product_name")
    return "virtual machine (%s)" % firmware if firmware else "virtual machine"
