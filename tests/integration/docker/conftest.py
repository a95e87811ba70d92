"""Jobs with containers on a real engine, and names that no other test has."""

from __future__ import annotations

import textwrap
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchhub_ansible.testing.engine import TINY_IMAGE, Engine

#: A service that says when it is up, and ends in order, with an exit code of its own, when it is told to.
SERVE = 'trap "echo told; exit 7" TERM; echo up; while :; do sleep 0.1; done'


@dataclass
class Containers:
    """The benchhub command with one engine, and the jobs that a test writes for it."""

    benchhub: Any
    engine: Engine
    tag: str = field(default_factory=lambda: f"bh-{uuid.uuid4().hex[:8]}")

    def job(self, stages: str, pipeline: str, **keys: str) -> None:
        """Writes job.yml: NAME, IMAGE, ENGINE and SERVE in its text are this test's own."""
        words = {"NAME": self.tag, "IMAGE": TINY_IMAGE, "ENGINE": self.engine.name, "SERVE": SERVE} | keys
        text = textwrap.dedent(stages)
        for word, value in words.items():
            text = text.replace(word, value)
        head = "version: 2\nname: containers\nnodes: {db: {type: database}}\nstages:\n"
        (self.benchhub.folder / "job.yml").write_text(f"{head}{textwrap.indent(text, '  ')}\npipeline: {pipeline}\n")

    def run(self, *options: str, code: int = 0) -> str:
        """What `benchhub run` says; it has to end with this exit code and to leave nothing of it in the engine."""
        done = self.benchhub.call("run", "job.yml", *options)
        assert done.returncode == code, done.stdout
        self.nothing_is_left()
        said: str = done.stdout
        return said

    def nothing_is_left(self) -> None:
        assert self.engine.of_run(self.benchhub.run_folder().name) == []

    def output(self, unit: str, number: int = 1, stream: str = "out") -> str:
        """What a step or service wrote, brought home."""
        path = self.benchhub.run_folder() / "collected" / "db" / "units" / unit / f"{number:02}.{stream}"
        text: str = path.read_text()
        return text


@pytest.fixture
def containers(benchhub: Any, engine: Engine) -> Containers:
    """With each engine in turn."""
    return _with(benchhub, engine)


@pytest.fixture
def docker(benchhub: Any, docker_engine: Engine) -> Containers:
    """With docker alone, for what does not depend on the engine."""
    return _with(benchhub, docker_engine)


def _with(benchhub: Any, engine: Engine) -> Containers:
    benchhub.environment.update(engine.variables)
    return Containers(benchhub, engine)


Reached = Callable[[dict[str, Any]], bool]


def begins(stage: str) -> Reached:
    """Whether an event of the journal is the beginning of that stage."""
    return lambda event: event["event"] == "stage-begin" and event["stage"].startswith(stage)
