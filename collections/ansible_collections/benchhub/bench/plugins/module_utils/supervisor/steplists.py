"""A unit of kind ``steps``: run-and-finish steps one after the other; the first that fails ends the list."""

import os
import time

from . import aftermath, status

#: After the common instant nothing of ours runs on the node for so long, while the commands start, seconds.
_QUIET = 0.1


def run(monitor, gate_class):
    """Runs the list; the monitor's last report says ok, failed or, when it was told to end, stopped."""
    steps = monitor.request["steps"]
    gate = gate_class() if monitor.request.get("together") else None
    if gate is None:
        monitor.status["start"] = time.time()  # reported with the first step
    state = "ok"
    for step, record in zip(steps, monitor.status["steps"]):  # noqa: B905 - Python 3.8 has no strict
        if not _run_step(monitor, step, record, gate):
            state = "stopped" if monitor.status["told"] else "failed"
            break
        if record["state"] != "skipped":
            gate = None
    if monitor.status["start"] is None:
        monitor.status["start"] = time.time()  # nothing had to be done
    for record in monitor.status["steps"]:
        if record["state"] == "pending":
            record["state"] = "not-run"
    if state != "ok":
        monitor.end_all(monitor.request.get("grace") or _grace(steps))
    monitor.ended(state, error=_error(monitor, state))


def _grace(steps):
    return max([step.get("grace") or 0 for step in steps] + [1.0])


def _error(monitor, state):
    if state == "ok":
        return None
    if monitor.stopping:
        return monitor.why()
    for record in monitor.status["steps"]:
        if record["state"] in ("failed", "timeout", "killed"):
            return record.get("error") or "step %d %r failed" % (record["index"], record["name"])
    return "it did not end well"


def _run_step(monitor, step, record, gate):
    """Whether the next step may run."""
    try:
        if step.get("when") and not _wanted(monitor, step, record):
            return record["state"] == "skipped"
        if step["kind"] == "async" and not step["jid"]:
            record["state"] = "skipped"
            return True
        if step["kind"] == "async":
            _follow(monitor, step, record)
        else:
            _tries(monitor, step, record, gate)
    except OSError as error:
        record.update(state="failed", error=str(error), end=time.time())
    if record["state"] in ("failed", "timeout"):
        outputs = [_path(monitor, record, "stderr"), _path(monitor, record, "stdout")]
        record["tail"] = status.tail(outputs, monitor.masks)
    # not reported here: the next step's start or the unit's end follows at once
    return record["state"] == "ok"


def _tries(monitor, step, record, gate):
    """Runs a step until it ends well or has been tried often enough."""
    retries = step.get("retries") or {}
    for attempt in range(1 + int(retries.get("count") or 0)):
        if attempt and not _pause(monitor, float(retries.get("delay") or 0)):
            break  # told to end meanwhile: the step failed, and is not tried again
        record["attempts"] = attempt + 1
        _try(monitor, step, record, gate)
        gate = None
        problem = aftermath.follow(monitor, step, record, "%02d" % record["index"])
        if problem and record["state"] == "ok":
            record.update(state="failed", error=problem)
        if record["state"] == "ok" or monitor.stopping or _overdue(monitor.deadline):
            break


def _follow(monitor, step, record):
    """Waits for a module that Ansible has begun as an async job."""
    from . import asyncjobs  # noqa: PLC0415 - most units have none

    job = asyncjobs.AsyncJob(monitor.context.run_dir, step["jid"])
    record.update(state="running", start=job.start, attempts=1)
    monitor.report()
    if asyncjobs.wait(monitor, job, _limit(monitor, step)):
        record.update(job.record())
        job.write_output(_path(monitor, record, "stdout"), _path(monitor, record, "stderr"))
        job.clean_up()
    else:
        job.end(step.get("grace") or 1.0)
        record["end"] = time.time()
        _broken_off(monitor, step, record)


def _path(monitor, record, stream):
    return os.path.join(monitor.folder, record[stream])


def _overdue(deadline):
    return deadline is not None and time.monotonic() >= deadline


def _pause(monitor, seconds):
    if seconds > 0:
        monitor.report()
    monitor.until(lambda: False, time.monotonic() + seconds)
    return not monitor.stopping


