"""Nodes that are containers, on the engine that the tests use."""

from __future__ import annotations

import os

import pytest

from benchhub_ansible.testing.engine import Engine


@pytest.fixture(autouse=True)
def _that_engine(docker_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs under test find the engine as a user's would: by the environment."""
    for name, value in docker_engine.variables.items():
        monkeypatch.setenv(name, value)
    assert os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")
