"""Names for the services, and where each of them ends: with its block's turn, else in teardown."""

from __future__ import annotations

from dataclasses import replace

from benchhub_ansible.job.model import Block, Job
from benchhub_ansible.plan.expand import Names, iteration_tag
from benchhub_ansible.plan.model import Plan, PlannedGroup, PlannedStage
from benchhub_ansible.values import slug


def _turn_ends(job: Job) -> dict[int, int]:
    """Group number → number of the last group of its turn, for the groups that stand in a block."""
    ends: dict[int, int] = {}
    number = 0
    for item in job.pipeline:
        if not isinstance(item, Block):
            number += 1
            continue
        combinations = 1
        for values in item.matrix.values():
            combinations *= len(values)
        for _ in range(combinations * (item.warmup + item.repeat)):
            last = number + len(item.groups)
            ends.update(dict.fromkeys(range(number + 1, last + 1), last))
            number = last
    return ends


def _named(stage: PlannedStage, names: Names, stages: frozenset[str]) -> PlannedStage:
    """The stage with a service name on each long-running task; units of steps and services share one folder."""
    if not any(task.long for task in stage.tasks):
        return stage
    tag = iteration_tag(stage.iteration) if stage.iteration else ""
    tasks = []
    for task in stage.tasks:
        if task.long:
            wanted = f"{slug(task.name)}-{tag}" if tag else slug(task.name)
            if wanted in stages:
                wanted = f"{wanted}-service"
            tasks.append(replace(task, service=names.unique(wanted)))
        else:
            tasks.append(task)
    return replace(stage, tasks=tuple(tasks))


def name_services(job: Job, plan: Plan) -> Plan:
    """The plan with every service named, and each turn of a block ending with a stop of what it started."""
    ids = frozenset(stage.id for stage in (*plan.stages(), *plan.cleanup))
    names = Names(taken=set(ids))
    ends = _turn_ends(job)
    running: dict[int, list[str]] = {}
    groups: list[PlannedGroup] = []
    for group in plan.groups:
        stages = tuple(_named(stage, names, ids) for stage in group.stages)
        started = [task.service for stage in stages for task in stage.tasks if task.service is not None]
        end = ends.get(group.number)
        if end is not None:
            running.setdefault(end, []).extend(started)
        stops = tuple(reversed(running.pop(group.number, [])))
        groups.append(replace(group, stages=stages, stops=stops))
    return replace(plan, groups=tuple(groups))
