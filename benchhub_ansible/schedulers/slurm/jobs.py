"""Slurm jobs as squeue tells of them, and what that means in words."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from benchhub_ansible.errors import ExitCode
from benchhub_ansible.schedulers.base import Loss

#: squeue's fields: id, state, reason, partition, start, end, time of submission, nodes, how many, user,
#: name (last: it may hold a |).
FORMAT = "%i|%T|%r|%P|%S|%e|%V|%N|%D|%u|%j"
_FIELDS = FORMAT.count("|") + 1

#: States of a Slurm job that has its nodes, or will have them.
WAITING = frozenset({"PENDING", "CONFIGURING"})
HELD = frozenset({"RUNNING", "RESIZING", "SIGNALING", "STAGE_OUT"})
ENDING = "COMPLETING"  # how it ends is told when all of it has ended

_ENDS = {
    "TIMEOUT": "reached its time limit",
    "CANCELLED": "was cancelled",
    "PREEMPTED": "was preempted",
    "NODE_FAIL": "lost a node, which failed",
    "BOOT_FAIL": "lost a node, which did not boot",
    "OUT_OF_MEMORY": "was ended for want of memory",
    "DEADLINE": "reached its deadline",
    "SUSPENDED": "was suspended, and its processes with it",
    "STOPPED": "was stopped, and its processes with it",
    "PENDING": "was put back into the queue",
    "CONFIGURING": "was put back into the queue",
    "REQUEUED": "was put back into the queue",
}
_OF_NODES = frozenset({"NODE_FAIL", "BOOT_FAIL"})
#: Reasons of a pending Slurm job in words (slurm/slurm.h, job_state_reason); others are told as Slurm names them.
_REASONS = {
    "Resources": "nodes are busy",
    "Priority": "others come first",
    "ReqNodeNotAvail": "a node it needs is not available",
    "QOSMaxJobsPerUserLimit": "you have as many Slurm jobs as your QOS allows",
    "AssocGrpNodeLimit": "your account has as many nodes as it may",
}
#: Reasons that no waiting changes.
NEVER = frozenset({"PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS"})


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """One row of squeue: a Slurm job, or one component of it. Times are epoch seconds."""

    id: str
    component: int
    state: str
    reason: str
    partition: str
    start: float | None
    end: float | None
    submitted: float | None
    nodes: str
    count: int
    user: str
    name: str


def parse_jobs(text: str) -> tuple[SlurmJob, ...]:
    """The rows of ``squeue --noheader --format=FORMAT``; lines that are none are passed over."""
    rows = (line.split("|", _FIELDS - 1) for line in text.splitlines())
    return tuple(_job(row) for row in rows if len(row) == _FIELDS)


def _job(row: list[str]) -> SlurmJob:
    ident, _, component = row[0].strip().partition("+")
    return SlurmJob(
        id=ident,
        component=int(component) if component.isdigit() else 0,
        state=row[1],
        reason=row[2].strip("()"),
        partition=row[3],
        start=_time(row[4]),
        end=_time(row[5]),
        submitted=_time(row[6]),
        nodes=row[7],
        count=int(row[8]) if row[8].isdigit() else 0,
        user=row[9],
        name=row[10].strip(),
    )


def _time(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def of_id(jobs: Iterable[SlurmJob], ident: str) -> tuple[SlurmJob, ...]:
    """The components of one Slurm job, in order; empty when Slurm no longer knows it."""
    return tuple(sorted((job for job in jobs if job.id == ident), key=lambda job: job.component))


def pending(parts: tuple[SlurmJob, ...], position: tuple[int, int] | None) -> str:
    """What the user is told of a Slurm job that waits: position, reason, estimated start."""
    job = next((part for part in parts if part.state == "PENDING"), parts[0])
    if job.state == "CONFIGURING":
        return f"Slurm job {job.id}: its nodes are being made ready"
    told = [f"Slurm job {job.id} waits in partition {job.partition}"]
    if position is not None:
        told.append(f"position {position[0]} of {position[1]}")
    if job.reason != "None":  # Slurm has not looked at it yet
        told.append(f"{_REASONS[job.reason]} ({job.reason})" if job.reason in _REASONS else job.reason)
    if job.start is not None and job.start > time.time() - 60:
        told.append(f"expected to start {time.strftime('%Y-%m-%d %H:%M', time.localtime(job.start))}")
    return ", ".join(told)


def loss(parts: tuple[SlurmJob, ...], ident: str) -> Loss | None:
    """Why a Slurm job no longer gives its nodes; None while it does, or while it is not yet told how it ended."""
    if not parts:
        return Loss(reason=f"Slurm no longer knows Slurm job {ident}")
    gone = [part for part in parts if part.state not in HELD and part.state != ENDING]
    if not gone:
        return None
    # One component takes the others with it, which are then called cancelled: the cause is the one that is not.
    state = next((part.state for part in gone if part.state != "CANCELLED"), gone[0].state)
    words = _ENDS.get(state, f"has ended ({state})")
    code = ExitCode.NODES if state in _OF_NODES else ExitCode.SCHEDULER
    return Loss(reason=f"Slurm job {ident} {words}", exit_code=code)
