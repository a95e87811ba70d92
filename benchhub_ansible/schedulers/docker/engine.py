"""The container engine of this machine, through its command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchhub_ansible.errors import SchedulerError

PROGRAM = "docker"
#: Says, in a process's environment, whose controller started it: the sweep of a run ends it by that.
_MARKER = "BENCHHUB_CONTROLLER"
_LIMIT = 120.0  # seconds one call may take: an engine under load is slow, a hung one must not hang a run
_LAST_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Calls of the docker command line, in the name of one run when there is one."""

    run_id: str | None = None

    def environment(self) -> dict[str, str]:
        """The user's own environment (contexts, DOCKER_HOST) and the mark of the run."""
        marked = {} if self.run_id is None else {_MARKER: self.run_id}
        return {**os.environ, **marked}

    def call(self, *arguments: str, data: bytes | None = None, limit: float = _LIMIT) -> str:
        """What the command writes; SchedulerError with its own words and the next step when it fails."""
        done = self._done(arguments, data, limit)
        if done.returncode != 0:
            raise failed(arguments, done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace").strip()

    def logs(self, container: str, lines: int) -> str:
        """The last lines a container wrote, on either stream."""
        done = self._done(("logs", "--tail", str(lines), container), None, _LIMIT)
        return (done.stdout + done.stderr).decode(errors="replace").strip()

    def try_call(self, *arguments: str) -> bool:
        """Whether the command succeeded; for removing what may be gone already."""
        return self._done(arguments, None, _LIMIT).returncode == 0

    def inspect(self, kind: str, *names: str) -> list[Mapping[str, Any]]:
        """What the engine knows of things of a kind (container, network, image); SchedulerError if one is missing."""
        found: list[Mapping[str, Any]] = json.loads(self.call(kind, "inspect", *names)) if names else []
        return found

    def inspect_what_is_left(self, kind: str, *names: str) -> list[Mapping[str, Any]]:
        """The same, of those that are still there: what was listed a moment ago may be gone."""
        if not names:
            return []
        done = self._done((kind, "inspect", *names), None, _LIMIT)
        said = done.stderr.decode(errors="replace")
        if done.returncode != 0 and not all("No such" in line for line in said.splitlines()):
            raise failed((kind, "inspect"), said)
        found: list[Mapping[str, Any]] = json.loads(done.stdout or b"[]")
        return found

    def ids(self, *arguments: str, label: str) -> list[str]:
        """The ids that a listing command such as ``network ls`` gives for a label."""
        return self.call(*arguments, "--quiet", "--filter", f"label={label}").split()

    def info(self) -> Mapping[str, Any]:
        """What ``docker info`` says of the machine behind the engine."""
        said: Mapping[str, Any] = json.loads(self.call("info", "--format", "{{json .}}"))
        return said

    def _done(self, arguments: Sequence[str], data: bytes | None, limit: float) -> subprocess.CompletedProcess[bytes]:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        try:
            return subprocess.run(
                [PROGRAM, *arguments],
                capture_output=True,
                check=False,
                timeout=limit,
                env=self.environment(),
                start_new_session=True,  # Ctrl-C is ours to answer: a call cut short leaves what nobody knows of
                **given,
            )
        except FileNotFoundError:
            raise SchedulerError(_NO_PROGRAM) from None
        except subprocess.TimeoutExpired:
            raise SchedulerError(
                f"`{PROGRAM} {arguments[0]}` did not end within {limit:.0f} s",
                hint="is the engine well? try: docker info",
            ) from None


_NO_PROGRAM = "there is no docker command on PATH; mend: install an engine (Debian: apt-get install docker.io)"


def failed(arguments: Sequence[str], said: str) -> SchedulerError:
    """The error for a failed call, in the engine's own words, with the mend where the cause is known."""
    words = "\n".join(said.strip().splitlines()[-_LAST_LINES:])
    return SchedulerError(
        f"`{PROGRAM} {' '.join(arguments[:2])}` failed: {words or 'it said nothing'}", hint=_mend(said)
    )


def _mend(said: str) -> str | None:
    for sign, mend in _MENDS:
        if sign in said:
            return mend
    return None


_MENDS = (
    ("permission denied", "add yourself to the group docker and log in again: sudo usermod -aG docker $USER"),
    ("Cannot connect to the Docker daemon", "start the engine: sudo systemctl start docker (or: sudo dockerd)"),
    ("non-overlapping IPv4 address pool", "remove networks that nobody uses: docker network prune"),
    ("No space left on device", "make room: docker system df shows what the engine holds"),
)


def problem() -> str | None:
    """Why the engine cannot be used, with the mend; None when it answers."""
    try:
        Engine().call("version", "--format", "{{.Server.Version}}", limit=15.0)
    except SchedulerError as error:
        found = error.diagnostics[0]
        return f"{found.message}; mend: {found.hint}" if found.hint else found.message
    return None
