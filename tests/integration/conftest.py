"""What the integration tests share: the benchhub command as a user starts it, and free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing import engine as engines
from tests.integration import quick_python as quick


def variables(**values: Any) -> list[str]:
    """The options of `benchhub run` that set a job's variables."""
    return [part for name, value in values.items() for part in ("--var", f"{name}={value}")]


@dataclass
class Benchhub:
    """Starts ``benchhub`` in a folder of its own and ends what it started when the test is over."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchhub_ansible.cli.main", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def call(self, *arguments: str | Path, limit: float = 240) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=limit)
        assert "Traceback" not in output, output
        return subprocess.CompletedProcess(process.args, process.returncode, output, "")

    def run_folder(self, limit: float = 30) -> Path:
        """The run folder of the one run that this test started."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            folders = [path for path in self.runs.glob("*") if (path / "journal.jsonl").exists()]
            if folders:
                (folder,) = folders
                return folder
            time.sleep(0.02)
        raise AssertionError(f"no run folder within {limit} s")

    def journal(self) -> list[dict[str, Any]]:
        lines = (self.run_folder() / "journal.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]  # one may be being written

    def wait_for(self, reached: Callable[[dict[str, Any]], bool], limit: float = 120) -> dict[str, Any]:
        """The first journal event for which ``reached`` is true."""
        deadline = time.monotonic() + limit
        seen: list[dict[str, Any]] = []
        with (self.run_folder() / "journal.jsonl").open() as journal:
            line = ""
            while time.monotonic() < deadline:
                line += journal.readline()
                if not line.endswith("\n"):
                    time.sleep(0.02)
                    continue
                seen.append(json.loads(line))
                line = ""
                if reached(seen[-1]):
                    return seen[-1]
        raise AssertionError(f"not reached within {limit} s; last: {seen[-1:]}")

    def result(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.run_folder() / "result.json").read_text())
        return data


@pytest.fixture
def benchhub(tmp_path: Path) -> Iterator[Benchhub]:
    folder = tmp_path / "a folder"  # with a space, as users have them
    folder.mkdir()
    command = Benchhub(folder=folder)
    yield command
    for process in command._started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test session share."""
    own = factory.getbasetemp()
    return (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "engine"


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Engine]:
    """A docker engine that answers and has the tiny image; programs find it as a user's would, by the environment."""
    with engines.docker(_shared(tmp_path_factory)) as engine, pytest.MonkeyPatch.context() as environment:
        for name, value in engine.variables.items():
            environment.setenv(name, value)
        engine.make_tiny_image()
        yield engine


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[engines.Engine]:
    """A podman that has the tiny image, and nothing else of this machine."""
    with engines.podman() as engine:
        engine.make_tiny_image()
        yield engine


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> engines.Engine:
    """Each engine in turn."""
    made: engines.Engine = request.getfixturevalue(f"{request.param}_engine")
    return made


@pytest.fixture(scope="session")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A python for the quickstart that installs PostgreSQL in no time."""
    return quick.quick_python(tmp_path_factory.mktemp("quick-python"))
