"""Starting one command: its own session, no input, output to files, the right user, and a start at an instant."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import gc
import os
import struct
import sys
import time

from .processes import MARKER

#: A waiting command wakes this long before its instant and spins: sleeping is only exact to some 0.2 ms.
_SPIN = 0.002

#: What the shell also says when a command cannot be started.
_CANNOT_START = 126
_NOT_FOUND = 127

_DEFAULT_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ)


class Gate:
    """Holds one command at its start until an instant is told; afterwards ``started`` says when it really began."""

    def __init__(self):
        self._release_r, self._release_w = os.pipe()
        self._started_r, self._started_w = os.pipe()

    def release(self, instant):
        """Tells the waiting command the instant, on this node's clock."""
        os.write(self._release_w, struct.pack("d", instant))

    def watched(self):
        """The descriptor that has something as soon as the command began, or will not any more."""
        self._close("_started_w")
        os.set_blocking(self._started_r, False)
        return self._started_r

    def started(self):
        """When the command began; None when it has not, or never did."""
        try:
            data = os.read(self._started_r, 8)
        except BlockingIOError:
            return None
        return struct.unpack("d", data)[0] if len(data) == 8 else None

    def wait(self):
        """In the child: sleeps until the instant and records it."""
        self._close("_release_w")
        data = os.read(self._release_r, 8)
        if len(data) < 8:
            os._exit(_CANNOT_START)  # the monitor gave up
        instant = struct.unpack("d", data)[0]
        while True:
            left = instant - time.time()
            if left <= _SPIN:
                break
            time.sleep(left - _SPIN)
        now = time.time()
        while now < instant:
            now = time.time()
        os.write(self._started_w, struct.pack("d", now))

    def close(self):
        """Gives the pipes back; a command that still waits ends."""
        for name in ("_release_r", "_release_w", "_started_r", "_started_w"):
            self._close(name)

    def _close(self, name):
        descriptor = getattr(self, name)
        if descriptor is not None:
            setattr(self, name, None)
            os.close(descriptor)


class Context:
    """What all commands of a unit share: run folder, marker, who the login user is, texts to read, environment."""

    def __init__(self, config, unit, inputs=None):
        self.run_dir = config["dir"]
        self.marker = "%s/%s/%s" % (config["run"], config["slot"], unit)
        self.login = (config.get("login_uid"), config.get("login_gid"))
        self._inputs = inputs or {}
        self.base_env = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "BENCHHUB_", "SUDO_"))
        }

    def spawn(self, step, out, err, gate=None):
        """The pid of the step's process; what hinders it is said in its error output, with exit code 126 or 127."""
        if gate is None:
            try:
                if self._is_plain(step):
                    return self._spawn_plain(step, out, err)
            except (OSError, ValueError, NotImplementedError):
                pass  # the other way says what hinders it
        sys.stdout.flush()
        # A TERM that met the child while it still has the monitor's handler would be lost: the command would be killed.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
            return pid
        try:
            self._become_command(step, out, err, gate)
        except BaseException as error:  # noqa: BLE001 - the child must never return into the monitor's code
            _say("benchhub: cannot start %s: %s\n" % (step.get("name") or "the command", error))
            os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_START)

    def _is_plain(self, step):
        """Whether it is a command with a path, for which this process has nothing to do after the fork."""
        if step["kind"] == "file" or step.get("input") is not None or step.get("unpack"):
            return False
        same_user = step.get("user") is None and self.login[0] in (None, os.geteuid())
        return same_user and "/" in _argv(step)[0]

    def _spawn_plain(self, step, out, err):
        """Starts a command without a copy of this process: a fork costs half of what a short command costs in all."""
        os.chdir(self._folder_of(step))
        try:
            argv = _argv(step)
            write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            outputs = [(os.POSIX_SPAWN_OPEN, 1, out, write, 0o600), (os.POSIX_SPAWN_OPEN, 2, err, write, 0o600)]
            return os.posix_spawn(
                argv[0],
                argv,
                self._environment(step),
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *outputs],
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
            )
        finally:
            os.chdir("/")  # what the job has there may be unmounted

    def _folder_of(self, step):
        return os.path.join(self.run_dir, step.get("chdir") or ".")

    def _environment(self, step, **login):
        env = dict(self.base_env, **login)
        env.update((str(key), str(value)) for key, value in (step.get("env") or {}).items())
        env[MARKER] = self.marker
        return env

    def _become_command(self, step, out, err, gate):
        gc.disable()
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in _DEFAULT_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        _redirect(self._inputs.get(step.get("input")), out, err)
        os.umask(0o022)
        source = os.open(step["staged_path"], os.O_RDONLY) if step.get("staged_path") else None
        env = self._environment(step, **self._switch_user(step.get("user")))
        os.chdir(self._folder_of(step))
        argv = _argv(step)
        if step.get("unpack"):
            from .files import write  # noqa: PLC0415 - only steps that bring a folder need it

            if write({"dest": step["unpack"], "directory": True}, source):
                os._exit(_CANNOT_START)
        if gate is not None:
            gate.wait()
        if argv is None:
            from .files import write  # noqa: PLC0415 - only file steps need it

            os._exit(write(step, source))
        os.execvpe(argv[0], argv, env)  # noqa: S606 - a shell is the job's choice

    def _switch_user(self, user):
        """Becomes the step's user, else the login user; raises when this process may not. What its environment gets."""
        import pwd  # noqa: PLC0415 - only where a user changes

        if user is None:
            uid = self.login[0]
            if uid is None or uid == os.geteuid():
                return {}
            try:
                entry = pwd.getpwuid(uid)
            except KeyError:  # an account that only the connection knows
                entry = pwd.struct_passwd(("", "", uid, self.login[1], "", "/", ""))
        else:
            try:
                entry = pwd.getpwuid(int(user)) if str(user).isdigit() else pwd.getpwnam(user)
            except KeyError:
                raise PermissionError("there is no user %s on this node" % user) from None
            if entry.pw_uid == os.geteuid():
                return {}
        if os.geteuid() != 0:
            raise PermissionError("user %s is asked for, but the supervisor is not root (become is needed)" % user)
        for stream in (1, 2):  # otherwise the command could not open /dev/stdout and /dev/stderr
            os.fchown(stream, entry.pw_uid, -1)
        if entry.pw_name:
            os.initgroups(entry.pw_name, entry.pw_gid)
        else:
            os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}


def _argv(step):
    kind = step["kind"]
    if kind == "exec":
        return [str(item) for item in step["argv"]]
    if kind == "shell":
        # "--" would be taken for the script by some shells: a text that begins with "-" is safe after "-c" as it is
        return [step.get("executable") or "/bin/sh", "-c", step["text"]]
    if kind == "file":
        return None
    raise ValueError("unknown kind of step %r" % kind)


def _redirect(text, out, err):
    """Input is closed, or a text that fits into a pipe."""
    if text is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    else:
        reader, writer = os.pipe()
        os.write(writer, text.encode("utf-8", "surrogateescape"))
        os.close(writer)
        os.dup2(reader, 0)
        os.close(reader)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(out, flags, 0o600), 1)
    os.dup2(os.open(err, flags, 0o600), 2)


def _say(text):
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        return
