"""A real Slurm with real ssh nodes, one for all tests of a worker, and as good as new for each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from benchhub_ansible.testing.slurm import SlurmFarm
from tests.integration.slurm.harness import OnSlurm


@pytest.fixture(scope="session")
def cluster() -> Iterator[SlurmFarm]:
    with SlurmFarm() as running:
        yield running


@pytest.fixture
def farm(cluster: SlurmFarm) -> Iterator[SlurmFarm]:
    cluster.reset()
    yield cluster
    cluster.reset()


@pytest.fixture
def on_slurm(farm: SlurmFarm, benchhub: Any) -> OnSlurm:
    benchhub.environment = {**os.environ, **farm.environment}
    return OnSlurm(farm=farm, benchhub=benchhub)
