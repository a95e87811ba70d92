"""Notices at once when a node of a run ends or is cut off: the engine tells, nothing polls."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from benchhub_ansible.errors import ExitCode, SchedulerError
from benchhub_ansible.schedulers.base import Loss, Lost
from benchhub_ansible.schedulers.docker.engine import PROGRAM, Engine

_EVENTS = ("die", "oom", "pause", "destroy", "disconnect")
_AGAIN = 1.0  # seconds before asking an engine again that has hung up


class Watch:
    """Reads the engine's events in a thread until it is told to stop. ``nodes``: slots by container id."""

    def __init__(self, engine: Engine, nodes: Mapping[str, str], *, network: str, since: float, lost: Lost) -> None:
        self._engine = engine
        self._nodes = nodes
        self._network = network
        self._since = since
        self._lost = lost
        self._stopped = threading.Event()
        self._reader: subprocess.Popen[str] | None = None

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """While entered, a loss is told; entering and leaving do not wait."""
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            yield
        finally:
            self._stopped.set()
            if self._reader is not None:
                self._reader.terminate()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                self._read()
                problem = None if self._stopped.is_set() else self._look()
            except (SchedulerError, OSError) as error:
                problem = f"the container engine that carries the nodes does not answer: {error}"
            if problem is not None and not self._stopped.is_set():
                self._lost(Loss(reason=problem, exit_code=ExitCode.NODES))
                return
            self._stopped.wait(_AGAIN)

    def _read(self) -> None:
        """Follows the events until there are no more."""
        command = [PROGRAM, "events", "--since", f"{self._since:.3f}", "--format", "{{json .}}"]
        command += [f"--filter=event={event}" for event in _EVENTS]
        with subprocess.Popen(
            command,
            env=self._engine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        ) as self._reader:
            if self._stopped.is_set():  # it was told to stop before there was anything to terminate
                self._reader.terminate()
            for line in self._reader.stdout or ():
                reason = self._judge(json.loads(line))
                if reason is not None and not self._stopped.is_set():
                    self._stopped.set()
                    self._lost(Loss(reason=reason, exit_code=ExitCode.NODES))
                    self._reader.terminate()

    def _judge(self, event: Mapping[str, Any]) -> str | None:
        """Why the run cannot go on after this event; None when it does not matter."""
        action, actor = str(event.get("Action")), event.get("Actor", {})
        attributes: Mapping[str, str] = actor.get("Attributes", {})
        if event.get("Type") == "network":
            slot = self._nodes.get(str(attributes.get("container")))
            cut = slot is not None and attributes.get("name") == self._network
            return f"node {slot} was cut off: its container was disconnected from the network" if cut else None
        slot = self._nodes.get(str(actor.get("ID")))
        if slot is None:
            return None
        code = attributes.get("exitCode")
        said = {
            "die": f"its container ended, with exit code {code}",
            "oom": "its container ran out of memory",
            "pause": "its container was paused",
            "destroy": "its container was removed",
        }
        return f"node {slot} was lost: {said[action]}" if action in said else None

    def _look(self) -> str | None:
        """What is wrong with the nodes now; asked when the events have ended, as they do when an engine restarts."""
        for found in self._engine.inspect("container", *self._nodes):
            slot = self._nodes[str(found["Id"])]
            if not found["State"]["Running"]:
                return f"node {slot} was lost: its container ended, with exit code {found['State'].get('ExitCode')}"
            if self._network not in found["NetworkSettings"]["Networks"]:
                return f"node {slot} was cut off: its container was disconnected from the network"
        return None
