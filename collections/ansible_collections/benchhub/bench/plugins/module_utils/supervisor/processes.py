"""Processes: owning whatever a unit ever starts, finding it again, and ending it."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import time

_PR_SET_CHILD_SUBREAPER = 36

#: Every process of a unit carries this variable, RUN/SLOT/UNIT: the second way to find it.
MARKER = "BENCHHUB_UNIT"


def become_subreaper():
    """Makes this process the parent of every orphan below it, so that nothing that daemonises gets away.

    The kernel clears the attribute on fork (prctl(2)), so each monitor asks for itself. False where it cannot be had.
    """
    try:
        return _prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
    except (ImportError, OSError, AttributeError):
        return False


def _prctl(option, value):
    try:
        import _ctypes as low  # noqa: PLC0415 - the package around it costs 4 ms of CPU

        address = low.dlsym(low.dlopen(None, 0), "prctl")
        return low.call_function(address, (option, value, 0, 0, 0))
    except (AttributeError, TypeError):
        import ctypes  # noqa: PLC0415 - some minimal Pythons lack it

        return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def children(pid):
    """The direct children of a process; an empty list when it is gone."""
    found = []
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return found
    for task in tasks:
        try:
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                found.extend(int(child) for child in file.read().split())
        except FileNotFoundError:
            if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
                return _children_by_scan(pid)  # a kernel without CONFIG_PROC_CHILDREN
        except OSError:
            continue
    return found


def _children_by_scan(pid):
    return [child for child in every() if parent(child) == pid]


def every():
    """The processes of this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stat(pid):
    """The name of a process and the fields that follow it, its state first (proc_pid_stat(5)); None when it is gone."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            name, fields = file.read().decode("utf-8", "replace").split("(", 1)[1].rsplit(")", 1)
    except (OSError, IndexError, ValueError):
        return None
    return name, fields.split()


def parent(pid):
    """The parent of a process; -1 when it is gone."""
    found = stat(pid)
    return int(found[1][1]) if found else -1


def arguments(pid):
    """The command line of a process; empty when it is gone."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def started(pid):
    """When a process began, seconds since 1970, exact to a tick of 10 ms; now when it is gone."""
    now = time.time()
    found = stat(pid)
    if found is None:
        return now
    return now - time.clock_gettime(time.CLOCK_BOOTTIME) + int(found[1][19]) / os.sysconf("SC_CLK_TCK")


def owner(pid):
    """The effective user of a process; None when it is gone."""
    try:
        return os.stat("/proc/%d" % pid).st_uid
    except OSError:
        return None


def terminal(pid):
    """The number of a process's controlling terminal; 0 when it has none, or is gone."""
    found = stat(pid)
    return int(found[1][4]) if found else 0


def descendants(pid):
    """Everything below a process, parents before their children."""
    found = {}  # in order, and without the time a list would take to be searched
    todo = [pid]
    while todo:
        for child in children(todo.pop()):
            if child not in found:
                found[child] = True
                todo.append(child)
    return list(found)


def marked(marker):
    """The processes whose environment carries a marker, or one below it when it ends in a slash.

    Those of other users are not readable without root.
    """
    wanted = ("%s=%s" % (MARKER, marker)).encode()
    found = []
    for pid in every():
        try:
            with open("/proc/%d/environ" % pid, "rb") as file:
                variables = file.read().split(b"\0")
            if any(item == wanted or (marker[-1:] == "/" and item.startswith(wanted)) for item in variables):
                found.append(pid)
        except OSError:
            continue
    return found


def running(pid):
    """Whether a process exists and is no zombie."""
    found = stat(pid)
    return found is not None and found[1][0] not in ("Z", "X")


def send(pids, number):
    """Sends a signal to each; one that ended meanwhile is no error."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def kill_all(find, limit=5.0):
    """Ends what ``find()`` returns with KILL, again until nothing new turns up; True when nothing is left."""
    end = time.monotonic() + limit
    pause = 0.001
    while True:
        found = [pid for pid in find() if pid != os.getpid() and running(pid)]
        if not found:
            return True
        if time.monotonic() >= end:
            return False
        send(found, signal.SIGKILL)
        time.sleep(pause)
        pause = min(0.05, pause * 2)
