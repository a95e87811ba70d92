"""Many calls at once, and what they say in the one thread that listens."""

from __future__ import annotations

import contextvars
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.benchhub.bench.plugins.plugin_utils import fanout, waiting


def ended(fan: fanout.FanOut) -> dict[str, Any]:
    return {one.slot: one for one in fan if one is not None}


def test_every_call_is_told_with_its_value_or_its_error() -> None:
    def breaks() -> None:
        raise ValueError("no")

    told = ended(fanout.FanOut({"a": lambda: 1, "b": breaks}))
    assert told["a"].value == 1
    assert told["a"].error is None
    assert str(told["b"].error) == "no"


def test_blocking_calls_run_all_at_once() -> None:
    barrier = threading.Barrier(100, timeout=10)
    told = ended(fanout.FanOut({str(number): barrier.wait for number in range(100)}))
    assert len(told) == 100
    assert all(one.error is None for one in told.values())


def test_short_calls_keep_to_the_limit() -> None:
    running = 0
    most = 0
    lock = threading.Lock()

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    assert len(ended(fanout.FanOut({str(number): call for number in range(20)}, 4))) == 20
    assert 1 <= most <= 4


def test_calls_see_the_context_they_were_made_in() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("inside")
    assert ended(fanout.FanOut({"a": variable.get}))["a"].value == "inside"


def test_a_node_that_never_answers_is_given_up_and_does_not_block_the_others() -> None:
    forever = threading.Event()
    fan = fanout.FanOut({"stuck": forever.wait, "next": lambda: "ok"}, 1)
    fan.due("stuck", 0.0)
    told = ended(fan)
    forever.set()
    assert isinstance(told["stuck"].error, fanout.OverdueError)
    assert told["next"].value == "ok"


class Nodes:
    """Links to nodes that answer from a script, each reply after its pause or an event."""

    def __init__(self, replies: list[tuple[float | threading.Event, dict[str, Any]]]) -> None:
        self.replies = replies
        self.asked: list[dict[str, Any]] = []

    def call(self, request: dict[str, Any], *, alone: bool) -> dict[str, Any]:
        del alone
        self.asked.append(request)
        pause, reply = self.replies.pop(0)
        if isinstance(pause, threading.Event):
            pause.wait(60)
        else:
            time.sleep(pause)
        return reply


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a node waits for that does not answer while the test runs."""
    event = threading.Event()
    yield event
    event.set()


class Screen:
    """What a Waiter needs of the action it works for."""

    def __init__(self, nodes: dict[str, Nodes], bound: float) -> None:
        self.lines: list[str] = []
        self.renewed = 0
        self.fleet = self._display = self
        self.link = nodes.__getitem__
        self.bound = bound

    def display(self, line: str) -> None:
        self.lines.append(line)

    def renew_others(self, busy: dict[str, Any]) -> None:
        assert "a" in busy
        self.renewed += 1


def wait(nodes: dict[str, Nodes], bound: float = 1.0, **options: Any) -> tuple[dict[str, Any], Screen]:
    request = {"op": "wait", "bound": bound}
    screen = Screen(nodes, bound)
    waits = {
        slot: waiting.Wait(first={"op": "start", "wait": request}, again=lambda _reply: request, watcher=slot == "db")
        for slot in nodes
    }
    waiter = waiting.Waiter(screen, waits, title="load", **options)
    return {one.slot: one for one in waiter.run()}, screen


DONE = {"ok": True, "state": "done"}
RUNNING = {"load": {"steps": [{"state": "ok"}, {"state": "running", "name": "xb"}]}}
WAITING = {"ok": True, "state": "waiting", "units": RUNNING}
FAILED = {"ok": True, "state": "failed"}


def test_a_wait_is_asked_again_until_it_is_over() -> None:
    node = Nodes([(0, WAITING), (0, WAITING), (0, DONE)])
    told, _screen = wait({"a": node})
    assert told["a"].value == DONE
    assert [request["op"] for request in node.asked] == ["start", "wait", "wait"]


def test_watchers_are_not_waited_for(never: threading.Event) -> None:
    told, _screen = wait({"a": Nodes([(0, DONE)]), "db": Nodes([(never, WAITING)])})
    assert set(told) == {"a"}


def test_a_failure_ends_the_wait_for_the_others(never: threading.Event) -> None:
    told, _screen = wait({"a": Nodes([(0.05, FAILED)]), "b": Nodes([(never, DONE)])})
    assert set(told) == {"a"}


def test_a_service_that_dies_on_a_watched_node_ends_the_wait(never: threading.Event) -> None:
    died = {"ok": True, "state": "service-died"}
    told, _screen = wait({"a": Nodes([(never, DONE)]), "db": Nodes([(0.05, died)])})
    assert told["db"].value == died
    assert "a" not in told


def test_without_fail_fast_every_node_is_heard() -> None:
    told, _screen = wait({"a": Nodes([(0, FAILED)]), "b": Nodes([(0.6, DONE)])}, fail_fast=False)
    assert set(told) == {"a", "b"}


def test_a_limit_names_what_is_still_open(never: threading.Event) -> None:
    told, _screen = wait({"a": Nodes([(0, DONE)]), "b": Nodes([(never, DONE)])}, limit=0.3)
    assert isinstance(told["b"].error, fanout.OverdueError)
    assert str(told["b"].error) == "not over after 0 s"


def test_a_long_wait_says_what_it_waits_for_and_keeps_the_other_nodes_leases() -> None:
    _told, screen = wait({"a": Nodes([(0, WAITING), (0.6, DONE)])}, bound=0.1, limit=60.0)
    assert screen.renewed == len(screen.lines) >= 1
    said = re.sub(r"\d+ s\)", "N s)", screen.lines[0])
    assert said == "benchhub: load: still waiting for a (step 2 of 2 'xb' of load, N s), at most 60 s"
