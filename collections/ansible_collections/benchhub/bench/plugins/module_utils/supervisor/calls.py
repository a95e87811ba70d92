"""Requests and replies as files: sh on the node can make a call without Python, a short one without a fork.

The client is a part of the sh that the controller starts in this folder; ``how`` is empty, ``short`` or ``full``.

The supervisor keeps FIFOs ``r.1`` … ``r.8`` ready. A client claims one by creating ``q.N`` exclusively, writes its
request there and N to the FIFO ``ctl``, and reads its reply from ``r.N``; when all are taken it makes its own FIFO
(``q.xPID``, ``r.xPID``). Where no file can be written, because the disk is full, a ``full`` call sends the request
itself through ``ctl`` and reads the reply from ``r.0``. When the supervisor dies the FIFO closes and the client
says so; when the client dies, the supervisor sees an error on the FIFO and drops what it waited for.
"""

import errno
import os
import select
import time

from . import wire

#: The client whose requests come through ``ctl``, and how long they may be.
_FULL = "0"
_LONGEST = 1 << 20

#: FIFOs made in advance: a controller has one or two calls open per slot.
POOL = 8

#: `read` of sh costs a system call a byte, `cat` a fork: a reply longer than this is announced by a line "+".
_SHORT = 2048

CLIENT = """\
umask 077
gone() { [ "$n" ] || cat > /dev/null; echo '{"ok": false, "error": "gone"}'; exit 0; }
n=
# a process of that number could be another one by now: the supervisor's own working directory is this folder
read -r p 2>/dev/null < pid && [ "/proc/$p/cwd" -ef . ] || gone
kill -CONT "$p" 2>/dev/null  # somebody may have stopped it
if [ "$how" = full ]; then
  IFS= read -r m
  n=0
else
  set -C
  for n in %s; do { true > q.$n; } 2>/dev/null && break; n=; done
  set +C
  [ "$n" ] || { n=x$$; rm -f q.$n r.$n; mkfifo r.$n || gone; }
  if [ "$how" ]; then IFS= read -r m && printf '%%s\\n' "$m"; else cat; fi > q.$n || {
    rm -f q.$n
    echo '{"ok": false, "error": "full"}'
    exit 0
  }
  m=$n
fi
{ [ -p ctl ] && printf '%%s\\n' "$m" > ctl; } 2>/dev/null || gone
{ IFS= read -r l && { [ "$l" != + ] || exec cat; } && printf '%%s\\n' "$l"; } 2>/dev/null < r.$n || gone
""" % " ".join(str(number) for number in range(1, POOL + 1))

_RETRY = 0.001
#: A client that never opens its FIFO died between its two lines.
_OPEN_LIMIT = 10.0
#: A claim that no request followed is given back after this long.
_CLAIM_LIMIT = 60.0


def path_of(folder, kind, client):
    """The file (kind ``q``) or the FIFO (kind ``r``) of a client."""
    return os.path.join(folder, "%s.%s" % (kind, client))


class Caller:
    """The supervisor's end of ``ctl``."""

    def __init__(self, folder):
        self._folder = folder
        path = os.path.join(folder, "ctl")
        os.mkfifo(path, 0o600)
        # opened for writing too: otherwise the FIFO would report its end whenever no client is there
        self.control = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        for number in range(POOL + 1):
            os.mkfifo(path_of(folder, "r", number), 0o600)
        _put(os.path.join(folder, "call"), CLIENT)
        self._rest = b""

    def write_pid(self, pid):
        """Says who serves; from now on clients find the supervisor."""
        beside = os.path.join(self._folder, "pid.new")
        _put(beside, "%d\n" % pid)
        os.rename(beside, os.path.join(self._folder, "pid"))

    def read(self, take, waiting):
        """Calls ``take(client, request)`` for each request that came; an unreadable one is None.

        ``waiting(client)`` says whether a client still waits for its reply.
        """
        try:
            data = os.read(self.control, 4096)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > (_LONGEST if self._rest[:1] == b"{" else 64):
            self._rest = b""
        for line in lines:
            if line[:1] == b"{":
                take(_FULL, _read(line))
                continue
            own = line[:1] == b"x"
            if not line[own:].isdigit() or len(line) > 20 or not (own or 1 <= int(line) <= POOL):
                continue
            client = line.decode()
            if own:
                self._give_back(waiting)
            take(client, _request(path_of(self._folder, "q", client)))

    def _give_back(self, waiting):
        """Frees what clients claimed that died before they asked anything."""
        for number in range(1, POOL + 1):
            path = path_of(self._folder, "q", number)
            try:
                if not waiting(str(number)) and os.stat(path).st_mtime < time.time() - _CLAIM_LIMIT:
                    os.unlink(path)
            except OSError:
                continue


