"""Job → Plan: a tuple of passes, each a pure function of the job and the plan so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from benchhub_ansible.job.model import Job
from benchhub_ansible.plan.background import mark_background
from benchhub_ansible.plan.data import frozen, plan_hash
from benchhub_ansible.plan.expand import expand_pipeline
from benchhub_ansible.plan.limits import set_limits
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.plan.place import place_slots
from benchhub_ansible.plan.services import name_services

#: One step from job to plan: what the job says, and the plan that the passes before have made.
Pass = Callable[[Job, Plan], Plan]


def set_hash(job: Job, plan: Plan) -> Plan:  # noqa: ARG001 - every pass has one signature
    """The plan with its hash; the last pass, as the hash is over what the others have decided."""
    return replace(plan, hash=plan_hash(plan))


#: In this order: stages need slots, services need the stages that start them, what runs in the background needs the
#: groups, limits need that and the checks of services.
PASSES: tuple[Pass, ...] = (place_slots, expand_pipeline, name_services, mark_background, set_limits, set_hash)


def make_plan(job: Job) -> Plan:
    """The plan of a checked job: the same job gives the same plan."""
    plan = Plan(
        job=job.name,
        source=PurePath(job.source.name).name,  # what is compiled does not depend on where the file lies
        reason=job.reason,
        workload=job.workload,
        database=job.database,
        vars=dict(job.vars),
        secrets=job.secrets,
        requests=tuple(replace(node, options=frozen(node.options)) for node in job.nodes),
        slots=(),
        central=None,
        groups=(),
        limit=0.0,
        teardown_limit=0.0,
        lease=0.0,
    )
    for one in PASSES:
        plan = one(job, plan)
    return plan
