"""The run folder: every path of a run, and the only ways to write there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import ResultError, UsageError

_LOCK_PATIENCE = 0.5


class RunFolder:
    """One run's folder, an ansible-runner private data dir too. docs/reference/run-folder.md lists the files."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def run_id(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    @property
    def job(self) -> Path:
        """Folder of the job file as it was given."""
        return self.path / "job"

    @property
    def plan(self) -> Path:
        """The plan as data."""
        return self.path / "plan.json"

    @property
    def project(self) -> Path:
        """The compiled playbooks."""
        return self.path / "project"

    @property
    def inventory(self) -> Path:
        """Who plays which slot."""
        return self.path / "inventory" / "hosts.yml"

    @property
    def artifacts(self) -> Path:
        """What ansible-runner leaves, a folder per launch."""
        return self.path / "artifacts"

    @property
    def collected(self) -> Path:
        """What came back from the nodes, a folder per slot."""
        return self.path / "collected"

    @property
    def journal(self) -> Path:
        """One event a line."""
        return self.path / "journal.jsonl"

    @property
    def controller(self) -> Path:
        """Which process runs it."""
        return self.path / "controller.json"

    @property
    def allocation(self) -> Path:
        """What the scheduler gave."""
        return self.path / "allocation.json"

    @property
    def result(self) -> Path:
        """Everything known of the run."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The result as Markdown."""
        return self.path / "report.md"

    @property
    def stop_request(self) -> Path:
        """There when ``benchhub stop`` asked for the end."""
        return self.path / "stop-request"

    def create(self, *, again: bool = False) -> None:
        """Makes the folder, readable by its owner alone; UsageError when that cannot be done.

        ``again``: what is there already is kept.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=again)
            for below in (self.job, self.inventory.parent, self.path / "env", self.collected):
                below.mkdir(mode=0o700, exist_ok=again)
        except OSError as error:
            raise UsageError(
                f"cannot make the run folder {self.path}: {error.strerror}", hint="give another one with --runs-dir"
            ) from error

    def discard(self) -> None:
        """Removes the folder of a run that came to nothing before it began, and the folder of runs when it is empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def write(self, path: Path, content: bytes | str) -> None:
        """Writes a file of the folder so that a reader sees the old or the new one, never a part; ResultError else."""
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            beside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise ResultError(f"{path} cannot be written: {error.strerror}") from error

    def write_json(self, path: Path, data: Any) -> None:
        """Writes JSON as people read it."""
        self.write(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, path: Path) -> Any:
        """What a JSON file of the folder holds; ResultError when it cannot be read."""
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            raise ResultError(f"{path}: there is no such file", hint="is this the folder of a run?") from None
        except (OSError, ValueError) as error:
            raise ResultError(f"{path}: cannot be read: {error}") from None

    @contextlib.contextmanager
    def locked(self, patience: float = _LOCK_PATIENCE) -> Iterator[None]:
        """Holds the run's lock: who sees it held knows that a controller lives. UsageError when another holds it."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Somebody who only asks whether we live holds it for an instant; so try for a moment.
            end = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise UsageError(
                            f"run {self.run_id} has a controller that lives",
                            hint=f"end it with: benchhub stop {self.run_id}",
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def alive(self) -> bool:
        """Whether a controller holds the run's lock now."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
