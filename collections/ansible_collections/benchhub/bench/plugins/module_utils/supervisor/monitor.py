"""The monitor: one process per unit, parent of all that the unit ever starts, and the one that ends it."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import select
import sys
import time

from . import processes, status, wire
from .spawning import Context, Gate

_GRACE = 10.0
#: After KILL the kernel only needs a moment; a process stuck in the kernel is told, not waited for.
_KILL_LIMIT = 5.0
_LONGEST_SLEEP = 3600.0
_FULL = "no space left on the disk of %s when it ended: what it wrote may be incomplete"
_NO_SUPERVISOR = "the supervisor was killed"


class Monitor:
    """Runs one unit. The daemon talks to it by JSON lines on a pipe; when that pipe closes, the unit is ended."""

    def __init__(self, config, request, commands, reports, masks):
        self.request = request
        self.masks = masks
        self.folder = os.path.join(config["dir"], ".benchhub", "units", request["unit"])
        self.commands = commands
        self.reports = reports
        self.context = Context(config, request["unit"], request.get("inputs"))
        self.status = status.new(request["unit"], request["kind"], request.get("steps") or [])
        self.release_at = None
        self.stopping = False
        self._buffer = b""
        self._awaited = set()
        self._reaped = {}
        deadline = request.get("deadline")
        self.deadline = time.monotonic() + deadline if deadline else None
        self._poll = select.poll()
        self._poll.register(commands, select.POLLIN)
        self._wakeup, wake = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, lambda _number, _frame: self.stop("sigterm", "its monitor was told to end"))
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll.register(self._wakeup, select.POLLIN)
        self._owns = processes.become_subreaper()

    # -- what the daemon sees -----------------------------------------------------------------------------------

    def report(self, **changes):
        """Writes the status file and tells the daemon."""
        self.status.update(changes)
        self.status["ours_cpu"] = round(time.process_time(), 6)
        try:
            status.write(self.folder, self.status)
        except OSError as error:  # a full disk must not cost the unit: the daemon has the status all the same
            self._complain("its status file cannot be written: %s" % error)
        data = wire.dumps(self.status).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self.reports, data) :]
        except OSError:
            self.stop("supervisor", _NO_SUPERVISOR)

    def _complain(self, text):
        try:
            os.write(2, ("monitor of %s: %s\n" % (self.request["unit"], text)).encode("utf-8", "replace"))
        except OSError:
            return

    def ended(self, state, **changes):
        """The last report of a unit; leftovers of its steps may live on until they are told to end."""
        if status.is_full(self.folder):
            changes["warning"] = _FULL % self.context.run_dir
            if changes.get("error"):
                changes["error"] += " (no space is left on the node's disk)"
        self.report(state=state, end=time.time(), **changes)

    # -- events -------------------------------------------------------------------------------------------------

    def stop(self, by, reason=None):
        """The unit has to end; the first who says so is noted."""
        if not self.stopping:
            self.stopping = True
            self.status.update(ended_by=by, told=by in status.TOLD, reason=reason, stop_at=time.time())

    def why(self):
        """What to say of a unit, or a step of it, that had to end."""
        return self.status.get("reason") or "ended on request"

    def watch(self, descriptor):
        """``until`` looks again whenever this descriptor has something."""
        self._poll.register(descriptor, select.POLLIN)

    def unwatch(self, descriptor):
        """Undoes ``watch``."""
        self._poll.unregister(descriptor)

    def until(self, done, deadline=None, *, even_if_stopping=False):
        """Sleeps until ``done()``; False when the deadline passed or the unit has to stop first."""
        while True:
            self.reap()
            if done():
                return True
            if self.stopping and not even_if_stopping:
                return False
            left = None
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
            self._sleep(left)

    def _sleep(self, seconds):
        try:
            events = self._poll.poll(None if seconds is None else min(seconds, _LONGEST_SLEEP) * 1000 + 1)
        except InterruptedError:
            return
        for descriptor, _event in events:
            if descriptor == self._wakeup:
                _drain(self._wakeup)
            elif descriptor == self.commands:
                self._read_commands()

    def _read_commands(self):
        data = os.read(self.commands, 65536)
        if not data:  # the daemon is gone: nobody will tell this unit to end, so it ends now
            self._poll.unregister(self.commands)
            self.stop("supervisor", _NO_SUPERVISOR)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command = wire.loads(line)
            if command.get("stop"):
                self.stop(command["by"], command.get("reason"))
            if command.get("release") is not None:
                self.release_at = command["release"]

    def reap(self):
        """Takes in every child that has ended."""
        while True:
            try:
                pid, code, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.status["cpu"] = round(self.status["cpu"] + usage.ru_utime + usage.ru_stime, 6)
            if pid in self._awaited:  # orphans of the unit are only reaped: there may be millions of them
                self._awaited.discard(pid)
                self._reaped[pid] = code

    def await_exit(self, pid):
        """Keeps how this child ends until it is asked for."""
        self._awaited.add(pid)

    def spawn(self, step, out, err, gate=None):
        """The pid of a command of this unit; how it ends is kept."""
        pid = self.context.spawn(step, out, err, gate)
        self.await_exit(pid)
        return pid

    def has_ended(self, pid):
        """Whether an awaited child ended, and ``ended_with`` knows how."""
        return pid in self._reaped

    def ended_with(self, pid):
        """(exit code, signal) of a child that ended; one of them is None."""
        code = self._reaped.pop(pid)
        if os.WIFSIGNALED(code):
            return None, os.WTERMSIG(code)
        return os.WEXITSTATUS(code), None

    # -- ending -------------------------------------------------------------------------------------------------

    def alive(self):
        """Whether anything that this unit started still runs."""
        return bool(self._members())

    def _members(self):
        members = [pid for pid in processes.descendants(os.getpid()) if processes.running(pid)]
        if not self._owns:
            members += [pid for pid in processes.marked(self.context.marker) if pid != os.getpid()]
        return members

    def end_all(self, grace):
        """TERM to everything of this unit, then KILL after ``grace`` seconds; True when nothing is left."""
        if self._nothing_left():
            return True
        processes.send(self._members(), signal.SIGTERM)
        if self.gone_by(time.monotonic() + grace):
            return True
        end = time.monotonic() + _KILL_LIMIT
        while time.monotonic() < end:
            processes.send(self._members(), signal.SIGKILL)  # again: a child may have been forked meanwhile
            if self.gone_by(time.monotonic() + 0.05):
                return True
        return self._nothing_left()

    def _nothing_left(self):
        self.reap()
        return not self.alive()

    def gone_by(self, deadline):
        pause = 0.002
        while time.monotonic() < deadline:
            if self._nothing_left():
                return True
            # grandchildren send no SIGCHLD here until they are adopted: look again now and then
            self._sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(0.05, pause * 2)
        return self._nothing_left()

    def linger(self):
        """After a unit has ended: stays the parent of what its steps left in the background, until told to end it."""
        try:
            self.until(lambda: not _has_children())
            self.end_all(self.request.get("grace") or _GRACE)
        finally:
            os.close(self.reports)


def _has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _drain(descriptor):
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return


def runner(kind):
    """The function that runs a unit of that kind."""
    if kind == "service":
        from .services import run  # noqa: PLC0415 - many slots never have one
    else:
        from .steplists import run  # noqa: PLC0415
    return run


def main(config, request, commands, reports, masks, run):
    """Runs one unit to its end; never returns."""
    code = 70
    try:
        monitor = Monitor(config, request, commands, reports, masks)
        try:
            run(monitor, Gate)
            monitor.linger()
            code = 0
        finally:
            if code:
                monitor.end_all(0.5)
    except Exception as error:  # noqa: BLE001 - told in the supervisor's log; the daemon marks the unit as failed
        sys.stderr.write("monitor of %s: %r\n" % (request.get("unit"), error))
        sys.stderr.flush()
    finally:
        os._exit(code)
