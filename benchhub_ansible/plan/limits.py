"""How long each thing may take: what the job says, else the defaults here; and what follows for groups and the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from benchhub_ansible.job.model import Check, Job
from benchhub_ansible.plan.expand import UNSET
from benchhub_ansible.plan.model import Plan, PlannedGroup, PlannedStage, PlannedTask
from benchhub_ansible.plan.segments import segments

TASK_TIMEOUT = 3600.0
READY_TIMEOUT = 60.0
#: Not of a command: it starts a program each time, and the supervisor's pause follows what that takes.
READY_INTERVAL = 0.03
LIVE_INTERVAL = 5.0
LIVE_FAILURES = 3
GRACE = 10.0
SHUTDOWN_TIMEOUT = 60.0
LEASE = 120.0
#: Collecting and removing, without the services and cleanup stages.
TEARDOWN_FLOOR = 120.0
#: What stopping a service costs beside its shutdown and grace.
STOP_MARGIN = 5.0
#: Until the first stage: starting Ansible and reaching every node, some of which may be slow to answer.
PREPARE_FLOOR = 120.0
PREPARE_EACH = 2.0


def _or(value: float, default: float) -> float:
    return default if value == UNSET else value


def _ready(check: Check | None) -> Check | None:
    if check is None:
        return None
    interval = None if check.kind == "command" else READY_INTERVAL
    return replace(
        check,
        timeout=READY_TIMEOUT if check.timeout is None else check.timeout,
        interval=interval if check.interval is None else check.interval,
        successes=1 if check.successes is None else check.successes,
    )


def _live(check: Check | None) -> Check | None:
    """A live check: ``timeout`` bounds one try, ``successes`` is how many failures in a row mean that it is dead."""
    if check is None:
        return None
    return replace(
        check,
        interval=LIVE_INTERVAL if check.interval is None else check.interval,
        successes=LIVE_FAILURES if check.successes is None else check.successes,
    )


def _limited(task: PlannedTask) -> PlannedTask:
    """The task with its limits; a service's own deadline stays open until the whole is known."""
    shutdown = task.shutdown
    if shutdown is not None:
        timeout = _or(shutdown.timeout, SHUTDOWN_TIMEOUT)
        shutdown = replace(shutdown, timeout=timeout, grace=_or(shutdown.grace, GRACE))
    return replace(
        task,
        timeout=task.timeout if task.long else _or(task.timeout, TASK_TIMEOUT),
        grace=_or(task.grace, GRACE),
        ready=_ready(task.ready),
        live=_live(task.live),
        shutdown=shutdown,
    )


def task_limit(task: PlannedTask) -> float:
    """Seconds after which a task has surely ended, or a service is surely ready or given up."""
    if task.long:
        return (task.ready.timeout or 0.0) + task.grace if task.ready else 0.0
    tries = task.retry.count + 1
    asked = task.when is not None  # the condition may take as long as a try
    return (tries + asked) * (task.timeout + task.grace) + task.retry.count * task.retry.delay


def stage_limit(stage: PlannedStage) -> float:
    """Seconds after which a stage has surely ended: its tasks in a row, once per slot when it runs serially."""
    return sum(map(task_limit, stage.tasks)) * (len(stage.slots) if stage.serial else 1)


def preparation_limit(plan: Plan) -> float:
    """Seconds until every node is prepared: a time of its own, so that a job's own limit is for its stages alone."""
    return PREPARE_FLOOR + PREPARE_EACH * len(plan.slots)


def _group(group: PlannedGroup) -> PlannedGroup:
    stages = tuple(replace(stage, tasks=tuple(map(_limited, stage.tasks))) for stage in group.stages)
    # What takes turns adds up; of the rest the longest counts.
    turns = [_turns(stage) for stage in stages]
    rests = [stage_limit(stage) - turn for stage, turn in zip(stages, turns, strict=True)]
    limit = sum(turns) + max(rests, default=0.0)
    return replace(group, stages=stages, limit=limit)


def _turns(stage: PlannedStage) -> float:
    """Seconds of a stage for which others may have to wait: it is serial, or Ansible runs it in place."""
    if stage.serial:
        return stage_limit(stage)
    whole = list(segments(stage))
    waited = [task for segment in whole[:-1] for task in segment if any(one.ansible for one in stage.tasks)]
    return sum(map(task_limit, waited)) + sum(task_limit(task) for task in whole[-1] if task.in_place)


def _stop_time(task: PlannedTask) -> float:
    own = task.shutdown.timeout + task.shutdown.grace if task.shutdown else SHUTDOWN_TIMEOUT
    return own + task.grace + STOP_MARGIN


def _longest_stretch(groups: Iterable[PlannedGroup]) -> float:
    """The longest time in which Ansible-run tasks may follow each other, and nobody speaks to a supervisor."""
    longest = stretch = 0.0
    for group in groups:
        tasks = [task for stage in group.stages for task in stage.tasks]
        here = sum(task_limit(task) * _times(stage) for stage in group.stages for task in stage.tasks if task.in_place)
        stretch += here
        longest = max(longest, stretch)
        if not all(task.in_place for task in tasks):
            stretch = here
    return longest


def _times(stage: PlannedStage) -> int:
    return len(stage.slots) if stage.serial else 1


def _with_deadline(group: PlannedGroup, deadline: float) -> PlannedGroup:
    """The group whose services may run as long as the whole run, unless the job says less."""
    if not any(task.long for stage in group.stages for task in stage.tasks):
        return group
    stages = tuple(
        replace(
            stage,
            tasks=tuple(
                replace(task, timeout=_or(task.timeout, deadline)) if task.long else task for task in stage.tasks
            ),
        )
        for stage in group.stages
    )
    return replace(group, stages=stages)


def set_limits(job: Job, plan: Plan) -> Plan:
    """The plan with every timeout, the limits of groups, pipeline and teardown, and the nodes' lease."""
    groups = tuple(map(_group, plan.groups))
    cleanup = tuple(replace(stage, tasks=tuple(map(_limited, stage.tasks))) for stage in plan.cleanup)
    stopping = {task.service: _stop_time(task) for g in groups for s in g.stages for task in s.tasks if task.long}
    in_turns = sum(stopping[name] for group in groups for name in group.stops)
    limit = sum(group.limit for group in groups) + in_turns
    if job.timeout is not None:
        limit = job.timeout
    teardown = TEARDOWN_FLOOR + sum(map(stage_limit, cleanup)) + sum(stopping.values()) - in_turns
    deadline = limit + teardown
    return replace(
        plan,
        groups=tuple(_with_deadline(group, deadline) for group in groups),
        cleanup=cleanup,
        limit=limit,
        teardown_limit=teardown,
        lease=LEASE + _longest_stretch(groups),
    )
