"""A unit of kind ``service``: one long-running command, watched, and ended with its whole family when told to."""

import _signal as signal
import os
import time

from . import aftermath, jobfile, processes, status

_SHUTDOWN_LIMIT = 30.0
_GRACE = 10.0
_LIVE_INTERVAL = 5.0
_OVERDUE = "its deadline passed"


def run(monitor, _gate):
    """Runs the service until it ends or is told to; ending before it was told to is a failure, whatever the code."""
    request = monitor.request
    out, err = (os.path.join(monitor.folder, name) for name in ("01.out", "01.err"))
    pid = monitor.spawn(dict(request["service"], name=request["unit"]), out, err)
    monitor.report(start=time.time(), pid=pid)
    jobfile.write(request, {"started": 1, "finished": 0})
    main = {"pid": pid, "gone": False}
    problem = _watch(monitor, main)
    if problem is None and monitor.stopping:
        _shut_down(monitor)
    elif problem is not None and not monitor.stopping:
        monitor.status["ended_by"] = "deadline" if problem == _OVERDUE else "live"
    left = not monitor.end_all(request.get("grace") or _GRACE)
    monitor.reap()
    _note_exit(monitor, main)
    not_removed = aftermath.follow(monitor, request["service"], monitor.status, "01")
    state = "stopped" if monitor.status["told"] and problem is None else "failed"
    changes = {}
    if left or not_removed:
        changes["error"] = not_removed or "some of its processes could not be ended"
    elif state == "failed":
        changes["error"] = problem or monitor.status.get("reason") or aftermath.cause(monitor.status)
    if state == "failed":
        changes["tail"] = status.tail([err, out], monitor.masks)
    monitor.ended(state, **changes)
    jobfile.write(request, jobfile.finished(monitor.status, out, err, monitor.masks))


def _note_exit(monitor, main):
    if not main["gone"] and monitor.has_ended(main["pid"]):
        main["gone"] = True
        code, number = monitor.ended_with(main["pid"])
        monitor.status["exit"], monitor.status["signal"] = code, number


def _over(monitor, main):
    """Whether the service has ended: its command did, and nothing it put into the background with code 0 lives on."""
    _note_exit(monitor, main)
    if not main["gone"]:
        return False
    return monitor.status["exit"] != 0 or not monitor.alive()


def _watch(monitor, main):
    """None when the service ended or has to; else what its live check or deadline says."""
    live = monitor.request.get("live")
    failures = 0
    while True:
        now = time.monotonic()
        probe_at = now + float(live.get("interval") or _LIVE_INTERVAL) if live else None
        wake = min([due for due in (monitor.deadline, probe_at) if due is not None], default=None)
        if monitor.until(lambda: _over(monitor, main), wake) or monitor.stopping:
            return None
        if monitor.deadline is not None and time.monotonic() >= monitor.deadline:
            return _OVERDUE
        if live is None:
            continue
        problem = _probe(monitor, live)
        failures = failures + 1 if problem else 0
        if failures >= int(live.get("failures") or 3):
            return "its live check failed %d times: %s" % (failures, problem)


def _probe(monitor, live):
    """None when the service is alive; the check runs in a child, so that a stuck one cannot stop the watching."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        problem = "the check itself failed"
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            from .checks import Check  # noqa: PLC0415 - only the child needs it

            problem = Check(dict(live, unit_folder=monitor.folder), monitor.context).attempt() or ""
        except Exception as error:  # noqa: BLE001 - what is wrong with a check is its outcome
            problem = "the check itself failed: %s" % error
        finally:
            try:
                os.write(writer, problem.encode("utf-8", "replace")[:2000])
            finally:
                os._exit(0)
    os.close(writer)
    monitor.await_exit(pid)
    try:
        if not monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + float(live.get("timeout") or 10.0)):
            # with the check's command: nothing of a check may pile up below the service
            processes.send([pid, *processes.descendants(pid)], signal.SIGKILL)
            monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + 1.0, even_if_stopping=True)
            return None if monitor.stopping else "no answer in %g s" % float(live.get("timeout") or 10.0)
        monitor.ended_with(pid)
        return os.read(reader, 4000).decode("utf-8", "replace") or None
    finally:
        os.close(reader)


def _shut_down(monitor):
    """Runs the job's own shutdown command, and gives the service time to end by it."""
    step = monitor.request.get("shutdown")
    if not step or not monitor.alive():
        return
    pid = monitor.spawn(step, *(_output(monitor.folder, name) for name in ("shutdown.out", "shutdown.err")))
    limit = time.monotonic() + float(step.get("timeout") or _SHUTDOWN_LIMIT)
    in_time = monitor.until(lambda: monitor.has_ended(pid), limit, even_if_stopping=True)
    if in_time:
        code, number = monitor.ended_with(pid)
        monitor.status["shutdown"] = {"rc": code, "signal": number}
        if code == 0:
            monitor.gone_by(time.monotonic() + float(monitor.request.get("grace") or _GRACE))
    else:
        monitor.status["shutdown"] = {"rc": None, "signal": None, "error": "did not end in time"}


def _output(folder, name):
    """A file for an output, or nothing: a full disk or a removed folder must not keep a service from being asked."""
    path = os.path.join(folder, name)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError:
        return os.devnull
    return path