def _wanted(monitor, step, record):
    """Whether the step's condition, a command for sh on this node, ends with 0; if not, its record says what now."""
    test = {key: step[key] for key in ("env", "chdir", "user") if key in step}
    test.update(kind="shell", text=step["when"], name="the condition of %s" % record["name"])
    pid = monitor.spawn(test, os.devnull, os.devnull)
    if not monitor.until(lambda: monitor.has_ended(pid), _limit(monitor, step)):
        monitor.end_all(0.5)
        monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + 1.0, even_if_stopping=True)
        record["state"] = "killed" if monitor.stopping else "timeout"
        record["error"] = "its condition did not end in time"
        return False
    if monitor.ended_with(pid)[0] == 0:
        return True
    record["state"] = "skipped"
    return False


def _limit(monitor, step):
    limits = [monitor.deadline] if monitor.deadline is not None else []
    if step.get("timeout"):
        limits.append(time.monotonic() + step["timeout"])
    return min(limits) if limits else None


def _try(monitor, step, record, gate):
    """One try of a step."""
    if step.get("staged"):
        step["staged_path"] = os.path.join(monitor.folder, "..", "..", step["staged"])
    record.update(state="running", start=time.time(), end=None, rc=None, signal=None)
    record.pop("error", None)
    pid = monitor.spawn(step, _path(monitor, record, "stdout"), _path(monitor, record, "stderr"), gate)
    if gate is not None and not _released(monitor, record, gate, pid):
        return
    monitor.report()
    in_time = monitor.until(lambda: monitor.has_ended(pid), _limit(monitor, step))
    if not in_time:
        monitor.end_all(step.get("grace") or 1.0)
        monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + 5.0, even_if_stopping=True)
    record["end"] = time.time()
    if monitor.has_ended(pid):
        record["rc"], record["signal"] = monitor.ended_with(pid)
    if not in_time:
        _broken_off(monitor, step, record)
    else:
        record["state"] = "ok" if record["rc"] == 0 else "failed"


def _broken_off(monitor, step, record):
    """Notes why a step had to end: it was told to, or its time was over."""
    told = monitor.stopping
    record["state"] = "killed" if told else "timeout"
    record["error"] = monitor.why() if told else _timeout_error(step, monitor)
    if not told and _overdue(monitor.deadline):
        monitor.status["ended_by"] = "deadline"


def _timeout_error(step, monitor):
    if step.get("timeout") and not _overdue(monitor.deadline):
        return "did not end within %g s" % step["timeout"]
    return "the stage's deadline passed"


def _released(monitor, record, gate, pid):
    """Waits, armed, for the common instant; records when the step really started and how late that was."""
    record["state"] = "pending"
    record["start"] = None
    monitor.report(state="armed")
    monitor.until(lambda: monitor.release_at is not None or monitor.has_ended(pid), monitor.deadline)
    if monitor.release_at is None:
        gate.close()
        monitor.until(lambda: monitor.has_ended(pid), time.monotonic() + 5.0, even_if_stopping=True)
        record.update(state="killed", error="never released")
        if not monitor.stopping and not _overdue(monitor.deadline):
            record.update(state="failed", error="it cannot be started")
            record["rc"], record["signal"] = monitor.ended_with(pid)
        return False
    started = _started(monitor, gate, pid)
    if started is None and monitor.stopping:
        monitor.end_all(0)  # it sleeps until its instant
        record.update(state="killed", error=monitor.why())
        return False
    record.update(state="running", start=started)
    monitor.status["together"] = {
        "target": monitor.release_at,
        "started": started,
        "late": None if started is None else started - monitor.release_at,
    }
    monitor.status.update(state="running", start=started)
    return True


def _started(monitor, gate, pid):
    """When the command really began; None when it could not, or was told to end before its instant."""
    gate.release(monitor.release_at)
    quiet_until = time.monotonic() + monitor.release_at - time.time() + _QUIET
    monitor.until(lambda: monitor.has_ended(pid), quiet_until)
    monitor.watch(gate.watched())
    began = []

    def known():
        began[:] = [gate.started()]
        return began[0] is not None or monitor.has_ended(pid)

    monitor.until(known, monitor.deadline)
    monitor.unwatch(gate.watched())
    gate.close()
    return began[0]
