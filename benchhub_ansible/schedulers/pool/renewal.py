"""Keeping a lease while a run uses its machines, in a thread of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import Loss, Lost
from benchhub_ansible.schedulers.pool.leases import LeaseBook

#: Seconds between two looks at the book: a lease that somebody ended is noticed before the next run is well under way.
_LOOK = 2.0


class Renewal:
    """Context manager: renews the lease of a run four times in its length; calls ``lost`` once when it has ended."""

    def __init__(self, leases: Path, run_id: str, *, length: float, lost: Lost) -> None:
        self._leases = leases
        self._run_id = run_id
        self._length = length
        self._lost = lost
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()  # not waited for: what it may still be doing harms nobody

    def _run(self) -> None:
        good_until, due = time.time() + self._length, 0.0
        while not self._left.is_set():
            now = time.time()
            try:
                with LeaseBook(self._leases) as book:
                    told = book.renew(self._run_id) if now >= due else book.good_until(self._run_id)
                    how = None if told else book.how_ended(self._run_id)
            except SchedulerError as trouble:  # a full disk, say: it may pass before the lease does
                if now > good_until:
                    self._tell(f"the lease of the machines could not be renewed: {trouble.diagnostics[0].message}")
                    return
            else:
                if told is None:
                    self._tell(_words(how))
                    return
                good_until = told
                due = now + self._length / 4 if now >= due else due
            self._left.wait(min(_LOOK, self._length / 8))

    def _tell(self, reason: str) -> None:
        if not self._left.is_set():
            self._lost(Loss(reason=reason))


def _words(how: str | None) -> str:
    if how in (None, "expired"):
        return "the lease of the machines has expired: the controller did not run for too long"
    return f"the lease of the machines was ended: {how}"
