"""An Ansible that is started early waits at its gate, and ends when nobody will open it any more.

Where it is given an inventory of the user, it tells first what that one holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.execution.early import EarlyLaunch, Gate
from benchhub_ansible.execution.runner import Launched
from benchhub_ansible.playbook import folder

_DONE = Launched(status="successful", rc=0)


def _is_closed(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "artifacts" / "run" / "gate.yml", until=tmp_path / "hosts.yml")


def test_a_gate_is_closed_until_it_is_opened(gate: Gate, tmp_path: Path) -> None:
    assert str(tmp_path / "hosts.yml") in gate.source.read_text()
    assert _is_closed(gate.source)
    gate.open()
    gate.open()
    assert not _is_closed(gate.source)


def test_finish_opens_the_gate_and_gives_what_the_launch_gives(gate: Gate) -> None:
    early = EarlyLaunch(gate, lambda _cancelled: _wait(gate.source))
    assert early.finish(lambda: False) == _DONE


def _wait(source: Path) -> Launched:
    with source.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return _DONE


def test_what_the_user_wants_counts_once_the_gate_is_open(gate: Gate) -> None:
    asked = threading.Event()
    early = EarlyLaunch(gate, _until_cancelled)
    assert early.finish(lambda: asked.set() or True) == _DONE  # type: ignore[func-returns-value]
    assert asked.is_set()


def test_a_dropped_launch_ends_in_front_of_the_gate(gate: Gate) -> None:
    ended = threading.Event()

    def start(cancelled: Callable[[], bool]) -> Launched:
        _until_cancelled(cancelled)
        assert _is_closed(gate.source)
        ended.set()
        return _DONE

    EarlyLaunch(gate, start).drop()
    assert ended.is_set()
    assert not _is_closed(gate.source)


def _until_cancelled(cancelled: Callable[[], bool]) -> Launched:
    pause = threading.Event()
    while not cancelled():
        pause.wait(0.01)
    return _DONE


def test_what_a_launch_raises_is_raised_where_it_is_waited_for(gate: Gate) -> None:
    def start(_cancelled: Callable[[], bool]) -> Launched:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        EarlyLaunch(gate, start).finish(lambda: False)


def _playbook(tmp_path: Path, source: Path) -> list[str]:
    (tmp_path / "play.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks: []\n")
    program = str(Path(sys.executable).parent / "ansible-playbook")
    return [program, "-i", str(source), "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]


@pytest.fixture(params=["default", "portable"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """With the plugins that a project of the profile has."""
    collections = Path(__file__).parents[3] / "collections"
    if request.param == "portable":
        source, collections = collections, tmp_path / "collections"
        folder._copy_inventory_plugins(source / folder._COLLECTION, collections / folder._COLLECTION)
    return {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_LOCALHOST_WARNING": "0"}


def test_ansible_ends_when_its_controller_gave_up(gate: Gate, tmp_path: Path, environment: dict[str, str]) -> None:
    with subprocess.Popen(
        _playbook(tmp_path, gate.source),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as ansible:
        gate.open()  # as the kernel does for a controller that was killed
        output, _ = ansible.communicate(timeout=120)
    assert ansible.returncode == 1
    assert "the nodes of this run never came" in output


def test_ansible_reads_the_inventory_that_is_there_when_the_gate_opens(
    gate: Gate, tmp_path: Path, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        [*_playbook(tmp_path, gate.source), "--list-hosts"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as ansible:
        (tmp_path / "hosts.yml").write_text("all: {hosts: {db: {}}}\n")
        gate.open()
        output, _ = ansible.communicate(timeout=120)
    assert ansible.returncode == 0, output
    assert "hosts (1):\n      db" in output
    assert "WARNING" not in output


@contextlib.contextmanager
def _told(tmp_path: Path, environment: dict[str, str], reads: Path, *options: str) -> Iterator[dict[str, Any] | None]:
    """What a real Ansible tells of an inventory while it waits at its gate."""
    gate = Gate(tmp_path / "artifacts" / "run" / "gate.yml", until=tmp_path / "hosts.yml", reads=reads)

    def start(cancelled: Callable[[], bool]) -> Launched:
        command = [*_playbook(tmp_path, gate.source), *options]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ansible:
            while ansible.poll() is None and not cancelled():
                time.sleep(0.01)
            ansible.kill()
        return _DONE

    early = EarlyLaunch(gate, start)
    try:
        yield early.told(lambda: False, 120)
    finally:
        early.drop()
    assert list(gate.source.parent.iterdir()) == [gate.source], "something of the inventory is left in the run folder"


def test_what_an_inventory_holds_is_told_but_for_what_may_be_secret(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    lab = tmp_path / "lab"
    (lab / "group_vars").mkdir(parents=True)
    (lab / "hosts").write_text("[rack1]\nh2 ansible_host=192.0.2.2\nh1\n[loader:children]\nrack1\n")
    (lab / "group_vars" / "rack1.yml").write_text("{cpus: 4, features: [ssd], ansible_password: hunter2}\n")
    with _told(tmp_path, environment, lab) as told:
        assert told is not None
        assert told["rack1"] == {"hosts": ["h2", "h1"], "children": []}
        assert told["loader"] == {"hosts": [], "children": ["rack1"]}
        assert told["_meta"]["hostvars"] == {
            "h1": {"cpus": 4, "features": ["ssd"]},
            "h2": {"ansible_host": "192.0.2.2", "cpus": 4, "features": ["ssd"]},
        }


def test_of_what_is_said_twice_the_same_counts_as_for_ansible(tmp_path: Path, environment: dict[str, str]) -> None:
    lab = tmp_path / "lab"
    (lab / "group_vars").mkdir(parents=True)
    (lab / "host_vars").mkdir()
    (lab / "hosts.yml").write_text(
        "all: {vars: {cpus: 0, memory: 0}, children: {"
        "outer: {vars: {cpus: 1}, children: {inner: {hosts: {a: {}, b: {cpus: 5}}}}},"
        "first: {vars: {ansible_group_priority: 9, memory: 8}, hosts: {a: {}}}, second: {hosts: {a: {}, c: {}}}}}\n"
    )
    for name, text in {
        "all": "{cpus: 2, features: [all]}",
        "outer": "{cpus: 3, features: [outer]}",
        "inner": "{features: [inner]}",
        "first": "{memory: 16}",
        "second": "{memory: 32, features: [second]}",
    }.items():
        (lab / "group_vars" / f"{name}.yml").write_text(text)
    (lab / "host_vars" / "c.yml").write_text("{cpus: 7}")
    program = str(Path(sys.executable).parent / "ansible-inventory")
    options = ("-e", "ansible_host=elsewhere")
    asked = subprocess.run(
        [program, "-i", str(lab), "--list", *options], env=environment, capture_output=True, check=True
    )
    hostvars = json.loads(asked.stdout)["_meta"]["hostvars"]
    with _told(tmp_path, environment, lab, *options) as told:
        assert told is not None
        for name, variables in hostvars.items():
            assert told["_meta"]["hostvars"][name] == {
                key: value for key, value in variables.items() if key != "ansible_group_priority"
            }


def test_odd_values_are_not_told(tmp_path: Path, environment: dict[str, str]) -> None:
    lab = tmp_path / "lab.yml"
    lab.write_text("loader: {hosts: {h1: {cpus: [2026-01-01, ssd, 4], features: 2026-01-01, memory: {a: b}}}}\n")
    with _told(tmp_path, environment, lab) as told:
        assert told is not None
        assert told["_meta"]["hostvars"] == {"h1": {"cpus": ["ssd", "4"]}}


def test_of_an_inventory_that_cannot_be_read_no_host_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    broken = tmp_path / "lab.yml"
    broken.write_text("database: {hosts: [\n")
    with _told(tmp_path, {**environment, "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1"}, broken) as told:
        assert told is not None
        assert not told.get("_meta", {}).get("hostvars")


def test_nothing_is_told_by_an_ansible_that_ends(tmp_path: Path, environment: dict[str, str]) -> None:
    with _told(tmp_path, environment, tmp_path / "lab.yml", "--no-such-option") as told:
        assert told is None


def test_who_waits_for_what_is_told_can_be_cancelled_and_has_a_limit(gate: Gate) -> None:
    early = EarlyLaunch(gate, _until_cancelled)
    assert early.told(lambda: True, 120) is None
    with pytest.raises(TimeoutError):
        early.told(lambda: False, 0.05)
    early.drop()
