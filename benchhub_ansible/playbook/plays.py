"""What the plays of both profiles share: their frame, what happens on failure, and the tasks that Ansible runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from benchhub_ansible.drivers.base import ansible_driver
from benchhub_ansible.errors import JobError
from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.playbook.names import ALL_GROUP, FAILED_GROUP, host_patterns, task_name

Data = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlayFile:
    """A file of ``stages/``: what it is called, the comment at its head, and its plays."""

    name: str
    title: str
    header: tuple[str, ...]
    plays: list[Data] = field(default_factory=list)


def rescue() -> list[Data]:
    """What every play does when something of it fails: nothing but teardown follows, on any slot."""
    return [
        {"name": "Keep every slot for the teardown", "ansible.builtin.meta": "clear_host_errors"},
        {
            "name": "Let nothing but the teardown follow",
            "ansible.builtin.add_host": {"name": "{{ item }}", "groups": FAILED_GROUP},
            "loop": "{{ groups['" + ALL_GROUP + "'] }}",
            "changed_when": False,
        },
    ]


def play(
    name: str,
    hosts: Iterable[str],
    tasks: list[Data],
    *,
    always: bool = False,
    serial: bool = False,
    keywords: Data | None = None,
) -> Data:
    """A play on those hosts, unless the run has failed before (``always``: also then)."""
    patterns = [*hosts] if always else [*hosts, f"!{FAILED_GROUP}"]
    # With serial, Ansible has chosen the hosts before the first one fails: each turn has to look again.
    look = {"when": f"groups['{FAILED_GROUP}'] | length == 0"} if serial and not always else {}
    return {
        "name": name,
        "hosts": ":".join(patterns),
        "gather_facts": False,
        **({"serial": 1} if serial else {}),
        **(keywords or {}),
        "tasks": [{"name": name, **look, "block": tasks, "rescue": rescue()}],
    }


def seconds(value: float) -> float | int:
    """Seconds as a person writes them."""
    return int(value) if float(value).is_integer() else value


def where(plan: Plan, line: int) -> str:
    """``job.yml:12``; empty for what no file says."""
    return f"{plan.source}:{line}"


def stage_header(plan: Plan, stage: PlannedStage, note: str) -> tuple[str, ...]:
    """The comment above a stage's play."""
    slots = f"{len(stage.slots)} slots" if len(stage.slots) > 1 else "1 slot"
    first = f'Stage "{shown_line(stage.title)}" ({shown_line(where(plan, stage.span.line))}), {note}; {slots}.'
    lines = [first]
    if stage.together:
        lines.append("Its first task starts at one instant on all of them.")
    if stage.serial:
        lines.append("One slot after the other.")
    return tuple(lines)


def shown_line(text: str) -> str:
    """A text as a comment can hold it: one line, nothing that ends it."""
    return "".join(c if c.isprintable() else " " for c in text)


def patterns(plan: Plan, stage: PlannedStage) -> list[str]:
    """What the stage's play says in ``hosts``."""
    return list(host_patterns(plan, stage.hosts))


# -- tasks that Ansible runs ------------------------------------------------------------------------------------------

Render = Callable[[str], str]

#: The variable in which a play keeps what a module said.
RESULT = "benchhub_result"
_ASKED = "benchhub_when.rc == 0"
#: Seconds by which Ansible's own limit of an async job is longer than what the supervisor gives it.
_ASYNC_MARGIN = 30


