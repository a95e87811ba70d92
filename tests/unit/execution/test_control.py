from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from benchhub_ansible.execution.control import SHORT_TEARDOWN, Control
from benchhub_ansible.schedulers.base import Loss


class Clock:
    """A clock that only moves when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("benchhub_ansible.execution.control.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def control(tmp_path: Path, told: list[str]) -> Control:
    return Control(stop_request=tmp_path / "stop-request", on_ask=told.append)


def test_nothing_asked_nothing_cancelled(control: Control, clock: Clock, told: list[str]) -> None:
    control.limit(10)
    clock.now += 9.9
    assert not control.cancelled()
    assert not control.wants_end
    assert (control.reason, told) == (None, [])


def test_the_limit_ends_the_stages_once(control: Control, clock: Clock, told: list[str]) -> None:
    control.limit(10)
    clock.now += 10.1
    assert control.cancelled()
    assert control.cancelled()
    assert (control.reason, told) == ("timeout", ["timeout"])


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGINT, "ctrl-c"), (signal.SIGTERM, "sigterm"), (signal.SIGHUP, "sighup")],
)
def test_a_signal_asks_for_the_end(control: Control, told: list[str], number: signal.Signals, reason: str) -> None:
    before = signal.getsignal(number)
    with control.signals():
        os.kill(os.getpid(), number)
        assert control.cancelled()
    assert (control.reason, told) == (reason, [reason])
    assert signal.getsignal(number) is before


def test_the_stop_verb_is_told_from_any_sigterm(control: Control, tmp_path: Path) -> None:
    (tmp_path / "stop-request").write_text("")
    with control.signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert control.cancelled()
    assert control.reason == "stop-verb"


def test_a_second_request_shortens_the_teardown(control: Control, clock: Clock, told: list[str]) -> None:
    with control.signals():
        os.kill(os.getpid(), signal.SIGINT)
        assert control.cancelled()
        control.enter_teardown(300)
        assert not control.cancelled()
        clock.now += 100
        assert not control.cancelled()
        os.kill(os.getpid(), signal.SIGINT)
        assert not control.cancelled(), "it still gets a little time"
        clock.now += SHORT_TEARDOWN + 0.1
        assert control.cancelled()
    assert told == ["ctrl-c", "ctrl-c"]
    assert control.reason == "ctrl-c"


def test_two_requests_before_the_teardown_shorten_it_too(control: Control, clock: Clock) -> None:
    with control.signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert control.cancelled()
    control.enter_teardown(300)
    clock.now += SHORT_TEARDOWN + 0.1
    assert control.cancelled()


def test_a_request_in_the_teardown_does_not_undo_what_ran(control: Control, clock: Clock) -> None:
    control.limit(10)
    control.enter_teardown(300)
    with control.signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert not control.cancelled()
    assert control.reason is None
    clock.now += SHORT_TEARDOWN + 0.1
    assert control.cancelled()


def test_the_teardown_has_a_limit_of_its_own_and_only_one(control: Control, clock: Clock) -> None:
    control.limit(1)
    control.enter_teardown(60)
    clock.now += 50
    control.enter_teardown(60)
    assert not control.cancelled()
    clock.now += 11
    assert control.cancelled()


def test_lost_nodes_end_the_run_with_their_reason(control: Control, told: list[str]) -> None:
    control.lose(Loss(reason="the lease has ended"))
    control.lose(Loss(reason="something later"))
    assert control.cancelled()
    assert (control.reason, told) == ("lost", ["lost"])
    assert control.loss == Loss(reason="the lease has ended")


def test_a_request_is_told_though_nothing_runs_any_more(control: Control, told: list[str]) -> None:
    control.enter_teardown(300)
    with control.signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert told == []
    control.settle()
    control.settle()
    assert told == ["ctrl-c"]
    assert control.reason is None
