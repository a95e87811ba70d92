"""Which tasks of a plan speak to a container engine, and in which ways."""

from __future__ import annotations

from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.playbook import steps
from benchhub_ansible.playbook.plays import Data, patterns


def container_tasks(plan: Plan) -> list[tuple[PlannedStage, PlannedTask, Data]]:
    """Every task with a ``container``, cleanup stages among them: its stage, the task, and what it is told."""
    stages = (*plan.stages(), *plan.cleanup)
    tasks = [(stage, task) for stage in stages for task in stage.tasks if not task.ansible]
    told = [(stage, task, steps.what_runs(plan, task).get("container")) for stage, task in tasks]
    return [(stage, task, given) for stage, task, given in told if given]


def ways(plan: Plan) -> list[Data]:
    """Engine, environment and user of container tasks, each way once, with the groups and slots it is for."""
    found: list[tuple[Data, dict[str, None]]] = []
    for stage, task, given in container_tasks(plan):
        around = {key: value for key, value in steps.surroundings(task).items() if key != "chdir"}
        way = {**({"engine": given["engine"]} if "engine" in given else {}), **around}
        hosts = next((hosts for other, hosts in found if other == way), None)
        if hosts is None:
            found.append((way, hosts := {}))
        hosts.update(dict.fromkeys(patterns(plan, stage)))
    return [{"hosts": list(hosts), **way} for way, hosts in found]
