"""The scheduler keeps the contract of every scheduler, and its own promise: one run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchhub_hostfile.scheduler import HostfileScheduler

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import Scheduler
from benchhub_ansible.testing.scheduler_contract import SchedulerContract, request_of

HOSTS = """\
# name type address
d1 database 192.0.2.1
l1 loader 192.0.2.2
l2 loader 192.0.2.3 ansible_port=2222
"""


class TestHostfile(SchedulerContract):
    @pytest.fixture
    def scheduler(self, tmp_path: Path) -> Scheduler:
        path = tmp_path / "hosts.txt"
        path.write_text(HOSTS)
        return HostfileScheduler.from_where(str(path))

    def test_a_host_is_used_by_one_run_at_a_time(self, scheduler: Scheduler) -> None:
        allocation = self.acquire(scheduler, request_of(database=1), "first")
        told: list[str] = []
        with pytest.raises(SchedulerError, match="first has them"):
            scheduler.acquire(
                request_of(database=1), run_id="second", progress=told.append, cancelled=lambda: bool(told)
            )
        assert told == ["waiting for hosts of hosts.txt, which first has"]
        scheduler.release(allocation)
        assert self.acquire(scheduler, request_of(database=1), "second").nodes[0].host == "d1"
