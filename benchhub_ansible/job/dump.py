"""Job → plain data in YAML's shape: what both notations are written from. Loading it gives an equal job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchhub_ansible.job.build_task import default_name
from benchhub_ansible.job.model import Block, Check, Group, Job, Metric, NodeRequest, NodeSelector, Secret, Stage, Task
from benchhub_ansible.values import format_duration

Data = dict[str, Any]


def job_data(job: Job) -> Data:
    """The job without what is at its default."""
    data: Data = {"version": 2, "name": job.name}
    for key in ("reason", "workload", "database"):
        _put(data, key, getattr(job, key))
    _put(data, "vars", dict(job.vars))
    _put(data, "secrets", {secret.name: _secret(secret) for secret in job.secrets})
    _put(data, "nodes", {node.name: _node(node) for node in job.nodes})
    _put(data, "central", job.central)
    _put(data, "timeout", _duration(job.timeout))
    data["stages"] = [_stage(stage) for stage in job.stages]
    data["pipeline"] = [_group(item) if isinstance(item, Group) else _block(item) for item in job.pipeline]
    _put(data, "cleanup", [ref.name for ref in job.cleanup])
    return data


def _put(data: Data, key: str, value: Any) -> None:
    is_default = value is None or value is False or (isinstance(value, dict | list) and not value)
    if not is_default:
        data[key] = value


def _duration(seconds: float | None) -> str | float | None:
    """``2m`` where that is exact, else the number of seconds."""
    if seconds is None:
        return None
    return format_duration(seconds) if seconds == round(seconds * 1000) / 1000 and seconds >= 1 else _number(seconds)


def _number(value: float | None) -> float | None:
    return int(value) if value is not None and value == int(value) and abs(value) < 2**53 else value


def _size(size: int | None) -> str | int | None:
    """``8GiB`` where that is exact, else the number of bytes."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return size


def _secret(secret: Secret) -> Data:
    return {"env": secret.env} if secret.env is not None else {"file": secret.file}


def _node(node: NodeRequest) -> Data:
    data: Data = {"type": node.type}
    _put(data, "count", None if node.count == 1 else node.count)
    _put(data, "cpus", node.cpus)
    _put(data, "memory", _size(node.memory))
    _put(data, "features", list(node.features))
    _put(data, "options", dict(node.options))
    return data


def _stage(stage: Stage) -> Data:
    data: Data = {"name": stage.name, "nodes": _selector(stage.nodes)}
    _put(data, "start", "together" if stage.together else None)
    _put(data, "serial", stage.serial)
    data["tasks"] = [_task(task) for task in stage.tasks]
    return data


def _selector(selector: NodeSelector) -> Any:
    if selector.all:
        return "all"
    data: Data = {}
    for key, names in (("type", selector.types), ("name", selector.names)):
        _put(data, key, names[0] if len(names) == 1 else list(names))
    return data


def _task(task: Task) -> Data:
    data: Data = {}
    _put(data, "name", None if task.name == default_name(task.driver, task.params) else task.name)
    data[task.driver] = _params(task.driver, task.params)
    _put(data, "type", "long" if task.long else None)
    _put(data, "env", dict(task.env))
    for key in ("chdir", "become", "user", "when"):
        _put(data, key, getattr(task, key))
    _put(data, "timeout", _duration(task.timeout))
    if task.retry is not None:
        data["retry"] = (
            task.retry.count
            if task.retry.delay == 1.0
            else {"count": task.retry.count, "delay": _duration(task.retry.delay)}
        )
    for key in ("ready", "live"):
        check: Check | None = getattr(task, key)
        _put(data, key, _check(check) if check is not None else None)
    _put(data, "shutdown", _task(task.shutdown) if task.shutdown is not None else None)
    _put(data, "grace", _duration(task.grace))
    _put(data, "metrics", [_metric(metric) for metric in task.metrics])
    _put(data, "collect", list(task.collect))
    return data


def _params(driver: str, params: Any) -> Any:
    if driver == "shell":
        return (
            params["text"]
            if params["executable"] is None
            else {"run": params["text"], "executable": params["executable"]}
        )
    if driver == "exec":
        return list(params["argv"])
    return listed(params)


def listed(value: Any) -> Any:
    """The value with tuples as lists and mappings as dicts."""
    if isinstance(value, Mapping):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [listed(item) for item in value]
    return value


def _check(check: Check) -> Data:
    data: Data = {check.kind: check.target}
    _put(data, "timeout", _duration(check.timeout))
    _put(data, "interval", _duration(check.interval))
    _put(data, "successes", check.successes)
    _put(data, "status", check.status[0] if len(check.status) == 1 else list(check.status))
    _put(data, "body", check.body)
    return data


def _metric(metric: Metric) -> Data:
    data: Data = {"name": metric.name}
    for key in ("unit", "better", "regex", "jsonpath", "plugin", "file"):
        _put(data, key, getattr(metric, key))
    _put(data, "aggregate", None if metric.aggregate == "none" else metric.aggregate)
    for key in ("min", "max"):
        value = _number(getattr(metric, key))
        if value is not None:
            data[key] = value
    if not metric.required:
        data["required"] = False
    return data


def _group(group: Group) -> list[str]:
    return [ref.name for ref in group.stages]


def _block(block: Block) -> Data:
    data: Data = {"repeat": block.repeat}
    _put(data, "warmup", block.warmup or None)
    _put(data, "matrix", {name: list(values) for name, values in block.matrix.items()})
    data["stages"] = [_group(group) for group in block.groups]
    return data
