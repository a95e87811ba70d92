"""An Ansible that is started early waits at its gate, and ends when nobody will open it any more."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

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
