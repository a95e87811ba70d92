"""Planned tasks as arguments of the collection's actions: steps, services, checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.drivers.base import driver
from benchhub_ansible.errors import JobError
from benchhub_ansible.job.model import Check
from benchhub_ansible.plan.limits import GRACE, SHUTDOWN_TIMEOUT
from benchhub_ansible.plan.model import Plan, PlannedTask
from benchhub_ansible.playbook.names import one_line
from benchhub_ansible.playbook.plays import RESULT, Data, seconds, where
from benchhub_ansible.playbook.yaml_text import literal

#: What a container engine may take beyond the grace time it gives a container, seconds.
_ENGINE_MARGIN = 20.0


def as_written(value: Any) -> Any:
    """Free data with every text marked that Ansible would take for an expression."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Mapping):
        return {key: as_written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_written(item) for item in value]
    return value


def what_runs(plan: Plan, task: PlannedTask) -> Data:
    """What a task runs (``shell``, ``argv``, ``container``, ``copy``, …), as its driver says; JobError if it cannot."""
    made = driver(task.driver)
    problem = made.problem(task.params)
    if problem is None and task.long and not made.serves:
        problem = f"the driver {task.driver} has no long-running tasks"
    if problem is not None:
        raise JobError(f"{where(plan, task.span.line)}: task {task.name!r}: {problem}")
    return dict(made.step(task.params))


def shutdown_of(plan: Plan, task: PlannedTask) -> Data | None:
    """How a service is asked to end: what the job says, else what its driver does, else nothing but signals."""
    if task.shutdown is not None:
        runs, timeout = what_runs(plan, task.shutdown), task.shutdown.timeout
    else:
        default = driver(task.driver).shutdown(task.params, task.grace)
        if default is None:
            return None
        runs, timeout = {**default, **surroundings(task)}, max(SHUTDOWN_TIMEOUT, task.grace + _ENGINE_MARGIN)
    return {"name": f"stop {one_line(task.name)}", **runs, "timeout": seconds(timeout)}


def surroundings(task: PlannedTask) -> Data:
    """Environment, folder and user of what a task runs."""
    found: Data = {}
    if task.env:
        found["env"] = dict(task.env)
    if task.chdir is not None:
        found["chdir"] = task.chdir
    if task.become:
        found["become"] = True
    if task.user is not None:
        found["user"] = task.user
    return found


def step(plan: Plan, task: PlannedTask) -> Data:
    """An item of ``steps``."""
    found: Data = {"name": shown_name(task), **what_runs(plan, task), **surroundings(task)}
    if task.when is not None:
        found["only_if"] = task.when
    found["timeout"] = seconds(task.timeout)
    if task.retry.count:
        found |= {"retries": task.retry.count, "delay": seconds(task.retry.delay)}
    if task.grace != GRACE:
        found["grace"] = seconds(task.grace)
    written: Data = as_written({**found, "line": task.span.line})
    return written


def async_step(task: PlannedTask) -> Data:
    """An item of ``steps`` that waits for the async job which the task before has begun, and ends it in time."""
    found: Data = {"name": shown_name(task), "async_job": RESULT, "timeout": seconds(task.timeout)}
    written: Data = as_written({**found, "grace": seconds(task.grace), "line": task.span.line})
    return written


def shown_name(task: PlannedTask) -> str:
    """The name of a step, in one line, as it is in results."""
    return " ".join(task.name.split()) or task.id


def service(plan: Plan, task: PlannedTask) -> Data:
    """The arguments of ``benchhub.bench.service``."""
    found: Data = {"name": task.service, **what_runs(plan, task), **surroundings(task), "grace": seconds(task.grace)}
    if shutdown := shutdown_of(plan, task):
        found["shutdown"] = shutdown
    if task.live is not None:
        found["live"] = live(task.live)
    written: Data = as_written({**found, "line": task.span.line})
    return written


def live(check: Check) -> Data:
    """The ``live`` of a service."""
    found: Data = {check.kind: check.target}
    if check.status:
        found["status"] = list(check.status)
    if check.body is not None:
        found["body"] = check.body
    if check.timeout is not None:
        found["timeout"] = seconds(check.timeout)
    return {**found, "interval": seconds(check.interval or 0), "failures": check.successes}


def host_and_port(target: str) -> tuple[str, str | int]:
    """The two halves of ``host:port``, brackets of an IPv6 address taken off."""
    host, _, port = target.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port) if port.isascii() and port.isdigit() else port


def ready(task: PlannedTask, check: Check) -> Data:
    """The arguments of ``benchhub.bench.wait_for``."""
    found: Data = {"service": task.service}
    if check.kind == "tcp":
        found["host"], found["port"] = host_and_port(check.target)
    else:
        found[{"http": "url", "file": "path"}.get(check.kind, check.kind)] = check.target
    if check.kind == "command":
        found |= surroundings(task)
    if check.status:
        found["status"] = list(check.status)
    if check.body is not None:
        found["body"] = check.body
    found["timeout"] = seconds(check.timeout or 0)
    if check.interval is not None:
        found["interval"] = seconds(check.interval)
    found["successes"] = check.successes
    written: Data = as_written(found)
    return written
