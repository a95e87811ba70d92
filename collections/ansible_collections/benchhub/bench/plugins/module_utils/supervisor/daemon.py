"""The daemon: one per slot. Takes requests, forks a monitor per unit, and ends everything when nobody asks any more."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import select
import time

from . import processes, wire
from .calls import Replies
from .folders import remove_tree
from .requests import Requests
from .work import Child

_RETENTION = 900.0
_SHORTEST_LEASE = 0.5
#: How long replies may take to get out after the run folder was removed.
_LAST_REPLIES = 10.0
_LONGEST_SLEEP = 3600.0


class Daemon:
    """The event loop: requests, reports of monitors, ended children, deadlines. It sleeps whenever nothing happens."""

    def __init__(self, config):
        self.config = config
        self.run_dir = config["dir"]
        self.folder = os.path.join(config["dir"], ".benchhub")
        self.units = {}
        self.monitors = None
        self.masks = []
        self.sweeps = {}  # what to run when all has ended -> (texts it reads, the command itself)
        self.exiting = False
        self.expired_at = None
        self.lease = max(_SHORTEST_LEASE, float(config["lease"]))
        retention = config.get("retention")
        self._retention = _RETENTION if retention is None else float(retention)
        self.lease_until = time.monotonic() + self.lease
        self._poll = select.poll()
        self._readers = {}
        self._children = {}
        self.replies = Replies(self)
        self.requests = Requests(self)
        self._terminated = False
        self.held = False  # the controller has said until when everything stays

    # -- descriptors and children ---------------------------------------------------------------------------------

    def watch(self, descriptor, reader, events=select.POLLIN):
        """Calls ``reader()`` whenever the descriptor has something."""
        self._readers[descriptor] = reader
        self._poll.register(descriptor, events)

    def unwatch(self, descriptor):
        """Forgets a descriptor; forgetting it twice does no harm."""
        if self._readers.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def on_exit(self, pid, handler):
        """Calls ``handler()`` once that child has ended."""
        self._children[pid] = handler

    def start(self, request):
        """Begins a new unit."""
        if self.monitors is None:
            from .units import Monitors  # noqa: PLC0415 - a slot without units never needs it

            self.monitors = Monitors(self)
        for step in request.get("sweeps") or []:
            self.sweeps[wire.dumps(step)] = (request.get("inputs"), step)
        self.units[request["unit"]] = self.monitors.start(request)

    def leave_to_child(self, keep):
        """In a fork: gives up what is the daemon's alone; above all pipes and FIFOs whose closing means something."""
        signal.set_wakeup_fd(-1)
        commands = self.monitors.descriptors() if self.monitors is not None else ()
        for descriptor in {*self._readers, *commands, *self.replies.descriptors()} - keep:
            os.close(descriptor)

    def in_child(self, name, inputs, steps, done):
        """Runs commands in a fork, as those of a unit; then calls ``done`` with the lines they printed."""

        def work():
            from .aftermath import run_all  # noqa: PLC0415 - as above
            from .spawning import Context  # noqa: PLC0415

            return run_all(Context(self.config, name, inputs), self.folder, steps)

        Child(self, work, lambda result: done(result["left"] if "left" in result else [result["error"]])).start()

    def strays(self):
        """Everything that became the daemon's child because its own parent died, and what is below it."""
        found = []
        for pid in processes.children(os.getpid()):
            if pid not in self._children:
                found += [pid, *processes.descendants(pid)]
        return found

    @staticmethod
    def log(text):
        """One line in the supervisor's log, which comes home with the run."""
        try:
            os.write(2, (text + "\n").encode("utf-8", "replace"))
        except OSError:
            return

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self):
        """Serves until the run is finished, or its lease ran out and nobody recovered it."""
        while not self.exiting:
            for descriptor, event in self._sleep(self._next()):
                reader = self._readers.get(descriptor)
                if reader is not None:
                    reader() if event != select.POLLNVAL else self.unwatch(descriptor)
            self._reap()
            self.replies.retry()
            self.requests.tick()
            self._check_lease()
        end = time.monotonic() + _LAST_REPLIES
        while self.replies.pending() and time.monotonic() < end:
            for descriptor, _event in self._sleep(min(end, self.replies.next_due() or end)):
                self._readers.get(descriptor, lambda: None)()
            self.replies.retry()

    def _next(self):
        """The next instant at which something is due."""
        times = [self.requests.next_due(), self.replies.next_due()]
        if self.expired_at is not None:
            if not self.requests.stopping():
                times.append(self.expired_at + self._retention)
        elif not self._renewed():
            times.append(self.lease_until)
        return min([due for due in times if due is not None], default=None)

    def _sleep(self, due):
        left = None if due is None else min(max(0.0, due - time.monotonic()), _LONGEST_SLEEP) * 1000 + 1
        try:
            return self._poll.poll(left)
        except InterruptedError:
            return []

    def _reap(self):
        while True:
            try:
                pid, _code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            handler = self._children.pop(pid, None)
            if handler is not None:
                handler()

    def hold(self, seconds):
        """Everything stays for so long, whether a controller speaks to it or not; then all of it goes."""
        self.held = True
        self.lease_until = time.monotonic() + seconds
        self._retention = 0.0

    def contact(self, lease=None):
        """A controller lives: its lease begins anew, unless it has said when everything has to end."""
        if lease is not None:
            self.lease = max(_SHORTEST_LEASE, float(lease))
        if not self.held:
            self.lease_until = max(self.lease_until, time.monotonic() + self.lease)
            self.expired_at = None

    def _check_lease(self):
        now = time.monotonic()
        if self.expired_at is not None:
            if self.requests.stopping():
                self.expired_at = now  # the retention begins when all has ended
            elif now >= self.expired_at + self._retention:
                self.remove()
        elif self._terminated or (now >= self.lease_until and not self._renewed()):
            by, reason = self._why_now()
            self._terminated = False
            self.expired_at = now
            self.log("%s: ending everything" % reason)
            self._hang_up()
            self._dismiss()
            self.requests.stop_everything(by, reason)

    def _dismiss(self):
        if self.monitors is not None:
            self.monitors.dismiss()

    def _hang_up(self):
        """Ends the sessions of controllers that hold a line here; each shell wrote its number down."""
        try:
            with open(os.path.join(self.folder, "line")) as file:
                pids = [int(line) for line in file]
        except (OSError, ValueError):
            return
        for pid in pids:
            if os.fsencode(self.folder) in processes.arguments(pid):
                processes.send([pid], signal.SIGKILL)  # a reply that is on its way comes from a subshell

    def _renewed(self):
        """Whether a controller waits here: as long as it does, it lives."""
        return self.requests.blocked() and not self.held

    def _why_now(self):
        if self._terminated:
            return "sigterm", "the supervisor was told to end"
        if self.held:
            return "hold", "the time for which it was kept is over"
        return "lease", "no controller renewed the lease"

    def terminate(self):
        """SIGTERM: ends as if the lease had run out."""
        self._terminated = True

    def remove(self):
        """Removes the run folder, and its parent when this was the last slot in it; then the loop ends."""
        self._hang_up()
        self._dismiss()
        processes.kill_all(self.strays)
        for unit in self.units.values():
            if unit.request.get("async_file"):
                from . import jobfile  # noqa: PLC0415 - only where there was a service

                jobfile.remove(unit.request)
        left = remove_tree(self.run_dir)
        try:
            os.rmdir(os.path.dirname(self.run_dir))
        except OSError:
            self.exiting = True  # another slot of the run still has its folder there
        self.exiting = True
        return left
