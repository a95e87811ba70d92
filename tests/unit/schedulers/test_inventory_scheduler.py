from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchhub_ansible.errors import SchedulerError, UsageError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.inventory import InventoryScheduler, inventory_arguments
from benchhub_ansible.schedulers.local import LocalScheduler
from benchhub_ansible.schedulers.where import absolute_where, parse_options, scheduler_for
from benchhub_ansible.source import Span
from benchhub_ansible.testing.scheduler_contract import SchedulerContract, request_of


def _scheduler(tmp_path: Path, text: str, name: str = "hosts.yml") -> InventoryScheduler:
    path = tmp_path / name
    path.write_text(text)
    return InventoryScheduler.from_where(str(path))


def _one(**needs: object) -> Request:
    span = Span(line=1, column=1)
    node = NodeRequest(name="db", type="database", span=span, **needs)  # type: ignore[arg-type]
    return Request(slots=(Slot(name="db", node="db", type="database", index=0),), nodes=(node,))


def test_too_few_hosts_name_every_group_and_both_counts(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[database]\nh1\n[loader]\nh2\nh3\n", "hosts.ini")
    with pytest.raises(SchedulerError) as caught:
        scheduler.check(request_of(database=2, loader=3))
    messages = [d.message for d in caught.value.diagnostics]
    assert "needs 2 hosts of group 'database', which has 1" in messages[0]
    assert "needs 3 hosts of group 'loader', which has 2" in messages[1]
    assert "there are: database, loader" in str(caught.value.diagnostics[0].hint)


def test_a_group_that_is_not_there(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[loader]\nh2\n", "hosts.ini")
    with pytest.raises(SchedulerError, match="there is no such group"):
        scheduler.check(request_of(database=1))


def test_a_host_in_two_groups_plays_one_slot(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[database]\nh1\n[loader]\nh1\nh2\n", "hosts.ini")
    allocation = SchedulerContract.acquire(scheduler, request_of(database=1, loader=1))
    assert [node.host for node in allocation.nodes] == ["h1", "h2"]


def test_a_host_of_several_groups_plays_where_it_is_needed(tmp_path: Path) -> None:
    text = "[loader]\nboth\nl1\n[database]\nboth\n[monitor]\nl1\nm1\n"
    scheduler = _scheduler(tmp_path, text, "hosts.ini")
    allocation = SchedulerContract.acquire(scheduler, request_of(loader=1, database=1, monitor=1))
    assert [node.host for node in allocation.nodes] == ["l1", "both", "m1"]


def test_groups_that_share_too_few_hosts_are_named_together(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[loader]\nh1\nh2\n[database]\nh1\nh2\n", "hosts.ini")
    with pytest.raises(SchedulerError) as caught:
        scheduler.check(request_of(loader=2, database=1))
    told = "the job needs 3 hosts, 2 of group 'loader' and 1 of group 'database', and only 2 hosts are in these groups"
    assert told in str(caught.value)


def test_children_count_as_hosts_of_a_group(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[rack1]\nh1\n[rack2]\nh2\n[loader:children]\nrack1\nrack2\n", "hosts.ini")
    assert len(SchedulerContract.acquire(scheduler, request_of(loader=2)).nodes) == 2


def test_what_a_host_says_of_itself_counts_and_what_it_does_not_say_does_not(tmp_path: Path) -> None:
    scheduler = _scheduler(
        tmp_path,
        "database: {hosts: {small: {cpus: 2, memory: 4GiB}, slow: {features: [hdd]}, unknown: {}}}",
    )
    needs = _one(cpus=4, memory=8 * 2**30, features=("ssd",))
    assert SchedulerContract.acquire(scheduler, needs).nodes[0].host == "unknown"


def test_an_allocation_holds_no_variable_of_the_inventory(tmp_path: Path) -> None:
    text = "database: {hosts: {h1: {ansible_host: 192.0.2.7, ansible_password: hunter2}}}"
    allocation = SchedulerContract.acquire(_scheduler(tmp_path, text), _one())
    assert allocation.nodes[0].address == "192.0.2.7"
    assert "hunter2" not in str(allocation.as_data())


def test_a_dynamic_inventory_is_run(tmp_path: Path) -> None:
    path = tmp_path / "cloud"
    path.write_text('#!/bin/sh\necho \'{"database": {"hosts": ["c1"]}, "_meta": {"hostvars": {}}}\'\n')
    path.chmod(0o755)
    scheduler = InventoryScheduler.from_where(str(path))
    assert SchedulerContract.acquire(scheduler, _one()).nodes[0].host == "c1"


def test_a_broken_inventory_is_told_in_ansibles_words(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "database: {hosts: [\n")
    with pytest.raises(SchedulerError) as caught:
        scheduler.check(_one())
    assert "hosts.yml" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_vaulted_inventory_needs_the_users_arguments(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open\n")
    plain = tmp_path / "plain.yml"
    plain.write_text("database: {hosts: {v1: {ansible_password: s3cret}}}\n")
    encrypt = "import sys; sys.argv = ['ansible-vault', *sys.argv[1:]]; from ansible.cli.vault import main; main()"
    command = [sys.executable, "-c", encrypt, "encrypt", "--vault-password-file", str(password), str(plain)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    with pytest.raises(SchedulerError):
        InventoryScheduler.from_where(str(plain)).check(_one())
    scheduler = InventoryScheduler.from_where(str(plain))
    scheduler.arguments = ("--vault-password-file", str(password))
    assert SchedulerContract.acquire(scheduler, _one()).nodes[0].host == "v1"


def test_what_another_ansible_has_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InventoryScheduler, "_list", lambda _self: pytest.fail("ansible-inventory was started"))
    scheduler = _scheduler(tmp_path, "[database]\nh1\n", "hosts.ini")
    told = {"_meta": {"hostvars": {"h7": {"ansible_host": "192.0.2.7"}}}, "database": {"hosts": ["h7"]}}
    scheduler.read_by(lambda _limit: told)
    (node,) = SchedulerContract.acquire(scheduler, _one()).nodes
    assert (node.host, node.address) == ("h7", "192.0.2.7")


def test_where_another_ansible_has_ended_ansible_inventory_is_asked(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[database]\nh1\n", "hosts.ini")
    scheduler.read_by(lambda _limit: None)
    assert [node.name for node in scheduler.nodes()] == ["h1"]


@pytest.mark.parametrize("told", [{}, {"_meta": {"hostvars": {}}, "all": {"hosts": [], "children": []}}])
def test_where_another_ansible_finds_no_host_it_is_told_why(tmp_path: Path, told: dict[str, object]) -> None:
    scheduler = _scheduler(tmp_path, "[database]\nh1\n", "hosts.ini")
    scheduler.read_by(lambda _limit: told)
    with pytest.raises(SchedulerError, match="the Ansible of a run does not"):
        scheduler.check(_one())
    scheduler = _scheduler(tmp_path, "database: {hosts: [\n", "hosts.yml")
    scheduler.read_by(lambda _limit: told)
    with pytest.raises(SchedulerError, match="the inventory has no hosts"):
        scheduler.check(_one())


def test_another_ansible_that_takes_too_long_is_told(tmp_path: Path) -> None:
    def never(_limit: float) -> None:
        raise TimeoutError

    scheduler = _scheduler(tmp_path, "[database]\nh1\n", "hosts.ini")
    scheduler.read_by(never)
    with pytest.raises(SchedulerError, match="longer than 120 s"):
        scheduler.check(_one())


def test_where_names_a_scheduler() -> None:
    assert isinstance(scheduler_for("local"), LocalScheduler)
    with pytest.raises(UsageError) as caught:
        scheduler_for("locla")
    assert "did you mean 'local'?" in str(caught.value.diagnostics[0].hint)
    with pytest.raises(UsageError, match="no path is given"):
        scheduler_for("inventory:")


def test_where_can_be_told_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_where("inventory:lab/hosts.ini") == f"inventory:{tmp_path}/lab/hosts.ini"
    assert absolute_where("local") == "local"
    assert absolute_where("slurm:partition=main") == "slurm:partition=main"


def test_options_of_where() -> None:
    valid = ("partition", "time")
    assert parse_options("slurm", "partition=main,time=1h", valid) == {"partition": "main", "time": "1h"}
    assert parse_options("slurm", "", valid) == {}
    for wrong in ("tiem=1h", "partition", "time=1h,time=2h"):
        with pytest.raises(UsageError) as caught:
            parse_options("slurm", wrong, valid)
        assert caught.value.diagnostics[0].hint == "valid options: partition=…, time=…"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((), ()),
        (("-v", "-vvv", "--verbose", "--forks=9", "-f", "9", "--diff", "--become"), ()),
        (("-e", "@vars.yml", "-v", "-ea=1", "--extra-vars=b=2"), ("-e", "@vars.yml", "-ea=1", "--extra-vars=b=2")),
        (("--vault-password-file", "-v", "--vault-id=a@b"), ("--vault-password-file", "-v", "--vault-id=a@b")),
        (("--vault-id",), ("--vault-id",)),
    ],
)
def test_arguments_of_a_playbook_that_matter_to_an_inventory(given: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert inventory_arguments(given) == kept


def test_arguments_for_ansible_playbook_do_not_break_the_reading(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path, "[database]\nh1\n", "hosts.ini")
    scheduler.arguments = ("-vvv", "--forks=30", "-e", "a=1")
    assert [node.name for node in scheduler.nodes()] == ["h1"]
