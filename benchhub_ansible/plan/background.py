"""Which modules run in the background: as async jobs, beside the other stages of their group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchhub_ansible.job.model import Job
from benchhub_ansible.plan.model import Plan, PlannedGroup, PlannedStage, PlannedTask
from benchhub_ansible.values import has_secret

_BUILTIN = "ansible.builtin."
#: Of ansible.builtin: what runs on the controller, wholly or in part, and cannot be an async job. A test asks Ansible.
ON_THE_CONTROLLER = frozenset(
    {
        *("add_host", "assemble", "assert", "async_status", "copy", "debug", "fail", "fetch", "gather_facts"),
        *("group_by", "import_playbook", "import_role", "import_tasks", "include_role", "include_tasks"),
        *("include_vars", "meta", "pause", "raw", "reboot", "script", "set_fact", "set_stats", "template"),
        *("unarchive", "validate_argument_spec", "wait_for_connection"),
    }
)


def why_in_place(stage: PlannedStage, task: PlannedTask) -> str | None:
    """Why Ansible has to run a module or role in place, in the words of a comment; None when it can be an async job."""
    if task.driver == "role":
        return "a role is many tasks"
    return next((reason for holds, reason in _reasons(stage, task) if holds), None)


def _reasons(stage: PlannedStage, task: PlannedTask) -> Iterator[tuple[bool, str]]:
    name = str(task.params.get("name", ""))
    yield stage.serial, "its stage takes its slots one after the other"
    yield stage.together, "its stage starts at one instant"
    yield not name.startswith(_BUILTIN), "whether a module of another collection can be an async job is not known"
    yield name.removeprefix(_BUILTIN) in ON_THE_CONTROLLER, "it runs on the controller, at least in part"
    yield task.retry.count > 0, "only Ansible can try it again"
    yield task.user is not None, "it runs as another user, in whose files nobody else may look"
    secret = any(map(has_secret, _texts((task.params, task.env))))
    yield secret, "it is given a secret, which is not to lie in a file on the node"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _texts(item))
    elif isinstance(value, list | tuple):
        yield from (text for item in value for text in _texts(item))


def _marked(stage: PlannedStage) -> PlannedStage:
    """The stage with its async jobs marked."""
    if not any(task.ansible for task in stage.tasks):
        return stage
    tasks = (replace(task, background=task.ansible and why_in_place(stage, task) is None) for task in stage.tasks)
    return replace(stage, tasks=tuple(tasks))


def _group(group: PlannedGroup) -> PlannedGroup:
    if len(group.stages) == 1:
        return group
    return replace(group, stages=tuple(map(_marked, group.stages)))


def mark_background(job: Job, plan: Plan) -> Plan:  # noqa: ARG001 - every pass has one signature
    """The plan with the modules marked that run beside other stages: a stage alone has nobody to wait for it."""
    return replace(plan, groups=tuple(map(_group, plan.groups)))
