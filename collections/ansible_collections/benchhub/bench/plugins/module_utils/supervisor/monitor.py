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

#: What a monitor says when nothing of its unit is left and it can take another one.
FREE = b"free"


class Monitor:
    """Runs one unit after the other. The daemon talks to it by JSON lines on a pipe; when that closes, all is ended."""

    def __init__(self, config, commands, reports):
        self._config = config
        self.commands = commands
        self.reports = reports
        self._buffer = b""
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
        self._cpu_before = 0.0  # what it used before this unit, seconds

    def begin(self, request, masks):
        """Makes this the monitor of a new unit."""
        self.request = request
        self._unit = request["unit"]
        self.masks = masks
        self.folder = os.path.join(self._config["dir"], ".benchhub", "units", request["unit"])
        self.context = Context(self._config, request["unit"], request.get("inputs"))
        self.status = status.new(request["unit"], request["kind"], request.get("steps") or [])
        self.release_at = None
        self.stopping = False
        self._free = False
        self._next = None
        self._awaited = set()
        self._reaped = {}
        deadline = request.get("deadline")
        self.deadline = time.monotonic() + deadline if deadline else None

    # -- what the daemon sees -----------------------------------------------------------------------------------

    def report(self, **changes):
        """Writes the status file and tells the daemon."""
        self._note(changes)
        self._tell(wire.dumps(self.status).encode())

    def _note(self, changes):
        self.status.update(changes)
        self.status["ours_cpu"] = round(time.process_time() - self._cpu_before, 6)
        try:
            status.write(self.folder, self.status)
        except OSError as error:  # a full disk must not cost the unit: the daemon has the status all the same
            self._complain("its status file cannot be written: %s" % error)

    def _tell(self, line):
        data = line + b"\n"
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
        self._note(dict(changes, state=state, end=time.time()))
        self._free = self._may_go_on() and self._owns and self._has_none()
        # in one piece where that can be: the daemon is woken once
        self._tell(wire.dumps(self.status).encode() + (b"\n" + FREE if self._free else b""))

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
            self._carry_out(wire.loads(line))

    def _carry_out(self, command):
        if command.get("begin"):
            self._next = command
        elif command.get("dismiss"):
            self.stopping = True
        elif command["unit"] == self._unit:  # else it was meant for the unit before: that one had just ended
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
        if not self._free:
            self.until(self._has_none)
            self.end_all(self.request.get("grace") or _GRACE)

    def _has_none(self):
        self.reap()
        return not _has_children()

    def _may_go_on(self):
        return self.request["kind"] == "steps" and not self.stopping

    def next(self):
        """The next unit and its masks, once there is one; None when there will be none."""
        if not self._may_go_on():
            return None
        self._unit = None
        self._cpu_before = time.process_time()
        if not self._free:
            self._tell(FREE)
        self.until(lambda: self._next is not None)
        return self._next


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


def main(config, commands, reports, request, masks, run):
    """Runs one unit, and others that the daemon hands over, to their ends; never returns."""
    code = 70
    handed = {"begin": request, "masks": masks}
    try:
        monitor = Monitor(config, commands, reports)
        while handed is not None:
            monitor.begin(handed["begin"], handed["masks"])
            _run(monitor, run)
            handed = monitor.next()
        code = 0
    except Exception as error:  # noqa: BLE001 - told in the supervisor's log; the daemon marks the unit as failed
        sys.stderr.write("monitor of %s: %r\n" % (handed["begin"].get("unit"), error))
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(monitor, run):
    whole = False
    try:
        run(monitor, Gate)
        monitor.linger()
        whole = True
    finally:
        if not whole:
            monitor.end_all(0.5)
