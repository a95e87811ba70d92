"""Ansible on its way before there are nodes: it takes half a second to load itself, and needs none of them for that.

What is started early reads its first inventory, ``gate.yml``, and waits there until the nodes are known: it knows no
node before their allocation is in the journal. Where nodes are hosts of the user's inventory, it reads that one first
and tells what it holds: no other Ansible has to be started for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchhub_ansible.execution.runner import Launched

Cancelled = Callable[[], bool]

#: How often it is looked for what Ansible tells, in seconds.
_POLL = 0.01


class Gate:
    """A closed gate: the lock on an inventory file that the plugin ``benchhub.bench.gate`` wants too.

    A controller that dies gives up its lock as well; the plugin sees then that there is no inventory, and ends.
    """

    def __init__(self, source: Path, *, until: Path, reads: Path | None = None) -> None:
        self.source = source
        self.told = source.with_name("told.json")
        source.parent.mkdir(parents=True, exist_ok=True)
        text = (
            "---\n# Ansible was started while the nodes were acquired. It waits here until it may know them.\n"
            f"plugin: benchhub.bench.gate\nuntil: {json.dumps(str(until))}\n"
        )
        if reads is not None:
            text += f"reads: {json.dumps(str(reads))}\ntold: {json.dumps(str(self.told))}\n"
        source.write_text(text, encoding="utf-8")
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

    def told(self, cancelled: Cancelled, limit: float) -> dict[str, Any] | None:
        """What Ansible has read in front of the gate; None when it has ended, or the wait was cancelled.

        TimeoutError when it takes longer than ``limit`` seconds.
        """
        path, deadline = self._gate.told, time.monotonic() + limit
        while not path.exists():
            if not self._thread.is_alive() or cancelled():
                return None
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(_POLL)
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        return told

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
