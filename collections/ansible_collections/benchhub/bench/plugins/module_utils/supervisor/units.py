"""Units as the daemon knows them, and their monitors: who watches what, and what happens when a monitor dies."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import time

from . import jobfile, monitor, processes, status, wire

#: What an empty pipe takes at once, bytes: the daemon must not wait for a monitor that somebody has stopped.
_AT_ONCE = 32768


class Unit:
    """A unit: its request, the monitor that watches it, and the status that was last reported."""

    def __init__(self, request):
        self.request = request
        self.name = request["unit"]
        self.kind = request["kind"]
        self.process = None
        self.status = status.new(self.name, self.kind, request.get("steps") or [])
        self.daemon_cpu = time.process_time()
        self.gone = False  # it has ended, and with it everything that it started

    @property
    def ended(self):
        """Whether it has nothing more to report."""
        return self.gone or self.status["state"] in status.ENDED

    def tell(self, **command):
        """Sends its monitor a command; a unit that is gone needs none."""
        if not self.gone:
            self.process.tell(dict(command, unit=self.name))


class MonitorProcess:
    """A monitor as the daemon sees it: pipes to and from it, and the unit that it watches, None while it is free."""

    def __init__(self, pid, commands, reports):
        self.pid = pid
        self.commands = commands
        self.reports = reports
        self.buffer = b""
        self.unit = None

    def tell(self, command):
        """Sends a command; a monitor that has ended needs none."""
        try:
            os.write(self.commands, wire.dumps(command).encode() + b"\n")
            os.kill(self.pid, signal.SIGCONT)  # somebody may have stopped it
        except OSError:
            return


class Monitors:
    """Gives each unit a monitor: one that is free, as a fork costs more than a short command, or else a new one."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._all = []
        self._free = []

    def start(self, request):
        """The unit of a request; it has begun."""
        unit = Unit(request)
        os.mkdir(os.path.join(self._daemon.folder, "units", unit.name), 0o700)
        if not self._hand_over(unit):
            self._fork(unit)
        return unit

    def descriptors(self):
        """The ends of pipes whose closing ends a monitor: nobody else may hold them."""
        return [process.commands for process in self._all]

    def dismiss(self):
        """Ends the monitors that are free."""
        while self._free:
            self._free.pop().tell({"dismiss": True})

    def _hand_over(self, unit):
        """Whether a free monitor took the unit. Only steps: a service may be there for as long as the run."""
        request = {"begin": unit.request, "masks": self._daemon.masks}
        if not self._free or unit.kind != "steps" or len(wire.dumps(request)) > _AT_ONCE:
            return False
        self._assign(unit, self._free.pop())
        unit.process.tell(request)
        return True

    @staticmethod
    def _assign(unit, process):
        unit.process, process.unit = process, unit

    def _fork(self, unit):
        run = monitor.runner(unit.kind)  # imported before the fork, once: a monitor shares what the daemon has loaded
        command_r, command_w = os.pipe()
        report_r, report_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(command_w)
                os.close(report_r)
                self._daemon.leave_to_child(keep={command_r, report_w})
                monitor.main(self._daemon.config, command_r, report_w, unit.request, self._daemon.masks, run)
            finally:
                os._exit(70)
        os.close(command_r)
        os.close(report_w)
        os.set_blocking(report_r, False)
        process = MonitorProcess(pid, command_w, report_r)
        self._all.append(process)
        self._assign(unit, process)
        self._daemon.watch(report_r, lambda: self._read(process))
        self._daemon.on_exit(pid, lambda: self._ended(process))

    # -- what monitors tell -------------------------------------------------------------------------------------

    def _read(self, process):
        """Takes in what there is; whether there was anything."""
        try:
            data = os.read(process.reports, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._daemon.unwatch(process.reports)
            return False
        *lines, process.buffer = (process.buffer + data).split(b"\n")
        free = lines and lines[-1] == monitor.FREE
        if free:
            lines.pop()
        if lines:
            self._take(process.unit, wire.loads(lines[-1]))
        if free:
            self._gone(process.unit)
            process.unit = None
            self._free.append(process)
        return True

    def _take(self, unit, reported):
        unit.status = reported
        reported["ours_cpu"] = round(reported["ours_cpu"] + time.process_time() - unit.daemon_cpu, 6)
        self._daemon.requests.changed()

    def _gone(self, unit):
        unit.gone = True
        self._daemon.requests.changed()

    def _ended(self, process):
        while self._read(process):
            pass
        self._daemon.unwatch(process.reports)
        self._all.remove(process)
        os.close(process.reports)
        os.close(process.commands)
        if process.unit is None:
            if process in self._free:  # else it was dismissed
                self._free.remove(process)
            return
        if process.unit.status["state"] in status.ENDED:
            self._gone(process.unit)
        else:
            self._orphaned(process.unit)

    # -- a monitor that was killed ------------------------------------------------------------------------------

    def _orphaned(self, unit):
        """What its monitor watched is the daemon's now (subreaper), and is ended."""
        daemon = self._daemon
        marker = "%s/%s/%s" % (daemon.config["run"], daemon.config["slot"], unit.name)
        processes.kill_all(lambda: daemon.strays() + processes.marked(marker))
        unit.status.update(state="failed", error="its monitor was killed", ended_by="monitor", end=time.time())
        for record in unit.status.get("steps") or []:
            if record["state"] in ("running", "pending"):
                record["state"] = "killed" if record["state"] == "running" else "not-run"
        folder = os.path.join(daemon.folder, "units", unit.name)
        try:
            status.write(folder, unit.status)
        except OSError as error:
            daemon.log("the status of %s cannot be written: %s" % (unit.name, error))
        if unit.request.get("async_file"):
            out, err = (os.path.join(folder, name) for name in ("01.out", "01.err"))
            jobfile.write(unit.request, jobfile.finished(unit.status, out, err, daemon.masks))
        self._clean_up_after(unit)

    def _clean_up_after(self, unit):
        """Has done what was to follow the commands of a unit; it is gone when that has ended."""
        steps = self._afters(unit.request)
        if not steps:
            self._gone(unit)
            return
        self._daemon.in_child(unit.name, unit.request.get("inputs"), steps, lambda _left: self._gone(unit))

    @staticmethod
    def _afters(request):
        if "inputs" not in request:
            return []
        from .aftermath import afters  # noqa: PLC0415 - only where there are containers

        return afters(request)
