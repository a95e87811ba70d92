"""Async jobs of Ansible: modules that go on in the background, watched and ended like a step.

ansible-core's async_wrapper runs the module in a session of its own and writes to a file that is named by the job id:
first that it has begun, in the end the module's result. It looks at its limit every 5 s only, ends nothing that left
its process group, and lives up to 5 s longer than its module. Here a job is over when its result is there, is ended
when its time is over, and leaves neither its wrapper nor a file.
"""

import _signal as signal  # the package's own `signal` imports enum: 5 ms of CPU
import os
import time

from . import folders, processes, wire

#: What the file holds as long as the module runs; a result has other keys.
_BEGUN = frozenset(("started", "finished", "ansible_job_id"))
#: The first and the longest pause between two looks at the file, seconds; its own date says when the module ended.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
_WRAPPER = b"async_wrapper"
#: What of a result tells people what happened, as in messages of Ansible.
_SAID = ("msg", "stderr", "module_stderr")


class AsyncJob:
    """One job, found by the id that its start has told."""

    def __init__(self, run_dir, jid):
        self._path = os.path.join(run_dir, folders.ASYNC, jid)
        name = jid.partition(".")[0].encode()
        self._wrappers = [pid for pid in wrappers(run_dir) if name in processes.arguments(pid)]
        self._scratch = {scratch(pid) for pid in self._wrappers}
        self._sessions = sessions(self._wrappers)
        self._members_seen = set()
        self._result = None
        self._end = None
        self.start = min([processes.started(pid) for pid in self._wrappers], default=time.time())

    def has_ended(self):
        """Whether the module's result is there, or will never be."""
        if self._read():
            return True
        if any(processes.running(pid) for pid in self._wrappers):
            return False
        if not self._read():  # it may have ended between the two looks
            self._result, self._end = {"failed": True, "msg": "the module was killed"}, time.time()
        return True

    def _read(self):
        try:
            with open(self._path, "rb") as file:
                told, end = wire.loads(file.read()), os.fstat(file.fileno()).st_mtime
        except (OSError, ValueError):
            return False
        if not isinstance(told, dict) or ("started" in told and _BEGUN.issuperset(told) and not told.get("finished")):
            return False
        self._result, self._end = told, end
        return True

    def record(self):
        """What the record of a step says of a module that has ended."""
        code = self._result.get("rc")
        failed = bool(self._result.get("failed", code not in (0, "0", None)))
        return {
            "state": "failed" if failed else "ok",
            "rc": code if isinstance(code, int) else None,
            "start": min(self.start, self._end),
            "end": self._end,
            **({"error": "the module failed"} if failed and not code else {}),
        }

    def write_output(self, out, err):
        """Keeps what the module printed, or said, in the files of a step."""
        printed = self._result.get("stdout")
        said = [text for text in map(self._result.get, _SAID) if isinstance(text, str) and text.strip()]
        for path, text in ((out, printed), (err, "\n".join(dict.fromkeys(said)))):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
                if isinstance(text, str) and text:
                    file.write(text.encode("utf-8", "replace").rstrip(b"\n") + b"\n")

    def end(self, grace):
        """Ends the module and all below it, with TERM and after ``grace`` seconds with KILL; then cleans up."""
        deadline = time.monotonic() + grace
        processes.send(self._members(), signal.SIGTERM)
        pause = 0.002
        while time.monotonic() < deadline and self._members():
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(0.05, pause * 2)
        processes.kill_all(self._members)
        self.clean_up()

    def _members(self):
        """The job's session, and what has left it and is, or was when last looked at, below the module."""
        for pid in processes.every():
            if session(pid) in self._sessions:
                self._members_seen.update([pid, *processes.descendants(pid)])
        return [pid for pid in self._members_seen if processes.running(pid)]

    def clean_up(self):
        """Does at once what the wrapper would do when it looks next: ends, and removes its folder; and the result."""
        processes.kill_all(lambda: [pid for pid in self._wrappers if is_wrapper(pid)])
        for folder in self._scratch:
            remove(folder)
        try:
            os.unlink(self._path)
        except OSError:
            return


def wait(monitor, job, limit):
    """Whether the job has ended before the limit (monotonic), and before its unit was told to end."""
    pause = _FIRST_PAUSE
    while not job.has_ended():
        due = time.monotonic() + pause
        monitor.until(lambda: False, due if limit is None else min(due, limit))
        if monitor.stopping or (limit is not None and time.monotonic() >= limit):
            return job.has_ended()
        pause = min(_LONGEST_PAUSE, pause * 1.2)
    return True


def wrappers(run_dir):
    """Ansible's async_wrappers of those who may write into a run's folder: ourselves, and the login user."""
    try:
        owners = (os.geteuid(), os.stat(run_dir).st_uid)
    except OSError:
        owners = (os.geteuid(),)
    return [pid for pid in processes.every() if is_wrapper(pid) and processes.owner(pid) in owners]


def is_wrapper(pid):
    """Whether a process is Ansible's async_wrapper."""
    return any(_WRAPPER in os.path.basename(word) for word in processes.arguments(pid)[:4])


def sessions(pids):
    """The sessions that wrappers made for their modules; the leader of such a session ends at once."""
    return {leader for leader in map(session, pids) if leader is not None and not processes.running(leader)}


def session(pid):
    """The session of a process; None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def scratch(pid):
    """The folder a wrapper removes when its module has ended, by its own rule; None when there is none."""
    words = processes.arguments(pid)
    place = next((n for n, word in enumerate(words) if _WRAPPER in os.path.basename(word)), None)
    if place is None or len(words) < place + 4 or b"-preserve_tmp" in words:
        return None
    folder = os.path.dirname(words[place + 3])
    return os.fsdecode(folder) if b"-tmp-" in folder else None


def remove(folder):
    """Removes such a folder."""
    if folder is not None:
        folders.remove_tree(folder)
