"""Standing lines: one ssh session per node that stays open from task to task, and carries one short call at a time.

A call of its own makes a node start a session of sshd and two shells, and this side an ssh and a connection plugin with
all of its options: for every node, in every task. A line has that done once. Ansible runs each task in a process of its
own, so a line belongs to none: its ssh reads requests from one FIFO and writes replies to another, in the private
folder of ssh's control sockets. Who wants to call renames the first FIFO, and renames it back when the reply is there.
So calls never mix; and a caller that goes away before its reply leaves a line that nobody takes any more, as nobody may
read that reply.

Who finds no free line makes a connection of his own: a line only saves time. It ends with the ssh that holds it: when
it is hung up, when the supervisor's lease is over, or when the run's controller sweeps up behind itself.
"""

# ruff: noqa: SLF001 - Ansible hands its plugins what they need in underscored attributes

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import subprocess
import threading
import time

#: For sh, with the supervisor's folder as $1. A request is a word and a call like any other, made in a subshell. The
#: word, alone in its line, comes back before the reply: whatever else the login shell says is neither. The supervisor
#: finds this shell by its number in `line`, and knows it by its last argument, the folder.
SERVE = (
    'echo $$ >> "$1/line";'
    ' while read -r t q && [ "$t" != . ]; do'
    " printf '\\n%s\\n' \"$t\"; printf '%s\\n' \"$q\" |"
    ' ( cd "$1" 2>/dev/null && [ -r call ] || { echo \'{"ok": false, "error": "gone"}\'; exit; };'
    ' how=short; . ./call ) || echo \'{"ok": false, "error": "the node could not make the call"}\';'
    " done"
)
_HANG_UP = b".\n"
#: How long a line is left alone that nobody holds: it may be about to begin, seconds.
_BEGINS_WITHIN = 60.0


class BrokenLineError(Exception):
    """The line ended between a request and its reply."""


class Line:
    """The line to one slot of a run, whether there is one or not; ``folder`` is where the run keeps its lines."""

    def __init__(self, folder, run_id, slot):
        name = hashlib.sha256(f"{run_id}/{slot}".encode()).hexdigest()[:16]
        self._requests = os.path.join(folder, f"line-{name}.in")
        self._replies = os.path.join(folder, f"line-{name}.out")

    def begin(self, connection, command):
        """Opens the line beside a connection that works and can have one; ``command`` runs ``SERVE`` on the node."""
        ssh = connection._build_command(connection.get_option("ssh_executable"), "ssh", connection.host, command)
        self.hang_up()  # an earlier playbook of this run may have left one
        os.mkfifo(self._replies, 0o600)
        os.mkfifo(self._requests, 0o600)
        # opened for both, they never report an end as long as this ssh lives, whoever comes and goes at the other side
        with open(self._requests, "r+b", 0) as requests, open(self._replies, "r+b", 0) as replies:
            subprocess.Popen(
                ssh, stdin=requests, stdout=replies, stderr=subprocess.DEVNULL, start_new_session=True
            ).returncode = 0  # it outlives this process

    def stands(self):
        """Whether there is a line that is free."""
        return os.path.exists(self._requests)

    def call(self, data):
        """The line of output that answers a request; None when no line is free: then nothing was sent.

        BrokenLineError when the line ended before the reply.
        """
        taken = f"{self._requests}.{os.getpid()}.{threading.get_ident()}"
        try:
            os.rename(self._requests, taken)
            requests = os.open(taken, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # there is none, or nobody listens at its other side
            return None
        word = os.urandom(4).hex().encode()
        try:
            os.write(requests, word + b" " + data)
            reply = self._reply(word)
        except OSError as error:
            raise BrokenLineError(str(error)) from error
        finally:
            os.close(requests)
        with contextlib.suppress(OSError):  # it has been hung up meanwhile
            os.rename(taken, self._requests)
        return reply

    def _reply(self, word):
        replies = os.open(self._replies, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.set_blocking(replies, True)
            got = b""
            while True:
                more = os.read(replies, 1 << 16)
                if not more:
                    raise BrokenLineError("the connection ended")
                got += more
                *said, _more = got.split(b"\n")
                if word in said:
                    for line in said[said.index(word) :]:
                        if line.startswith(b"{"):
                            return line
        finally:
            os.close(replies)

    def hang_up(self):
        """Ends the line, also one that somebody took and never gave back."""
        for path in glob.glob(glob.escape(self._requests) + "*"):
            with contextlib.suppress(OSError):
                requests = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    os.write(requests, _HANG_UP)
                finally:
                    os.close(requests)
        self._remove()

    def _remove(self):
        for path in [*glob.glob(glob.escape(self._requests) + "*"), self._replies]:
            with contextlib.suppress(OSError):
                os.unlink(path)


def folder_beside(connection):
    """The folder for a line beside this connection; None when there can be none.

    There can for ssh as the login user: passwords are asked for, and become answers, when a session begins.
    """
    if connection.transport != "ssh" or connection.become is not None:
        return None
    if connection.get_option("password") or connection._play_context.password:
        return None
    return os.path.expanduser(connection.get_option("control_path_dir"))


def tidy(folder):
    """Removes the FIFOs of lines that nobody holds any more, as a playbook leaves them that was killed."""
    for replies in glob.glob(os.path.join(glob.escape(folder), "line-*.out")):
        with contextlib.suppress(OSError):
            if not _held(replies) and time.time() - os.stat(replies).st_mtime > _BEGINS_WITHIN:
                for path in [*glob.glob(glob.escape(replies[: -len("out")]) + "in*"), replies]:
                    os.unlink(path)


def _held(fifo):
    """Whether an ssh has this FIFO open."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno != errno.ENXIO
    return True
