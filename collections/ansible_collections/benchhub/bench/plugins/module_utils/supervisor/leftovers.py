"""What a slot holds when nobody serves it any more: finding it by its marks, ending it, and removing its files.

A supervisor can be killed together with its monitors, or its folder be removed below it. What they ran is found by the
mark in its environment, by where its program, its outputs or its working directory are, or as a descendant of what is
found so; a supervisor and its monitors by their command line. Who looks at the run folder from a terminal, or reads a
file of it, is let alone.
"""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import time

from . import asyncjobs, processes, wire
from .folders import remove_tree

#: A supervisor that lives ends its units in order, with their shutdown commands; that may take as long as this.
_ORDER_LIMIT = 60.0
_GRACE = 2.0
#: The last part of the mark of what Ansible runs itself; no unit can have this name.
_MODULE = b"~ansible"


class Leftovers:
    """The processes and files of one slot of a run."""

    def __init__(self, run, slot, folder):
        self._folder = folder
        self._mark = ("%s=%s/%s/" % (processes.MARKER, run, slot)).encode()
        self._modules = self._mark + _MODULE
        self._outputs = os.path.join(folder, ".benchhub", "units", "")
        self._own = _ancestors()
        self._sessions = set()  # of async jobs, and the folders of their wrappers: kept, as a wrapper may end first
        self._scratch = set()

    def supervisors(self):
        """The supervisor and its monitors, parents before their children."""
        found = [pid for pid in processes.every() if pid not in self._own and self._is_supervisor(pid)]
        return sorted(found, key=lambda pid: processes.parent(pid) in found)

    def processes(self):
        """Everything of the slot that runs, supervisors too."""
        roots = self.supervisors()
        roots += [pid for pid in processes.every() if self._is_marked(pid) or self._lives_below(pid)]
        roots += self.modules()
        return self._with_descendants(roots)

    def _with_descendants(self, roots):
        """These and all below them that runs, without us and those we come from."""
        found = dict.fromkeys(roots)
        for pid in roots:
            found.update(dict.fromkeys(processes.descendants(pid)))
        return [pid for pid in found if pid not in self._own and processes.running(pid)]

    def end(self):
        """Ends all of it; returns how many processes there were, and those that could not be ended."""
        first = self.processes()
        supervisors = self.supervisors()
        if supervisors:
            processes.send(supervisors[:1], signal.SIGTERM)
            self._gone_by(time.monotonic() + _ORDER_LIMIT, but=supervisors[:1])
        else:
            processes.send(first, signal.SIGTERM)
            self._gone_by(time.monotonic() + _GRACE)
        processes.kill_all(self.processes)
        self._remove_scratch()
        return len(first), self.processes()

    def remove(self):
        """Removes the run folder, and its parent when this was the last slot in it; returns what is left of it."""
        left = remove_tree(self._folder)
        try:
            os.rmdir(os.path.dirname(self._folder))
        except OSError:
            return left  # another slot of the run has its folder there
        return left

    def _gone_by(self, deadline, but=()):
        self._wait(lambda: [pid for pid in self.processes() if pid not in but], deadline)

    @staticmethod
    def _wait(find, deadline):
        pause = 0.01
        while time.monotonic() < deadline and find():
            time.sleep(pause)
            pause = min(0.2, pause * 2)

    def _is_supervisor(self, pid):
        """By the command line that module_utils/bootstrap.py starts it with; a fork of it has the same."""
        words = processes.arguments(pid)
        return len(words) == 9 and words[-4] == os.fsencode(self._folder) and b"benchhub_supervisor" in words[-5]

    def modules(self):
        """What Ansible itself runs here for the job, modules and roles, and everything below it.

        Ansible marks all that it starts, daemons of the node too (sshd started anew, say), which are not ours to end.
        A module lives in the session of the connection, whose leader has no mark; a daemon in one of its own, or in one
        whose leader is gone; an async job in the session of its wrapper, whose leader is gone as well.
        """
        wrappers = [pid for pid in asyncjobs.wrappers(self._folder) if self._of_ansible(pid)]
        self._sessions |= asyncjobs.sessions(wrappers)
        self._scratch.update(map(asyncjobs.scratch, wrappers))
        return self._with_descendants([pid for pid in processes.every() if self._is_module(pid)])

    def end_modules(self):
        """Ends those; returns how many there were."""
        first = self.modules()
        if first:
            processes.send(first, signal.SIGTERM)
            self._wait(self.modules, time.monotonic() + _GRACE)
            processes.kill_all(self.modules)
        self._remove_scratch()
        return len(first)

    def _remove_scratch(self):
        for folder in self._scratch:
            asyncjobs.remove(folder)

    def _is_module(self, pid):
        if not self._of_ansible(pid):
            return False
        leader = asyncjobs.session(pid)
        return leader in self._sessions or (processes.running(leader or 0) and not self._of_ansible(leader))

    def _of_ansible(self, pid):
        return self._modules in _content(pid, "environ").split(b"\0")

    def _is_marked(self, pid):
        found = [item for item in _content(pid, "environ").split(b"\0") if item.startswith(self._mark)]
        return bool(found) and found[0] != self._modules

    def _lives_below(self, pid):
        """A program of the run folder, or one that writes an output there, or works there without a terminal."""
        if any(_link(pid, name).startswith(self._outputs) for name in ("fd/1", "fd/2")):
            return True
        below = os.path.join(self._folder, "")
        if _link(pid, "exe").startswith(below):
            return True
        return (_link(pid, "cwd").replace(" (deleted)", "") + "/").startswith(below) and processes.terminal(pid) == 0


def _ancestors():
    """This process and all above it."""
    found, pid = [], os.getpid()
    while pid > 0:
        found.append(pid)
        pid = processes.parent(pid)
    return found


def _link(pid, name):
    try:
        return os.readlink("/proc/%d/%s" % (pid, name))
    except OSError:
        return ""


def _content(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


def main(config):
    """Ends and removes what ``config`` (run, slot, dir, async_dir) names; prints one JSON line."""
    left = Leftovers(config["run"], config["slot"], config["dir"])
    there = os.path.lexists(config["dir"])
    count, alive = left.end()
    reply = {"ok": True, "ended": count, "found": there or count > 0, "left": left.remove()}
    reply["left"] += ["process %d" % pid for pid in alive]
    _remove_jobs(config)
    os.write(1, wire.dumps(reply).encode() + b"\n")


def _remove_jobs(config):
    """The files of this slot's services for async_status."""
    folder = os.path.expanduser(config["async_dir"])
    start = "benchhub.%s.%s." % (config["run"], config["slot"])
    try:
        for name in os.listdir(folder):
            if name.startswith(start):
                os.unlink(os.path.join(folder, name))
    except OSError:
        return
