"""What the daemon does beside its loop: work in forked children, and ending units in order."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import sys
import time

from . import processes, wire

#: A controller that gave up a check tells nobody; one that goes on asks again at once. Seconds.
_LEFT_LIMIT = 10.0


class Stopping:
    """Ends units one after the other, each fully before the next; run-and-finish units all at once."""

    def __init__(self, units, by="request", reason=None):
        self._units = list(units)
        self._told = set()
        self._command = {"stop": True, "by": by, "reason": reason}

    def over(self):
        """Tells the next units to end; True when all have."""
        while self._units:
            batch = [self._units[0]]
            if self._units[0].kind == "steps":
                batch = [unit for unit in self._units if unit.kind == "steps"]
            for unit in batch:
                if unit.name not in self._told:
                    self._told.add(unit.name)
                    unit.tell(**self._command)
            if not all(unit.gone for unit in batch):
                return False
            self._units = [unit for unit in self._units if unit not in batch]
        return True


class Polls:
    """Checks that poll in children. One with an id goes on between two calls of the controller that asks for it."""

    def __init__(self):
        self._by_id = {}

    def attach(self, request, start):
        """The Poll of this request: the one that goes on under its id, or a new one of ``start()``'s child."""
        name = request.get("id")
        poll = self._by_id.get(name)
        if poll is None:
            poll = Poll(start())
            if name is not None:
                self._by_id[name] = poll
        poll.left_at = None
        return poll

    def forget(self, poll):
        """It is over: its child has ended, or is ended now."""
        poll.child.end()
        self._by_id = {name: other for name, other in self._by_id.items() if other is not poll}

    def leave(self, request, poll):
        """Its call ends without an outcome; the next one has to come soon."""
        if request.get("id") is None:
            self.forget(poll)
        else:
            poll.left_at = time.monotonic()

    def next_due(self):
        """When the first that was left has been left for too long."""
        return min([poll.left_at + _LEFT_LIMIT for poll in self._left()], default=None)

    def tick(self):
        """Ends those whose controller has given up."""
        for poll in self._left():
            if time.monotonic() >= poll.left_at + _LEFT_LIMIT:
                self.forget(poll)

    def _left(self):
        return [poll for poll in self._by_id.values() if poll.left_at is not None]


class Poll:
    """A check that polls."""

    def __init__(self, child):
        self.child = child
        self.began = time.monotonic()
        self.left_at = None


class Closing(Stopping):
    """Ends units as Stopping does, then sweeps; ``left`` says what is still there."""

    def __init__(self, daemon, units, by="request", reason=None):
        super().__init__(units, by, reason)
        self._daemon = daemon
        self._sweeping = None
        self.left = []

    def over(self):
        """As before, and every sweep has ended too."""
        if not super().over():
            return False
        if self._sweeping is None:
            sweeps = list(self._daemon.sweeps.values())
            self._sweeping = len(sweeps)
            for inputs, step in sweeps:
                self._daemon.in_child("sweep", inputs, [step], self._swept)
        return self._sweeping == 0

    def _swept(self, left):
        self.left += left
        self._sweeping -= 1


class Child:
    """Work in a forked child, so that the loop never blocks; ``result`` is there, and told, once it has ended."""

    def __init__(self, daemon, work, done=None):
        self._daemon = daemon
        self._work = work
        self._done = done
        self._data = b""
        self._reader = None
        self.pid = None
        self.result = None

    def start(self):
        """Forks."""
        reader, writer = os.pipe()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(writer)
        os.close(writer)
        os.set_blocking(reader, False)
        self._reader = reader
        self._daemon.watch(reader, self._read)
        self._daemon.on_exit(self.pid, self._ended)

    def _run(self, writer):
        code = 70
        try:
            self._daemon.leave_to_child(keep={writer})
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            data = wire.dumps(_outcome(self._work)).encode()
            while data:
                data = data[os.write(writer, data) :]
            code = 0
        finally:
            os._exit(code)  # whatever happens: the child must not return into the loop

    def _read(self):
        try:
            piece = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return
        if piece:
            self._data += piece
        else:
            self._daemon.unwatch(self._reader)

    def _ended(self):
        while True:
            try:
                piece = os.read(self._reader, 1 << 16)
            except BlockingIOError:
                break
            if not piece:
                break
            self._data += piece
        self._daemon.unwatch(self._reader)
        os.close(self._reader)
        try:
            self.result = wire.loads(self._data)
        except ValueError:
            self.result = {"ok": False, "error": "the supervisor's helper process was killed"}
        if self._done is not None:
            self._done(self.result)
        self._daemon.requests.changed()

    def end(self):
        """Kills it, with what it runs: a check's command has a session of its own."""
        if self.result is None:
            processes.send([self.pid, *processes.descendants(self.pid)], signal.SIGKILL)


def _outcome(work):
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the client is told
        sys.stderr.write("%r\n" % error)
        sys.stderr.flush()
        return {"ok": False, "error": "%s: %s" % (type(error).__name__, error)}
