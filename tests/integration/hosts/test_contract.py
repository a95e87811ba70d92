"""The scheduler ``docker`` passes the published suite, on a real engine."""

from __future__ import annotations

import pytest

from benchhub_ansible.errors import SchedulerError
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

    def test_a_lease_in_use_is_ended_only_by_force(self, scheduler: Scheduler, satisfiable: Request) -> None:
        allocation = self.acquire(scheduler, satisfiable)
        another = DockerScheduler.from_where("")
        try:
            with pytest.raises(SchedulerError, match="uses its nodes") as caught:
                another.end(allocation.id, force=False)
            assert "benchhub stop" in str(caught.value.diagnostics[0].hint)
            another.end(allocation.id, force=True)
            assert allocation.id not in {node.lease for node in another.nodes()}
        finally:
            scheduler.release(allocation)
