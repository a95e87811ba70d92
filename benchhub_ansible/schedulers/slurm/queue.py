"""The way of a Slurm job from being asked for to having its nodes, or to being given up."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import Cancelled, Progress
from benchhub_ansible.schedulers.slurm import jobs
from benchhub_ansible.schedulers.slurm.client import SlurmClient, SlurmctldAwayError
from benchhub_ansible.schedulers.slurm.jobs import SlurmJob
from benchhub_ansible.schedulers.slurm.poll import INTERVAL, SharedQueue
from benchhub_ansible.schedulers.slurm.watch import Silence

#: Seconds between two looks at a Slurm job that has just been asked for: most start at once.
_FIRST_LOOKS = (0.2, 0.3, 0.5, 1.0, 2.0)
_TICK = 0.1

#: The script of an allocation: it holds the nodes and does nothing.
HOLD = "#!/bin/sh\nexec sleep infinity\n"


class Submission:
    """Asks Slurm for one run's Slurm job and waits for it, patiently where slurmctld is away."""

    def __init__(
        self, client: SlurmClient, queue: SharedQueue, *, patience: float, progress: Progress, cancelled: Cancelled
    ) -> None:
        self._client = client
        self._queue = queue
        self._silence = Silence(patience, progress)
        self._progress = progress
        self._cancelled = cancelled
        self._told = ""

    def submit(self, arguments: list[str], name: str) -> str:
        """The id of the Slurm job of that name, submitted once although an answer of slurmctld may be lost."""
        tried = False
        while True:
            try:
                found = self.named(name) if tried else None
                return found or self._client.submit(arguments, HOLD)
            except SlurmctldAwayError as error:
                tried = True
                self._hear(error)
            self._pause(INTERVAL)
            if self._cancelled():
                raise SchedulerError("cancelled while slurmctld did not answer")

    def named(self, name: str) -> str | None:
        """The id of the user's Slurm job of that name that has not ended."""
        out, _ = self._client.call("squeue", "--me", f"--name={name}", "--noheader", f"--format={jobs.FORMAT}")
        found = jobs.parse_jobs(out)
        return found[0].id if found else None

    def until_running(self, ident: str) -> tuple[SlurmJob, ...]:
        """The components of a Slurm job that has all of its nodes; SchedulerError when it ended or nobody waits."""
        looks = iter(_FIRST_LOOKS)
        submitted = newest = time.time()
        while True:
            parts = self._look(ident, newest)
            if parts and all(part.state in jobs.HELD for part in parts):
                return parts
            pause = next(looks, INTERVAL)
            self._pause(pause)
            if self._cancelled():
                raise SchedulerError(f"cancelled while Slurm job {ident} was in the queue")
            # Once the first looks are over, an answer that another run got a moment ago will do.
            newest = time.time() if pause < INTERVAL else submitted

    def give_up(self, name: str) -> None:
        """Cancels the Slurm job of that name, waiting for slurmctld as long as patience goes."""
        patiently(lambda: self._client.cancel("--me", f"--name={name}"), self._silence, name)

    def _look(self, ident: str, since: float) -> tuple[SlurmJob, ...]:
        answer = self._queue.ask(newer_than=since)
        if not answer.known:
            self._hear(SlurmctldAwayError(answer.problem))
            return ()
        self._silence.hear(None)
        parts = jobs.of_id(answer.jobs, ident)
        waiting = [part for part in parts if part.state in jobs.WAITING]
        if waiting:
            self._tell(parts, waiting)
        elif not parts or not all(part.state in jobs.HELD for part in parts):
            loss = jobs.loss(parts, ident)
            raise SchedulerError(f"{loss.reason if loss else f'Slurm job {ident} ended'} before the run could begin")
        return parts

    def _tell(self, parts: tuple[SlurmJob, ...], waiting: list[SlurmJob]) -> None:
        for part in waiting:
            if part.reason in jobs.NEVER:
                raise SchedulerError(f"Slurm job {part.id} can never start: {part.reason}")
        text = jobs.pending(parts, self._position(waiting[0]))
        if text != self._told:
            self._told = text
            self._progress(text)

    def _position(self, job: SlurmJob) -> tuple[int, int] | None:
        """The place of a Slurm job among those that wait for its partition, and how many there are."""
        if job.state != "PENDING":
            return None
        answer = self._queue.ask(("--states=PENDING", f"--partition={job.partition}", "--sort=-p,i"))
        waiting = list(dict.fromkeys(other.id for other in answer.jobs))
        return (waiting.index(job.id) + 1, len(waiting)) if job.id in waiting else None

    def _hear(self, error: SlurmctldAwayError) -> None:
        reason = self._silence.hear(str(error))
        if reason is not None:
            raise SchedulerError(reason, hint="ask for its state with: scontrol ping")

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._cancelled():
            time.sleep(_TICK)


def patiently(what: Callable[[], None], silence: Silence, name: str) -> None:
    """Does what must be done although slurmctld may be away; SchedulerError, with the command to use, at the limit."""
    while True:
        try:
            what()
        except SlurmctldAwayError as error:
            reason = silence.hear(str(error))
            if reason is not None:
                raise SchedulerError(
                    f"{reason}: its Slurm job may live on; end it with: scancel --me --name={name}",
                    hint="ask for slurmctld's state with: scontrol ping",
                ) from None
            time.sleep(INTERVAL / 5)
        else:
            silence.hear(None)
            return
