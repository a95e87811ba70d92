"""Waiting for units on many nodes with one blocked call per node, and giving up as soon as one of them fails."""

# ruff: noqa: SLF001 - Ansible hands its plugins what they need in underscored attributes

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.benchhub.bench.plugins.plugin_utils.fanout import Ended, FanOut, OverdueError
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import progress

#: Time beyond its bound after which a node that gives no answer counts as lost, seconds.
MARGIN = 30.0
#: After a first failure, how long others that fail of the same cause may still tell so, seconds.
AFTERMATH = 0.25


@dataclass
class Wait:
    """What to ask one slot: ``first``, then what ``again`` makes of a reply that says it is not over yet."""

    first: dict
    again: Callable[[dict], dict]
    watcher: bool = False  # it has nothing that ends: it only reports a service that dies
    seen: dict = field(default_factory=dict)


def repeated(request):
    """A Wait that asks the same until it is over."""
    return Wait(first=request, again=lambda _reply: request)


class Waiter:
    """Asks every slot until its units have ended; yields an Ended with the final reply of each."""

    def __init__(self, action, waits, *, title, limit=None, fail_fast=True):
        self._action = action
        self._waits = waits
        self._title = title
        self._limit = limit
        self._fail_fast = fail_fast
        self._stop = threading.Event()
        self._began = time.monotonic()

    def run(self):
        """The Ended of every slot that had something to say before all was over or one failed."""
        self._fan = FanOut({slot: self._asker(slot) for slot in self._waits}, ready=self._action.fleet.link)
        open_slots = {slot for slot, wait in self._waits.items() if not wait.watcher}
        ended = []
        told = self._began
        give_up = None
        for one in self._fan:
            now = time.monotonic()
            if one is not None:
                ended.append(one)
                open_slots.discard(one.slot)
                if self._fail_fast and give_up is None and failed(one):
                    give_up = now + AFTERMATH
            elif now - told >= self._action.bound:
                told = now
                self._tell(open_slots, now)
                self._action.renew_others(self._waits)
            if not open_slots or (give_up is not None and now >= give_up):
                break
            if self._limit is not None and now - self._began > self._limit:
                ended.extend(
                    Ended(slot, error=OverdueError(f"not over after {self._limit:.0f} s")) for slot in open_slots
                )
                break
        self._stop.set()
        return ended

    def _asker(self, slot):
        wait = self._waits[slot]

        def ask():
            link = self._action.fleet.link(slot)
            request = wait.first
            while True:
                self._fan.due(slot, request.get("wait", request).get("bound", 0.0) + MARGIN)
                reply = link.call(request, alone=wait.watcher)  # nobody waits for a watcher when the others are done
                if reply.get("state") != "waiting" or self._stop.is_set():
                    return reply
                wait.seen = reply
                request = wait.again(reply)

        return ask

    def _tell(self, slots, now):
        waiting = ", ".join(progress(slot, self._waits[slot].seen, self._began, now) for slot in sorted(slots)[:5])
        more = f" and {len(slots) - 5} more" if len(slots) > 5 else ""
        limit = f", at most {self._limit:.0f} s" if self._limit else ""
        self._action._display.display(f"benchhub: {self._title}: still waiting for {waiting}{more}{limit}")


def failed(ended):
    """Whether what a slot said means that the others need not be waited for."""
    if ended.error is not None:
        return True
    return not ended.value.get("ok") or ended.value.get("state") in ("failed", "service-died", "timeout")
