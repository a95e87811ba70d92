"""The Result of a run, as a pure function of its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchhub_ansible.results import fields
from benchhub_ansible.results.containers import containers
from benchhub_ansible.results.failures import failures
from benchhub_ansible.results.folder import read_record
from benchhub_ansible.results.losses import losses
from benchhub_ansible.results.model import JobInfo, Result, StageRun
from benchhub_ansible.results.nodes import node_warnings, nodes
from benchhub_ansible.results.record import Ending, RunRecord
from benchhub_ansible.results.samples import aggregates, samples, summaries
from benchhub_ansible.results.services import services
from benchhub_ansible.results.stages import stage_runs
from benchhub_ansible.results.verdict import verdict

#: Seconds: a slot that started later than this after the common instant gets a warning.
LATE = 0.1


def build_result(folder: Path, *, ending: Ending | None = None) -> Result:
    """The Result of a run folder, whatever state it is in; ResultError when it is no run folder.

    A controller that has not written ``run-end`` yet says with ``ending`` what it is about to write.
    """
    return from_record(read_record(folder, ending=ending))


def from_record(record: RunRecord) -> Result:
    """The Result of a record; pure."""
    plan = record.plan
    begin, allocation = record.first("run-begin"), fields.mapping(record.first("acquired").get("allocation"))
    stages = stage_runs(record, plan) if plan else ()
    running = services(record, plan) if plan else ()
    found = samples(record, plan, stages, running) if plan else ()
    totals = aggregates(plan, found) if plan else ()
    failed = failures(record, plan, stages, running) if plan else ()
    where = fields.text(begin.get("where"))
    times = [time for event in record.events if (time := fields.number(event.get("t"))) is not None]
    played = nodes(record)
    return Result(
        run_id=record.run_id,
        job=_job(record),
        profile=fields.text(begin.get("profile")) or "default",
        versions=fields.scalars(begin.get("versions")),
        where=where,
        scheduler=fields.text(allocation.get("scheduler")) or (where.split(":")[0] if where else None),
        allocation=_allocation(allocation),
        started=min(times, default=None),
        ended=None if record.running else max(times, default=None),
        verdict=verdict(record, stages, found, failed),
        nodes=played,
        stages=stages,
        services=running,
        containers=containers(record, plan) if plan else (),
        samples=found,
        aggregates=totals,
        summaries=summaries(plan, found, totals) if plan else (),
        failures=failed,
        warnings=(
            *record.problems,
            *_warnings(stages),
            *node_warnings(played),
            *(losses(record, plan, stages) if plan else ()),
        ),
    )


def _job(record: RunRecord) -> JobInfo:
    plan, begin = record.plan, record.first("run-begin")
    if plan is None:
        return JobInfo(name=fields.text(begin.get("job")), plan_hash=fields.text(begin.get("plan_hash")))
    return JobInfo(
        name=plan.job,
        source=plan.source,
        reason=plan.reason,
        workload=plan.workload,
        database=plan.database,
        plan_hash=plan.hash,
    )


def _allocation(allocation: Mapping[str, Any]) -> dict[str, str | float | int | bool | None]:
    """Its id and the facts the scheduler tells of it; empty when there was none."""
    return {"id": fields.text(allocation.get("id")), **fields.scalars(allocation.get("facts"))} if allocation else {}


def _warnings(stages: tuple[StageRun, ...]) -> Iterator[str]:
    for stage in stages:
        together = stage.together
        for start in together.starts if together else ():
            if start.late is not None and start.late > LATE:
                yield f"{start.slot} started {start.late * 1000:.0f} ms late in stage {stage.title!r}"
            if start.started is None:
                yield f"{start.slot} never started in stage {stage.title!r}, whose nodes start together"
