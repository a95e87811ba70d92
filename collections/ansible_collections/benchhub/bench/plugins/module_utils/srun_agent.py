"""What the connection plugin benchhub.bench.srun runs on a node: the holder, and the caller that hands it a command.

Slurm ends everything that a step has started when the step ends. The *holder* is a step that lives as long as the run:
it starts the commands, so what they leave behind lives on with it. The *caller* is a short step per command; it gives
the holder the command and its own standard streams, and ends with the command's exit code. They meet at a socket in
Linux's abstract namespace, which leaves no file; each makes sure that the other is the same user.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import array
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time

#: A sh script that runs this file, given on standard input; its arguments are the file's size and what follows below.
#: Neither the file nor a command is in the arguments: Slurm's accounting keeps those.
LAUNCH = """\
for p in /usr/bin/python3 /usr/libexec/platform-python python3; do
command -v "$p" >/dev/null 2>&1 && exec "$p" -I -S -c 'import os, sys
n, b = int(sys.argv[1]), b""
while len(b) < n:
    b += os.read(0, n - len(b)) or sys.exit(97)
exec(b)' "$@"
done
echo "there is no python3" >&2
exit 96"""

#: The caller's first words on standard error: from here on, an exit code is that of the command.
STARTED = b"benchhub.bench.srun: the command begins\n"

#: How long a caller waits for its holder, which may just be starting; seconds.
_PATIENCE = 60.0
_LENGTH = struct.Struct("!Q")
_CODE = struct.Struct("!i")
_STREAMS = 3
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def hold(name):
    """Starts the commands that callers hand over, until the step is ended."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(_address(name))
    server.listen(64)
    _go_home()
    _adopt_orphans()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that nobody waits for leave no zombies
    signal.signal(signal.SIGTERM, _end)
    while True:
        caller = server.accept()[0]
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            server.close()
            _serve(caller)
            os._exit(0)
        caller.close()


def _adopt_orphans():
    """Daemons become children of the holder: Slurm finds what belongs to a step by descent where it has no cgroups."""
    try:
        import ctypes  # noqa: PLC0415 - a Python may come without it

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, AttributeError, OSError):
        pass


def _end(_number, _frame):
    """Asks everything the holder has started to end, and waits: after KillWait Slurm kills what has not."""
    asked = set()
    while True:
        children = _children()
        if not children:
            os._exit(0)
        for pid in children - asked:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
        asked |= children
        time.sleep(0.05)


def _children():
    try:
        with open("/proc/self/task/%d/children" % os.getpid()) as file:
            return {int(pid) for pid in file.read().split()}
    except OSError:
        return set()


def _serve(caller):
    if not _same_user(caller):
        return
    head, ancillary = caller.recvmsg(_LENGTH.size, socket.CMSG_SPACE(_STREAMS * 4))[:2]
    streams = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            streams.frombytes(data)
    if len(head) != _LENGTH.size or len(streams) != _STREAMS:
        return
    command = _exactly(_LENGTH.unpack(head)[0], caller.recv)
    process = subprocess.Popen(
        ["/bin/sh", "-c", os.fsdecode(command)],
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        start_new_session=True,
    )
    for stream in streams:
        os.close(stream)
    caller.sendall(_CODE.pack(process.wait()))


def call(name):
    """Runs the command that follows on standard input; the exit code is the command's. Without a name, in this step."""
    command = _exactly(_LENGTH.unpack(_exactly(_LENGTH.size, _stdin))[0], _stdin)
    if not name:
        _go_home()
        os.write(2, STARTED)
        os.execv("/bin/sh", ["/bin/sh", "-c", os.fsdecode(command)])  # noqa: S606 - we become the command
    holder = _connect(name)
    if not _same_user(holder):
        sys.exit("somebody else listens at the place of this run's holder")
    os.write(2, STARTED)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    holder.sendmsg([_LENGTH.pack(len(command))], [rights])
    holder.sendall(command)
    code = _CODE.unpack(_exactly(_CODE.size, holder.recv))[0]
    os._exit(code if code >= 0 else 128 - code)


def _connect(name):
    deadline = time.time() + _PATIENCE
    while True:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.connect(_address(name))
        except OSError as error:
            holder.close()
            if time.time() > deadline:
                sys.exit("the step that holds what runs on this node does not answer: %s" % error.strerror)
            time.sleep(0.05)
        else:
            return holder


def _address(name):
    """The socket's name: nodes that are one machine in truth, as in tests, have one each."""
    return "\0%s@%s" % (name, os.environ.get("SLURMD_NODENAME", ""))


def _same_user(peer):
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] == os.getuid()


def _go_home():
    try:
        os.chdir(os.environ.get("HOME") or "/")
    except OSError:
        os.chdir("/")


def _stdin(size):
    return os.read(0, size)


def _exactly(size, read):
    data = b""
    while len(data) < size:
        more = read(min(size - len(data), 65536))
        if not more:
            sys.exit("the connection ended early")
        data += more
    return data


if __name__ == "__main__" and len(sys.argv) == 4:
    {"hold": hold, "call": call}[sys.argv[2]](sys.argv[3])
