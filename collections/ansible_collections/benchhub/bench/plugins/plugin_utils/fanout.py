"""Calls to many nodes at once, each in a thread; what they report comes back to the one thread that may display."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

#: How often the caller gets a word when nothing ends, seconds.
TICK = 0.25


@dataclass(frozen=True)
class Ended:
    """One call that is over: its value, or the exception it ended with."""

    slot: str
    value: Any = None
    error: Exception | None = None


class OverdueError(Exception):
    """A node gave no answer although every bound has passed."""


class FanOut:
    """Runs one call per slot; iterating gives an Ended for each as it comes, and None every TICK.

    A caller may stop iterating: calls that still block end by themselves (their bound is short) and their result is
    thrown away. ``limit`` is for calls that do not block; blocking calls need a thread each. ``ready(slot)`` is done
    for each in the caller's own thread, just before its call: so the first node works while the last is made ready.
    """

    def __init__(self, calls, limit=None, ready=None):
        self._calls = calls
        self._ready = ready
        self._todo = deque()
        self._working = 0
        self._lock = threading.Lock()
        self._open = set(calls)
        self._due = {}
        self._done = queue.SimpleQueue()
        self._threads = min(len(calls), limit or len(calls))

    def due(self, slot, seconds):
        """Says that the call of ``slot`` must have an answer within ``seconds`` from now; None takes that back."""
        if seconds is None:
            self._due.pop(slot, None)
        else:
            self._due[slot] = time.monotonic() + seconds

    def begin(self):
        """Starts the calls; enough for those whose outcome nobody needs."""
        for slot, call in self._calls.items():
            try:
                if self._ready is not None:
                    self._ready(slot)
            except Exception as error:  # noqa: BLE001 - as for the call itself: it belongs to this slot
                self._done.put(Ended(slot, error=error))
                continue
            with self._lock:
                self._todo.append((slot, call))
                idle = self._working < self._threads
                self._working += idle
            if idle:
                self._spawn()

    def __iter__(self):
        self.begin()
        while self._open:
            try:
                ended = self._done.get(timeout=TICK)
            except queue.Empty:
                yield from self._overdue()
                yield None
                continue
            if ended.slot in self._open:
                self._open.discard(ended.slot)
                yield ended

    def _spawn(self):
        # plugins of ansible-core >= 2.19 find their task in a context variable, which a thread does not inherit
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._work,), daemon=True).start()

    def _work(self):
        while True:
            with self._lock:
                if not self._todo:
                    self._working -= 1
                    return
                slot, call = self._todo.popleft()
            try:
                self._done.put(Ended(slot, value=call()))
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises belongs to this slot, not to the thread
                self._done.put(Ended(slot, error=error))

    def _overdue(self):
        now = time.monotonic()
        for slot, due in list(self._due.items()):
            if due < now and slot in self._open:
                self._open.discard(slot)
                with self._lock:
                    self._working += 1
                self._spawn()  # the stuck thread takes no further call
                yield Ended(slot, error=OverdueError("no answer, although one was due"))
