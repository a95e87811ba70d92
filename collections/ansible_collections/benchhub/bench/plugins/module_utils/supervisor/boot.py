"""The start of the daemon: its folder, its lock, and the one line that its starter prints."""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import fcntl
import gc
import os
import time

from . import facts, folders, processes, wire
from .calls import Caller
from .daemon import Daemon

#: A supervisor that was killed leaves monitors that still end what they watch.
_PREDECESSOR_LIMIT = 15.0


def main(config, program):
    """Prepares the folder, prints one JSON line, and goes on as the daemon; never returns."""
    gc.disable()
    code = 1
    try:
        answer, lock = _prepare(config, program)
        if lock is not None:
            _fork(config, answer, lock)
        _print(answer)
        code = 0
    except OSError as error:
        _print({"ok": False, "error": "the supervisor cannot be started: %s" % error})
    finally:
        os._exit(code)


def _print(answer):
    data = wire.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def _fork(config, answer, lock):
    """Returns in the starter, once the daemon serves or has failed to."""
    serves_r, serves_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(serves_r)
            _serve(config, serves_w)
            code = 0
        except BaseException as error:  # noqa: BLE001 - the last words of the daemon
            Daemon.log("the supervisor ended: %r" % error)
        finally:
            os._exit(code)
    os.close(serves_w)
    os.close(lock)
    if not os.read(serves_r, 1):
        answer.clear()
        answer.update(ok=False, error="the supervisor ended at its start: %s" % _last_line(config))


def _last_line(config):
    from . import status  # noqa: PLC0415 - only when it failed

    return " ".join(status.tail([os.path.join(config["dir"], ".benchhub", "log")], lines=1)) or "nobody knows why"


def _serve(config, serves):
    _detach(config)
    daemon = Daemon(config)
    caller = Caller(daemon.folder)
    wakeup_r, wakeup_w = os.pipe()
    os.set_blocking(wakeup_r, False)
    os.set_blocking(wakeup_w, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGTERM, lambda _number, _frame: daemon.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.set_wakeup_fd(wakeup_w, warn_on_full_buffer=False)
    daemon.watch(wakeup_r, lambda: _drain(wakeup_r))
    daemon.watch(caller.control, lambda: caller.read(daemon.requests.take, daemon.replies.waiting))
    processes.become_subreaper()
    caller.write_pid(os.getpid())
    os.write(serves, b"1")
    os.close(serves)
    gc.freeze()  # what is loaded stays: forks share its memory as long as nobody looks at it
    gc.enable()
    daemon.run()


def _drain(descriptor):
    try:
        while len(os.read(descriptor, 4096)) == 4096:
            pass
    except BlockingIOError:
        return


def _detach(config):
    os.setsid()
    folder = os.path.join(config["dir"], ".benchhub")
    os.chdir(folder)  # by this a client knows that the process with our number is us
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (null, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)


def _prepare(config, program):
    """(what to answer, the lock that says this supervisor lives — or None when there is one already)."""
    folder = os.path.join(config["dir"], ".benchhub")
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    if not _locked(lock, folder):
        os.unlink(program)
        return {"ok": False, "error": "a supervisor of this run already runs on this node (%s)" % config["dir"]}, None
    problem = _wipe(config, folder, os.path.basename(program))
    if problem:
        return {"ok": False, "error": problem}, None
    os.mkdir(os.path.join(folder, "units"), 0o700)
    jobs = os.path.join(config["dir"], folders.ASYNC)
    os.mkdir(jobs, 0o700)
    if os.geteuid() == 0 and config.get("login_uid") is not None:
        # steps and modules without become are the login user's, so the folders they write into are too
        for path in (jobs, config["dir"], os.path.dirname(config["dir"])):
            os.chown(path, config["login_uid"], config["login_gid"], follow_symlinks=False)
    return {"ok": True, "facts": facts.read(), "now": time.time()}, lock


def _locked(lock, folder):
    """Takes the lock. Monitors hold it too: a supervisor that was killed is waited for until all it ran has ended."""
    end = time.monotonic() + _PREDECESSOR_LIMIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if _serves(folder) or time.monotonic() > end:
                return False
            time.sleep(0.02)
        else:
            return True


def _serves(folder):
    """Whether the process that the pid file names is a supervisor of this folder."""
    try:
        with open(os.path.join(folder, "pid")) as file:
            return os.path.samefile("/proc/%d/cwd" % int(file.read()), folder)
    except (OSError, ValueError):
        return False


def _wipe(config, folder, program):
    """Removes what an earlier supervisor of the same run left; returns what hinders that, or None."""
    if os.path.exists(os.path.join(folder, "pid")):
        from .leftovers import Leftovers  # noqa: PLC0415 - only when an earlier one was there

        processes.kill_all(Leftovers(config["run"], config["slot"], config["dir"]).processes)
    left = folders.remove_tree(config["dir"], keep=lambda name: name == ".benchhub")
    left += folders.remove_tree(folder, keep=lambda name: name in ("lock", program))
    return "an earlier run's files cannot be removed: %s" % "; ".join(left) if left else None
