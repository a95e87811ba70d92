"""Who may end a launch and when: signals, ``benchhub stop``, deadlines."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from benchhub_ansible.schedulers.base import Loss

#: Seconds that teardown still gets after a second Ctrl-C: enough to stop what runs, not to wait for it politely.
SHORT_TEARDOWN = 10.0

_REASONS = {signal.SIGINT: "ctrl-c", signal.SIGTERM: "sigterm", signal.SIGHUP: "sighup"}


class Control:
    """What the user and the clock ask of the launch that runs.

    While stages run, the first request and the deadline both cancel. Once teardown runs, a request only shortens it:
    what is being cleaned up must not be left half-way because somebody was in a hurry.
    """

    def __init__(self, *, stop_request: Path, on_ask: Callable[[str], object]) -> None:
        self._stop_request = stop_request
        self._on_ask = on_ask
        self._asked: list[str] = []
        self._told = 0
        self._deadline: float | None = None
        self._in_teardown = False
        self.reason: str | None = None  # why stages were cut short: ctrl-c, sigterm, sighup, stop-verb, timeout, lost
        self.loss: Loss | None = None  # what went with the nodes, when they were lost before anybody asked for the end

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Turns SIGINT, SIGTERM and SIGHUP into requests, and puts back what handled them before."""
        before = {number: signal.signal(number, self._on_signal) for number in _REASONS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - Python's signature
        # Nothing but a list append here: the journal may be in the middle of a line.
        reason = _REASONS[signal.Signals(number)]
        self._asked.append("stop-verb" if reason == "sigterm" and self._stop_request.exists() else reason)

    def lose(self, loss: Loss) -> None:
        """Ends the run because its nodes are lost; the first loss counts. May be called from any thread."""
        if self.loss is None:
            self.loss = loss
            self._asked.append("lost")

    def limit(self, seconds: float) -> None:
        """Gives what runs now this many seconds from now."""
        self._deadline = time.monotonic() + seconds

    def enter_teardown(self, seconds: float) -> None:
        """Says that stages are over and teardown has begun; a request made before it does not shorten it."""
        if not self._in_teardown:
            self._in_teardown = True
            self.limit(SHORT_TEARDOWN if len(self._asked) > 1 else seconds)

    def settle(self) -> None:
        """Tells what was asked since anybody looked: no request is lost because it came when nothing ran any more."""
        self._tell()

    @property
    def wants_end(self) -> bool:
        """Whether anybody asked for the end; for a scheduler that waits."""
        self._tell()
        return bool(self._asked)

    def cancelled(self) -> bool:
        """Whether the launch that runs must end now; ansible-runner asks this a few times a second."""
        self._tell()
        late = self._deadline is not None and time.monotonic() > self._deadline
        if self._in_teardown:
            return late
        if self._asked:
            self.reason = self.reason or self._asked[0]
        elif late:
            self.reason = self.reason or "timeout"
            self._ask_once("timeout")
        return bool(self._asked)

    def _ask_once(self, reason: str) -> None:
        if reason not in self._asked:
            self._asked.append(reason)
            self._tell()

    def _tell(self) -> None:
        for reason in self._asked[self._told :]:
            self._told += 1
            self._on_ask(reason)
            if self._in_teardown:
                self.limit(SHORT_TEARDOWN)
