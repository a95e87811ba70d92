"""Every scheduler that comes with benchhub passes the published suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchhub_ansible.schedulers.base import Request, Scheduler
from benchhub_ansible.schedulers.inventory import InventoryScheduler
from benchhub_ansible.schedulers.local import LocalScheduler
from benchhub_ansible.schedulers.pool.scheduler import PoolScheduler
from benchhub_ansible.testing.scheduler_contract import SchedulerContract


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inventory") / "hosts.ini"
    path.write_text("[database]\nh1 ansible_host=192.0.2.1\n[loader]\nh[2:4]\n[all:vars]\nansible_user=bench\n")
    return path


@pytest.fixture(scope="module")
def reader(inventory: Path) -> InventoryScheduler:
    """One for all tests: it has no state but what it has read, which takes a second."""
    return InventoryScheduler.from_where(str(inventory))


class TestLocal(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return LocalScheduler()

    @pytest.fixture
    def impossible(self) -> Request | None:
        return None


class TestInventory(SchedulerContract):
    bad_where = "/no/such/inventory"

    @pytest.fixture
    def scheduler(self, reader: InventoryScheduler) -> Scheduler:
        return reader


class TestPool(SchedulerContract):
    bad_where = "/no/such/lab.yml"

    @pytest.fixture
    def scheduler(self, tmp_path: Path) -> Scheduler:
        lab = tmp_path / "lab.yml"
        lab.write_text(
            "machines: [{name: a, types: [database, loader]}, {name: b, types: loader}, {name: c, types: loader}]"
        )
        return PoolScheduler.from_where(str(lab))
