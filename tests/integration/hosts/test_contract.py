"""The scheduler ``docker`` passes the published suite, on a real engine."""

from __future__ import annotations

import pytest

from benchhub_ansible.schedulers.base import Request, Scheduler
from benchhub_ansible.schedulers.docker.scheduler import DockerScheduler
from benchhub_ansible.testing.scheduler_contract import SchedulerContract, request_of

pytestmark = [pytest.mark.real]


class TestDocker(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return DockerScheduler.from_where("engine=no")

    @pytest.fixture
    def impossible(self) -> Request | None:
        return request_of(database=100_000)
