"""What a task tells of its slots: a record for machines and a message for people."""

from __future__ import annotations

from ansible_collections.benchhub.bench.plugins.module_utils.references import UnknownReferenceError
from ansible_collections.benchhub.bench.plugins.plugin_utils.fanout import OverdueError
from ansible_collections.benchhub.bench.plugins.plugin_utils.links import BadReplyError, UnreachableError
from ansible_collections.benchhub.bench.plugins.plugin_utils.secrets import MissingSecretError

RESULT_VERSION = 1

#: States of a unit or step that mean it did not do what it was for.
FAILED_STATES = ("failed", "timeout", "killed")


class RefusedError(Exception):
    """The task cannot be done as it stands; the message says why."""


#: What a user or a node can cause; anything else is a defect and may show its traceback.
EXPECTED = (RefusedError, UnreachableError, BadReplyError, OverdueError, UnknownReferenceError, MissingSecretError)


class Report:
    """The records of all slots of one task, in the order they came, and the messages of those that failed."""

    def __init__(self, op, title=None):
        self.op = op
        self.title = title
        self.hosts = {}
        self.messages = []

    def ok(self, slot, **facts):
        """Keeps the record of a slot where all is well."""
        self.hosts[slot] = {"status": "ok", **facts}

    def fail(self, slot, message, status="failed", **facts):
        """Keeps the record of a slot that failed, and what to tell of it."""
        self.hosts[slot] = {"status": status, "error": message, **facts}
        self.messages.append(f"{slot}: {message}")

    def error(self, slot, error):
        """Keeps the record of a slot whose call ended with an exception."""
        if not isinstance(error, EXPECTED):
            raise error
        lost = isinstance(error, (UnreachableError, OverdueError))
        self.fail(slot, f"cannot be reached: {error}" if lost else str(error), "unreachable" if lost else "failed")

    @property
    def failed(self):
        """Whether any slot failed."""
        return bool(self.messages)

    def result(self):
        """The part of an Ansible result that this report makes."""
        data = {"version": RESULT_VERSION, "op": self.op, "hosts": self.hosts}
        if self.title:
            data["title"] = self.title
        message = "\n".join(self.messages) if self.messages else f"{self.op}: {len(self.hosts)} node(s) ok"
        return {"failed": self.failed, "msg": message, "benchhub": data}


def _lines(tail):
    lines = tail if isinstance(tail, list) else str(tail or "").splitlines()
    return "".join(f"\n    {line}" for line in lines)


def _ending(status):
    if status.get("state") == "timeout":
        return "did not end in time"
    if status.get("signal"):
        return f"was ended by signal {status['signal']}"
    code = status.get("rc", status.get("exit"))
    if code is not None:
        return f"ended with exit code {code}"
    return status.get("error") or "failed"


def step_failure(unit, status, lines=None):
    """What to tell of a run-and-finish unit that failed: step, job line, exit code, last lines of its output."""
    for step in status.get("steps") or ():
        if step.get("state") in FAILED_STATES:
            number = step.get("index", 0)
            place = (lines or {}).get(step.get("name"))
            where = f" (job line {place})" if place else ""
            tries = f" after {step['attempts']} tries" if (step.get("attempts") or 1) > 1 else ""
            said = step.get("error") or _ending(step)
            tail = step.get("tail") or status.get("tail")
            name = repr(step["name"]) if step.get("name") else str(number)
            return f"step {name}{where} of {unit} {said}{tries}{_lines(tail)}"
    return f"{unit} {status.get('error') or _ending(status)}{_lines(status.get('tail'))}"


def service_failure(name, status):
    """What to tell of a service that ended before it was told to, or that its live check found dead."""
    error = status.get("error")
    if error and status.get("ended_by"):
        said = f"was ended: {error}"  # how it then ended says nothing
    else:
        said = f"{_ending(status)} before it was told to end" + (f" ({error})" if error else "")
    return f"service {name} {said}{_lines(status.get('tail'))}"


def unit_failure(unit, status, lines=None):
    """The message of any unit that failed."""
    if status.get("kind") == "service":
        return service_failure(unit, status)
    return step_failure(unit, status, lines)


def progress(slot, reply, started, now):
    """``loader-1 (step 2 of 3 'load', 45 s)`` of a unit that still runs."""
    for unit, status in (reply.get("units") or {}).items():
        steps = status.get("steps") or []
        for number, step in enumerate(steps, start=1):
            if step.get("state") in ("running", "pending"):
                return f"{slot} (step {number} of {len(steps)} {step.get('name')!r} of {unit}, {now - started:.0f} s)"
    return f"{slot} ({now - started:.0f} s)"