def ansible_tasks(
    plan: Plan, stage: PlannedStage, task: PlannedTask, render: Render, *, background: bool = False
) -> list[Data]:
    """A module or role with the common task keys, and a look whether every slot got through it, or began it."""
    driver = ansible_driver(task.driver)
    if problem := driver.problem(task.params):
        raise JobError(f"{where(plan, task.span.line)}: task {task.name!r}: {problem}")
    own = dict(driver.task(task.params, render))
    name = task_name(stage, task.name)
    asked = condition(name, task, render)
    if task.driver == "role":
        body = [_role(name, own, task, render, conditional=bool(asked))]
        body.append({"name": f"{name} done", "ansible.builtin.set_fact": {"benchhub_done": task.id}})
        slots = "ansible_play_hosts_all | map('extract', hostvars)"
        checks = [
            f"{slots} | selectattr('benchhub_done', 'undefined') | length == 0",
            f"{slots} | map(attribute='benchhub_done') | reject('equalto', '{task.id}') | length == 0",
        ]
    else:
        keywords = {**({"when": _ASKED} if asked else {}), **(_async_limit(task) if background else _limit(task))}
        body = [_module(name, own, task, render, keywords)]
        results = f"ansible_play_hosts_all | map('extract', hostvars, '{RESULT}')"
        checks = [
            f"{results} | selectattr('unreachable', 'defined') | length == 0",
            # what was skipped does not say whether it failed
            f"{results} | selectattr('failed', 'defined') | selectattr('failed', 'equalto', true) | length == 0",
        ]
    guard = {
        "name": f"{name} on every slot",
        "ansible.builtin.assert": {"that": checks, "fail_msg": "A slot failed or was not reached", "quiet": True},
        "run_once": True,
    }
    return [*asked, *body, guard]


def condition(name: str, task: PlannedTask, render: Render) -> list[Data]:
    """The task that asks the node whether to run; its exit code decides."""
    if task.when is None:
        return []
    return [
        {
            "name": f"{name} if its condition holds",
            "ansible.builtin.command": {
                "argv": ["/bin/sh", "-c", render(task.when)],
                "expand_argument_vars": False,
            },
            **become(task, render),
            "register": "benchhub_when",
            "changed_when": False,
            "failed_when": False,
        }
    ]


def become(task: PlannedTask, render: Render) -> Data:
    """``become`` as the task asks for it: a user, or root."""
    if task.user is not None:
        return {"become": True, "become_user": render(task.user)}
    return {"become": True, "become_user": "root"} if task.become else {}


def environment(task: PlannedTask, render: Render) -> Data:
    """``environment`` of a task; nothing when it has none."""
    return {"environment": {key: render(value) for key, value in task.env.items()}} if task.env else {}


def _limit(task: PlannedTask) -> Data:
    """How often a module is tried, and for how long, where Ansible waits for it."""
    tries: Data = {}
    if task.retry.count:
        tries = {"until": f"{RESULT} is succeeded", "retries": task.retry.count, "delay": task.retry.delay}
    return {**tries, "timeout": math.ceil(task.timeout)}


def _async_limit(task: PlannedTask) -> Data:
    """An async job is bounded by the supervisor that watches it; where that is gone, by Ansible, in steps of 5 s."""
    return {"async": math.ceil(task.timeout + task.grace) + _ASYNC_MARGIN, "poll": 0}


def _module(name: str, own: Data, task: PlannedTask, render: Render, keywords: Data) -> Data:
    return {
        "name": name,
        **own,
        **become(task, render),
        **environment(task, render),
        "register": RESULT,
        **keywords,
        "ignore_unreachable": True,
    }


def _role(name: str, own: Data, task: PlannedTask, render: Render, *, conditional: bool) -> Data:
    """An ``include_role``; what it includes takes become and environment from ``apply``."""
    include = dict(own["ansible.builtin.include_role"])
    applied = {**become(task, render), **environment(task, render)}
    if applied:
        include["apply"] = applied
    rest = {key: value for key, value in own.items() if key == "vars"}
    task_data: Data = {
        "name": name,
        "ansible.builtin.include_role": include,
        **({"when": _ASKED} if conditional else {}),
    }
    # Around the role, not on it: the linter wants the role's prefix on variables there, and the names are the role's.
    return {"name": name, "vars": rest["vars"], "block": [task_data]} if rest else task_data