def _request(path):
    try:
        with open(path, "r+b") as file:
            data = file.read()
            file.truncate(0)  # it may hold secrets, and its client may wait for long
    except OSError:
        return None
    return _read(data)


def _read(data):
    try:
        return wire.loads(data)
    except (ValueError, RecursionError, MemoryError):
        return None


def _put(path, text):
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(handle, text.encode())
    os.close(handle)


class _Client:
    def __init__(self, died):
        self.deadline = time.monotonic() + _OPEN_LIMIT
        self.descriptor = None
        self.data = None  # what is still to be written
        self.died = died


class Replies:
    """Sends each client its reply without ever waiting for it, and knows when one that waits has died."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._clients = {}
        self._unopened = set()

    def expect(self, client, died=None):
        """A client waits: its FIFO is opened, so that ``died()`` can be called when it goes away."""
        self._clients[client] = _Client(died)
        self._unopened.add(client)
        self._try_open(client)

    def waiting(self, client):
        """Whether a client waits for its reply, or has not read all of it."""
        return client in self._clients

    def reachable(self, client):
        """Whether a reply gets through even when the run folder is removed first; a client that died has it too."""
        return client not in self._unopened

    def send(self, client, reply):
        """Answers a client; it is forgotten afterwards."""
        text = wire.dumps(reply).encode() + b"\n"
        if client not in self._clients:
            self.expect(client)
        if client in self._clients:
            self._clients[client].data = text if len(text) <= _SHORT else b"+\n" + text
            self._clients[client].died = None
            if client not in self._unopened:
                self._write(client)

    def pending(self):
        """Whether an answer has not reached its client yet."""
        return any(entry.data is not None for entry in self._clients.values())

    def retry(self):
        """Tries again to reach clients that had not opened their FIFO yet."""
        for client in list(self._unopened):
            self._try_open(client)

    def next_due(self):
        """When to try again."""
        return time.monotonic() + _RETRY if self._unopened else None

    def descriptors(self):
        """The open FIFOs: a child must not keep them."""
        return [entry.descriptor for entry in self._clients.values() if entry.descriptor is not None]

    def _try_open(self, client):
        entry = self._clients[client]
        try:
            entry.descriptor = os.open(
                path_of(self._daemon.folder, "r", client), os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
            )
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > entry.deadline:
                self._lost(client)
            return
        self._unopened.discard(client)
        self._daemon.requests.changed()
        if entry.data is not None:
            self._write(client)
        else:
            # no events asked for: POLLERR comes by itself when the reader is gone
            self._daemon.watch(entry.descriptor, lambda: self._lost(client), 0)

    def _lost(self, client):
        died = self._clients[client].died
        self._close(client)
        if died is not None:
            died()

    def _write(self, client):
        entry = self._clients[client]
        try:
            while entry.data:
                entry.data = entry.data[os.write(entry.descriptor, entry.data[: 1 << 16]) :]
        except BlockingIOError:
            self._daemon.watch(entry.descriptor, lambda: self._write(client), select.POLLOUT)
            return
        except OSError:
            pass  # the client died; its request was carried out all the same
        self._close(client)

    def _close(self, client):
        entry = self._clients.pop(client)
        self._unopened.discard(client)
        if entry.descriptor is not None:
            self._daemon.unwatch(entry.descriptor)
            os.close(entry.descriptor)
        self._renew(client)

    def _renew(self, client):
        """A new FIFO for the next client: this one's reader may not have read all of its reply yet."""
        reply, request = (path_of(self._daemon.folder, kind, client) for kind in "rq")
        try:
            if client.startswith("x"):
                os.unlink(reply)
            else:  # beside and renamed: where no new one can be made the old one has to do
                os.mkfifo(reply + ".new", 0o600)
                os.rename(reply + ".new", reply)
        except OSError:
            pass
        try:
            os.unlink(request)
        except OSError:
            return
