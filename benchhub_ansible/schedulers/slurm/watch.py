"""Looks after the Slurm job of a run while the run uses its nodes."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import Loss, Lost, Progress
from benchhub_ansible.schedulers.slurm import jobs
from benchhub_ansible.schedulers.slurm.poll import INTERVAL, Answer, SharedQueue
from benchhub_ansible.values import format_duration

#: Seconds before the end of a Slurm job at which the run is ended, so that its teardown still has the nodes; for a
#: short Slurm job this part of its time.
LAST_SECONDS = 60.0
LAST_PART = 0.25
#: How long a Slurm job that is ending may take to tell how it ended, in seconds, and how often it is then asked.
_ENDING_LIMIT = 10.0
_ENDING_INTERVAL = 1.0


class Silence:
    """How long slurmctld has not answered: told once when it begins and ends, an error when it lasts too long."""

    def __init__(self, patience: float, progress: Progress) -> None:
        self._patience = patience
        self._progress = progress
        self._since: float | None = None

    @property
    def lasts(self) -> bool:
        """Whether the last question had no answer."""
        return self._since is not None

    def hear(self, problem: str | None) -> str | None:
        """Takes one answer, ``problem`` being why there was none; the reason to give up when it was one too many."""
        now = time.monotonic()
        if problem is None:
            if self._since is not None:
                self._progress("slurmctld answers again")
            self._since = None
            return None
        if self._since is None:
            self._since = now
            limit = format_duration(self._patience)
            self._progress(f"slurmctld does not answer ({problem}); it is waited for, {limit} at most")
        if now - self._since > self._patience:
            return f"slurmctld has not answered for {format_duration(self._patience)} ({problem})"
        return None


class Watch:
    """Context manager: while entered, calls ``lost`` once when a Slurm job no longer gives its nodes, or soon will not.

    ``since`` is when it was seen to run (epoch seconds): an older answer of squeue says nothing of it.
    """

    def __init__(self, queue: SharedQueue, ident: str, lost: Lost, *, silence: Silence, since: float) -> None:
        self._queue = queue
        self._id = ident
        self._lost = lost
        self._silence = silence
        self._since = since
        self._ending_since: float | None = None
        self._told = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"slurm-{ident}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()  # the thread may be in the middle of a question: nobody waits for it
        if not self._told and not self._silence.lasts:
            self._look_again()

    def _run(self) -> None:
        pause = INTERVAL
        while not self._over.wait(pause):
            loss = self._look()
            if self._over.is_set():
                return
            if loss is not None:
                self._tell(loss)
                return
            pause = INTERVAL if self._ending_since is None else _ENDING_INTERVAL

    def _look_again(self) -> None:
        """Whether the nodes are still there at the end: a node that could not be reached may have been taken away."""
        self._since = time.time()
        loss = self._look()
        while loss is None and self._ending_since is not None:
            time.sleep(_ENDING_INTERVAL)
            loss = self._look()
        if loss is not None:
            self._tell(loss)

    def _tell(self, loss: Loss) -> None:
        self._told = True
        self._lost(loss)

    def _look(self) -> Loss | None:
        newest = time.time() - _ENDING_INTERVAL if self._ending_since is not None else self._since
        try:
            answer = self._queue.ask(newer_than=newest)
        except SchedulerError as error:
            return _gave_up(self._silence.hear(str(error)))
        reason = self._silence.hear(None if answer.known else answer.problem)
        return self._judge(answer) if answer.known else _gave_up(reason)

    def _judge(self, answer: Answer) -> Loss | None:
        parts = jobs.of_id(answer.jobs, self._id)
        loss = jobs.loss(parts, self._id)
        if loss is not None:
            return loss
        if any(part.state == jobs.ENDING for part in parts):
            return self._while_it_ends()
        return None if self._over.is_set() else _nearly_over(parts, self._id)

    def _while_it_ends(self) -> Loss | None:
        now = time.monotonic()
        self._ending_since = self._ending_since or now
        if now - self._ending_since > _ENDING_LIMIT:
            return Loss(reason=f"Slurm job {self._id} was ended")
        return None


def _gave_up(reason: str | None) -> Loss | None:
    return None if reason is None else Loss(reason=reason)


def _nearly_over(parts: tuple[jobs.SlurmJob, ...], ident: str) -> Loss | None:
    """The loss of a Slurm job whose time limit is near: what is collected now is collected, later it is gone."""
    ends = [(part.end, part.end - part.start) for part in parts if part.end is not None and part.start is not None]
    if not ends:
        return None
    end, whole = min(ends)
    if end - time.time() > min(LAST_SECONDS, whole * LAST_PART):
        return None
    limit = format_duration(round(whole))
    return Loss(reason=f"Slurm job {ident} nears its time limit of {limit}: its last seconds are for the teardown")
