"""A real supervisor for each test, bootstrapped as on a node, under the oldest and the newest Python that is there."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

#: How the supervisor is called on a node: by a sh that is in its folder. Its arguments: the folder, and how.
CALL = ["/bin/sh", "-c", 'cd "$0" && how="$1" && . ./call']
#: Requests shorter than this are read by sh itself.
SHORT = 2048

COLLECTION = Path(__file__).parents[3] / "collections" / "ansible_collections" / "benchhub" / "bench"


def load(name: str, kind: str = "module_utils") -> Any:
    """A module of the collection, imported from its file: nothing of Ansible is needed."""
    path = COLLECTION / "plugins" / kind / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchhub_node_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load("bootstrap")
#: It compiles two dozen modules each time; a controller does that once a run.
program = functools.cache(bootstrap.program)


def pythons() -> list[str]:
    """The oldest and the newest usable Python of this machine, version managers' own folders among the places."""
    folders = [*os.environ.get("PATH", "").split(":"), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    found: dict[int, str] = {}
    for folder in folders:
        for path in Path(folder).glob("python3.*"):
            match = re.fullmatch(r"python3\.(\d+)", path.name)
            if match and int(match[1]) >= 8 and "shims" not in folder:
                found.setdefault(int(match[1]), str(path))
    found.setdefault(sys.version_info.minor, sys.executable)
    return [found[min(found)], found[max(found)]] if len(found) > 1 else list(found.values())


class Node:
    """One slot with its supervisor."""

    def __init__(self, folder: Path, python: str, slot: str = "db", **config: Any) -> None:
        # processes are found by the run's id: tests that run at the same time need different ones
        run = f"20260101-000000-{os.getpid()}-{zlib.crc32(str(folder).encode()):08x}"
        self.dir = folder / f"benchhub-{run}" / slot
        self.config: dict[str, Any] = {
            "run": run,
            "slot": slot,
            "dir": str(self.dir),
            "lease": 30,
            "retention": 5,
            "login_uid": None,
            "login_gid": None,
            "async_dir": str(folder / "async"),
            **config,
        }
        self.python = python
        self.prefix: tuple[str, ...] = ()

    def boot(self, *prefix: str) -> dict[str, Any]:
        """Starts the supervisor, and makes later calls, through a command that changes the user."""
        self.prefix = prefix
        command = [*prefix, "/bin/sh", "-c", bootstrap.script(self.config, self.python)]
        done = subprocess.run(command, input=program(), capture_output=True, timeout=30, check=False)
        assert done.stdout, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def __call__(self, op: str, /, **request: Any) -> dict[str, Any]:
        answer = self.answer(self.begin(op, **request))
        if answer.get("error") == "full":
            answer = self.answer(self.begin(op, "full", **request))
        return answer

    def begin(self, op: str, how: str = "", /, **request: Any) -> subprocess.Popen[bytes]:
        data = json.dumps({"op": op, **request}).encode() + b"\n"
        how = how or ("short" if len(data) < SHORT else "")
        command = [*self.prefix, *CALL, str(self.dir / ".benchhub"), how]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.close()
        process.stdin = None
        return process

    @staticmethod
    def answer(process: subprocess.Popen[bytes], limit: float = 40) -> dict[str, Any]:
        output, _ = process.communicate(timeout=limit)
        reply: dict[str, Any] = json.loads(output)
        return reply

    def steps(self, *steps: dict[str, Any], unit: str = "work", bound: float = 20, **request: Any) -> dict[str, Any]:
        """The status of a unit of steps, once it has ended."""
        wait = {"units": [unit], "bound": bound}
        reply = self("start", unit=unit, kind="steps", steps=list(steps), wait=wait, **request)
        assert reply["ok"], reply
        status: dict[str, Any] = reply["units"][unit]
        return status

    def sh(self, text: str, **keys: Any) -> dict[str, Any]:
        """The record of one shell step."""
        record: dict[str, Any] = self.steps({"name": "step", "kind": "shell", "text": text, **keys})["steps"][0]
        return record

    def service(self, text: str, name: str = "service", **keys: Any) -> None:
        command = {"kind": "shell", "text": text}
        reply = self("start", **{"unit": name, "kind": "service", "service": command, "grace": 1, **keys})
        assert reply["ok"], reply

    def output(self, unit: str = "work", name: str = "01.out") -> bytes:
        return (self.dir / ".benchhub" / "units" / unit / name).read_bytes()

    def has_said(self, unit: str, text: bytes) -> bool:
        """Whether that is all of a unit's output by now; it may not even have begun."""
        with contextlib.suppress(FileNotFoundError):
            return self.output(unit) == text
        return False

    @property
    def pid(self) -> int:
        return int((self.dir / ".benchhub" / "pid").read_text())

    def members(self) -> list[psutil.Process]:
        """Everything below the daemon, and whatever carries the run's marker."""
        found: dict[int, psutil.Process] = {}
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            found = {process.pid: process for process in psutil.Process(self.pid).children(recursive=True)}
        return [process for process in found.values() if not all_gone([process])]

    def programs(self) -> set[str]:
        """The names of what runs below the daemon; a monitor that waits for more to do is among them."""
        names = set()
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                names.add(process.name())
        return names

    @property
    def folder(self) -> Path:
        return self.dir / ".benchhub"

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.answer(self.begin("finish"), limit=15)
        with contextlib.suppress(Exception):
            os.kill(self.pid, signal.SIGKILL)
        shutil.rmtree(self.dir.parent, ignore_errors=True)


def _under_each() -> list[Any]:
    """The oldest Python is the one that breaks; all of it once more under the newest is nothing for `make fast`."""
    oldest, *newest = pythons()
    return [
        pytest.param(oldest, id=Path(oldest).name),
        *(pytest.param(path, id=Path(path).name, marks=pytest.mark.real) for path in newest),
    ]


@pytest.fixture(params=_under_each())
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def node(tmp_path: Path, python: str) -> Iterator[Node]:
    one = Node(tmp_path, python)
    answer = one.boot()
    assert answer["ok"], answer
    yield one
    one.close()


def eventually(condition: Any, limit: float = 60) -> None:
    """Waits until a condition holds; asks less often with time, since many conditions look at all processes."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < limit, "it never came true"
        time.sleep(min(max(waited / 10, 0.01), 0.1))


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of these runs any more; one that nobody has waited for yet does not run."""
    return not any(map(_runs, processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
