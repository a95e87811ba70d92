"""The scheduler ``slurm``: one Slurm job that has the nodes of a whole request, or the Slurm job that we are in."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import Allocation, Cancelled, Loss, Lost, NodeState, Progress, Request, Waiting
from benchhub_ansible.schedulers.slurm import jobs, nodes, render
from benchhub_ansible.schedulers.slurm.client import SlurmClient, SlurmctldAwayError, missing
from benchhub_ansible.schedulers.slurm.holder import Holders
from benchhub_ansible.schedulers.slurm.nodes import Placed, Row
from benchhub_ansible.schedulers.slurm.options import SlurmOptions
from benchhub_ansible.schedulers.slurm.poll import SharedQueue
from benchhub_ansible.schedulers.slurm.queue import Submission, patiently
from benchhub_ansible.schedulers.slurm.watch import Silence, Watch

_ROOT = (
    "you are root and use ssh: Slurm does not end what root starts on a node (pam_slurm_adopt passes root by); our"
    " supervisor does, by its lease at the latest"
)


_PREFIX = "benchhub-"


def job_name(run_id: str) -> str:
    """The name of a run's Slurm job: how it is found again when only the intent is known."""
    return _PREFIX + run_id


class SlurmScheduler:
    """Gives nodes of a Slurm cluster, all or none. Inside a Slurm job it gives that one's nodes and keeps them."""

    name = "slurm"

    def __init__(self, options: SlurmOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._inside = environ.get("SLURM_JOB_ID")  # set by salloc and sbatch
        self._client = SlurmClient(environ)
        self._queue = SharedQueue(self._client)
        self._holders = Holders(self._client)
        self._progress: Progress = lambda _text: None

    @classmethod
    def from_where(cls, text: str) -> Self:
        """The scheduler for ``partition=main,time=1h,connect=srun``; UsageError, saying what is valid, for nonsense."""
        return cls(SlurmOptions.parse(text), os.environ)

    @classmethod
    def unusable(cls) -> str | None:
        """Why it cannot work here: Slurm's commands are missing."""
        return missing()

    def warm_up(self) -> None:
        """Does nothing: Slurm answers within milliseconds."""

    def check(self, request: Request) -> None:
        """Returns when Slurm would take the request; raises with Slurm's own words when it never will."""
        if self._inside:
            nodes.fit(request, self._rows(self._components(self._inside)), self._inside)
            return
        try:
            self._client.try_out(render.arguments(request, self._options, name="benchhub-check"))
        except SlurmctldAwayError as error:
            raise SchedulerError(
                f"slurmctld does not answer: {error.diagnostics[0].message}", hint="see: scontrol ping"
            ) from None
        except SchedulerError as error:
            raise self._refused(request, error.diagnostics[0].message) from None

    def acquire(self, request: Request, *, run_id: str, progress: Progress, cancelled: Cancelled) -> Allocation:
        """A node for every slot; waits in Slurm's queue, telling position, reason and estimated start."""
        self._progress = progress
        if self._inside:
            return self._use(request, self._inside, run_id)
        submission = self._submission(cancelled)
        name = job_name(run_id)
        asked = time.time()
        try:
            ident = submission.submit(render.arguments(request, self._options, name=name), name)
            parts = submission.until_running(ident)
            placed = nodes.place(render.components(request), self._rows(parts))
            allocation = self._allocation(request, placed, parts, run_id, queued=time.time() - asked, owned=True)
        except BaseException:
            # Whatever went wrong, a Slurm job that nobody will use must not be left in the queue.
            submission.give_up(name)
            raise
        return allocation

    def keep(self, allocation: Allocation, lost: Lost) -> AbstractContextManager[None]:
        """Watches the Slurm job: its time limit, its cancellation, its nodes, and whether slurmctld answers."""
        silence = Silence(self._options.patience, self._progress)
        since = float(allocation.data["seen"])
        return Watch(self._queue, str(allocation.data["job"]), lost, silence=silence, since=since)

    def submit(self, request: Request, *, run_id: str, command: Sequence[str], log: Path) -> str:
        """The id of a Slurm job that begins the run on its first node, with this environment."""
        if self._inside:
            raise SchedulerError(
                f"benchhub was started inside the Slurm job {self._inside}", hint="say: benchhub run; or leave it first"
            )
        pattern = str(log).replace("%", "%%")
        arguments = render.arguments(request, self._options, name=job_name(run_id), log=pattern)
        environ = {key: value for key, value in self._environ.items() if not key.startswith("SLURM_")}
        script = f"#!/bin/sh\nexec {shlex.join(command)}\n"
        try:
            return self._client.submit([f"--chdir={Path.cwd()}", *arguments], script, environ)
        except SlurmctldAwayError:
            self.recover(run_id, None)  # it may have been taken all the same
            raise

    def progress_of(self, ticket: str) -> str | Loss:
        """What a submitted Slurm job waits for; why it is gone when it is."""
        out, _ = self._client.call("squeue", "--me", "--states=all", "--noheader", f"--format={jobs.FORMAT}")
        parts = jobs.of_id(jobs.parse_jobs(out), ticket)
        if parts and any(part.state in jobs.WAITING for part in parts):
            return jobs.pending(parts, None)
        loss = jobs.loss(parts, ticket)
        return loss if loss is not None else f"Slurm job {ticket} has its nodes, and the controller is starting"

    def ask_to_end(self, ticket: str, *, begun: bool) -> None:
        """Cancels a Slurm job in the queue; of one that runs, sends SIGTERM to the controller alone."""
        self._client.cancel(*(["--batch", "--signal=TERM"] if begun else []), ticket)

    def extend(self, allocation: Allocation, until: float) -> float:
        """Shortens the Slurm job to end at ``until``, where it is ours; a longer one Slurm grants to nobody."""
        ident = str(allocation.data["job"])
        end = until
        parts = self._parts(ident)
        if not parts:
            raise SchedulerError(f"Slurm job {ident} has ended, or is ending")
        for part in parts:
            if part.start is None or part.end is None:
                continue
            minutes = max(1, int((until - part.start) / 60))  # Slurm counts in whole minutes
            if allocation.owned and part.start + minutes * 60 < part.end:
                component = f"{ident}+{part.component}" if len(parts) > 1 else ident
                self._client.call("scontrol", "update", f"JobId={component}", f"TimeLimit={minutes}")
                end = min(end, part.start + minutes * 60)
            else:
                end = min(end, part.end)
        return end

    def release(self, allocation: Allocation) -> None:
        """Cancels the Slurm job; of one that was there before us only what we started in it."""
        ident, run_id = str(allocation.data["job"]), str(allocation.data["run"])
        if allocation.owned:
            self._patiently(lambda: self._client.cancel(ident), job_name(run_id))
        elif allocation.data["connect"] == "srun":
            self._patiently(lambda: self._holders.cancel_steps(ident, run_id), job_name(run_id))
        self._holders.stop()

    def recover(self, run_id: str, allocation: Allocation | None) -> None:
        """Cancels the run's Slurm job, found by its name where no more than the intent is known."""
        if allocation is not None:
            self.release(allocation)
        else:
            self._patiently(lambda: self._client.cancel("--me", f"--name={job_name(run_id)}"), job_name(run_id))

    def nodes(self) -> tuple[NodeState, ...]:
        """Every node of the cluster, and which Slurm job has it."""
        out, _ = self._client.call("squeue", "--noheader", "--states=RUNNING", f"--format={jobs.FORMAT}")
        holders = {node: job for job in jobs.parse_jobs(out) for node in self._client.hosts(job.nodes)}
        return tuple(nodes.node_state(row, holders) for row in self._client.node_rows())

    def waiting(self) -> tuple[Waiting, ...]:
        """The runs of benchhub in Slurm's queue, by Slurm's priority."""
        question = ("--noheader", "--states=PENDING", "--sort=-p,i", f"--format={jobs.FORMAT}")
        found: dict[str, Waiting] = {}
        for job in jobs.parse_jobs(self._client.call("squeue", *question)[0]):
            if job.name.startswith(_PREFIX):
                needs = f"{job.count} {'node' if job.count == 1 else 'nodes'}, Slurm job {job.id}"
                row = Waiting(
                    run_id=job.name.removeprefix(_PREFIX),
                    holder=job.user,
                    since=job.submitted or 0.0,
                    needs=needs,
                    reason=job.reason,
                )
                found.setdefault(job.id, row)
        return tuple(found.values())

    def end(self, lease: str, *, force: bool) -> None:
        """Cancels the Slurm job of a run; only with ``force``, since nobody here knows whether its run lives."""
        out, _ = self._client.call("squeue", "--noheader", f"--format={jobs.FORMAT}")
        ours = (job for job in jobs.parse_jobs(out) if job.name.startswith(_PREFIX))
        found = next((job for job in ours if lease in (job.id, job.name, job.name.removeprefix(_PREFIX))), None)
        if found is None:
            raise SchedulerError(
                f"there is no Slurm job {lease!r} of a run of benchhub", hint="see: benchhub nodes --on slurm"
            )
        if not force:
            run_id = found.name.removeprefix(_PREFIX)
            raise SchedulerError(
                f"Slurm job {found.id} is that of run {run_id}, which may be using it",
                hint=f"end the run with: benchhub stop {run_id}; or end the Slurm job alone with --force",
            )
        self._client.cancel(found.id)

    def _submission(self, cancelled: Cancelled) -> Submission:
        return Submission(
            self._client,
            self._queue,
            patience=self._options.patience,
            progress=self._progress,
            cancelled=cancelled,
        )

    def _patiently(self, what: Callable[[], None], name: str) -> None:
        patiently(what, Silence(self._options.patience, self._progress), name)

    def _use(self, request: Request, ident: str, run_id: str) -> Allocation:
        parts = self._components(ident)
        placed = nodes.fit(request, self._rows(parts), parts[0].id)
        first = parts[0]
        # of a Slurm job that somebody else asked for nobody knows since when it was wanted
        ours = first.name == job_name(run_id) and first.start is not None and first.submitted is not None
        queued = max(0.0, (first.start or 0.0) - (first.submitted or 0.0)) if ours else 0.0
        return self._allocation(request, placed, parts, run_id, queued=queued)

    def _components(self, ident: str) -> tuple[jobs.SlurmJob, ...]:
        """The components of the Slurm job that we are in."""
        parts = self._parts(ident)
        if not parts:
            raise SchedulerError(
                f"SLURM_JOB_ID says {ident}, and there is no such Slurm job that runs",
                hint="unset SLURM_JOB_ID, or use a new salloc",
            )
        return parts

    def _parts(self, ident: str) -> tuple[jobs.SlurmJob, ...]:
        """The components of a Slurm job that has its nodes; none of one that has not, or has them no more."""
        out, _ = self._client.call("squeue", f"--jobs={ident}", "--noheader", f"--format={jobs.FORMAT}")
        found = jobs.parse_jobs(out)
        parts = jobs.of_id(found, found[0].id) if found else ()
        return parts if all(part.state in jobs.HELD for part in parts) else ()

    def _rows(self, parts: Sequence[jobs.SlurmJob]) -> list[list[Row]]:
        """The nodes of each component as scontrol tells of them, in Slurm's order."""
        names = [self._client.hosts(part.nodes) for part in parts]
        known = {row["NodeName"]: row for row in self._client.node_rows(",".join(part.nodes for part in parts))}
        return [[known.get(name, {"NodeName": name}) for name in of_part] for of_part in names]

    def _allocation(
        self,
        request: Request,
        placed: list[Placed],
        parts: tuple[jobs.SlurmJob, ...],
        run_id: str,
        *,
        queued: float = 0.0,
        owned: bool = False,
    ) -> Allocation:
        ident, connect, several = parts[0].id, self._options.connect, len(parts) > 1
        counts = [part.count for part in parts]
        if connect == "srun":
            self._holders.start(ident, run_id, counts, heterogeneous=several)
        elif os.geteuid() == 0:
            self._progress(_ROOT)
        return Allocation(
            id=f"slurm-{ident}",
            scheduler=self.name,
            nodes=nodes.allocated(request, placed, ident=ident, run_id=run_id, connect=connect, heterogeneous=several),
            expires=min((part.end for part in parts if part.end is not None), default=None),
            owned=owned,
            data={
                "job": ident,
                "run": run_id,
                "connect": connect,
                "seen": time.time(),
            },
            facts={"slurm_job": ident, "partition": parts[0].partition, "queued": round(queued, 3), "connect": connect},
        )

    def _refused(self, request: Request, words: str) -> SchedulerError:
        """What Slurm says to a request, with what the user can do about it."""
        message = f"Slurm cannot give {render.in_words(request)}: {words}"
        hint = "see what there is: benchhub nodes --on slurm"
        if "partition" in words.lower():
            hint = f"there are the partitions: {', '.join(self._client.partitions()) or 'none'}"
        elif "time limit" in words.lower():
            wanted = render.minutes(request, self._options)
            source = "time=…" if self._options.time is not None else "what the plan may take; say time=… for another"
            hint = f"{wanted} min were asked for ({source}); the limits: sinfo --format='%P %l'"
        return SchedulerError(message, hint=hint)
