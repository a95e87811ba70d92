"""The scheduler ``slurm`` keeps the contract of all schedulers, over a real Slurm."""

from __future__ import annotations

import pytest

from benchhub_ansible.schedulers.base import Scheduler
from benchhub_ansible.schedulers.slurm.scheduler import SlurmScheduler
from benchhub_ansible.testing.scheduler_contract import SchedulerContract
from benchhub_ansible.testing.slurm import SlurmFarm

pytestmark = pytest.mark.real


class TestSlurm(SchedulerContract):
    @pytest.fixture
    def scheduler(self, farm: SlurmFarm, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
        for name, value in farm.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        return SlurmScheduler.from_where("partition=main")


class TestSlurmWithSrun(TestSlurm):
    @pytest.fixture
    def scheduler(self, farm: SlurmFarm, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
        for name, value in farm.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        return SlurmScheduler.from_where("connect=srun,time=5m")
