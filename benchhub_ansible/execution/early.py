"""Ansible on its way before there are nodes: it takes half a second to load itself, and needs none of them for that.

What is started early reads its first inventory, ``gate.yml``, and waits there until the nodes are known: it knows no
node before their allocation is in the journal.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from benchhub_ansible.execution.runner import Launched

Cancelled = Callable[[], bool]


class Gate:
    """A closed gate: the lock on an inventory file that the plugin ``benchhub.bench.gate`` wants too.

    A controller that dies gives up its lock as well; the plugin sees then that there is no inventory, and ends.
    """

    def __init__(self, source: Path, *, until: Path) -> None:
        self.source = source
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(
            "---\n# Ansible was started while the nodes were acquired. It waits here until it may know them.\n"
            f"plugin: benchhub.bench.gate\nuntil: {json.dumps(str(until))}\n",
            encoding="utf-8",
        )
        self._descriptor: int | None = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def open(self) -> None:
        """Lets Ansible pass; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class EarlyLaunch:
    """A launch in a thread of its own, in front of a gate. Exactly one of ``finish`` and ``drop`` ends it."""

    def __init__(self, gate: Gate, start: Callable[[Cancelled], Launched]) -> None:
        self._gate = gate
        self._start = start
        self._dropped = False
        self._cancelled: Cancelled | None = None
        self._done: Launched | BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._done = self._start(self._shall_end)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            self._done = error

    def _shall_end(self) -> bool:
        """Asked by the launch's thread; until the gate is open only the other thread looks for what the user wants."""
        return self._dropped or (self._cancelled is not None and self._cancelled())

    def finish(self, cancelled: Cancelled) -> Launched:
        """Opens the gate and waits for the end of the launch, which ``cancelled`` may bring about."""
        self._cancelled = cancelled
        self._gate.open()
        self._thread.join()
        if isinstance(self._done, BaseException):
            raise self._done
        assert self._done is not None  # noqa: S101 - the thread has ended
        return self._done

    def drop(self) -> None:
        """Ends the launch in front of the gate, and waits until it has."""
        self._dropped = True
        self._thread.join()
        self._gate.open()
