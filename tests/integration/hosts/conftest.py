"""Nodes that are containers, on the engine that the tests use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.engine import Engine
from benchhub_ansible.testing.leftovers import leftovers


@pytest.fixture(autouse=True)
def _that_engine(docker_engine: Engine) -> None:
    """Every test here needs it."""


@pytest.fixture
def docker_job(docker_engine: Engine, benchhub: Any) -> Callable[[str], Path]:
    """Writes a job beside the runs of this test, whose processes know which engine there is."""

    def write(text: str) -> Path:
        path: Path = benchhub.folder / "job.yml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def nothing_left(docker_engine: Engine) -> Iterator[Callable[[str], None]]:
    """Fails the test when anything of the runs it names is left: on the engine, on this machine, in its folders."""
    named: list[str] = []

    def check(run_id: str) -> None:
        named.append(run_id)
        assert docker_engine.of_run(run_id) == []
        assert not (Path(tempfile.gettempdir()) / f"benchhub-docker-{run_id}").exists()
        assert leftovers(run_id, patience=30) == []

    yield check
    assert named, "the test named no run"
