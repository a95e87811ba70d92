"""A monitor of whose list nothing is left takes the next one; whatever happens to it, no unit is lost by that."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest

from .conftest import Node, eventually


def sh(node: Node, text: str, unit: str) -> Any:
    """The record of the one step of a unit."""
    return node.steps({"name": "step", "kind": "shell", "text": text}, unit=unit)["steps"][0]


def monitors(node: Node) -> list[int]:
    return [child.pid for child in psutil.Process(node.pid).children()]


def test_lists_one_after_the_other_share_a_monitor(node: Node) -> None:
    states = [sh(node, "echo $PPID", unit=f"unit-{number}")["state"] for number in range(3)]
    assert states == ["ok"] * 3
    assert len({node.output(f"unit-{number}") for number in range(3)}) == 1
    assert node.output("unit-0").split() == [b"%d" % pid for pid in monitors(node)]


def test_each_list_has_its_own_mark_texts_and_outcome(node: Node) -> None:
    assert sh(node, "exit 3", unit="first")["rc"] == 3
    step = {"name": "read", "kind": "shell", "text": "cat; echo $BENCHHUB_UNIT", "input": "text"}
    assert node.steps(step, unit="second", inputs={"text": "hello "})["state"] == "ok"
    assert node.output("second").decode() == f"hello {node.config['run']}/db/second\n"
    assert len(monitors(node)) == 1


def test_secrets_that_come_later_are_hidden_too(node: Node) -> None:
    sh(node, "true", unit="first")
    status = node.steps(
        {"name": "tell", "kind": "shell", "text": "echo geheim-7; false"}, unit="second", mask=["geheim-7"]
    )
    assert status["steps"][0]["tail"] == ["***"]


def test_lists_at_the_same_time_have_a_monitor_each(node: Node) -> None:
    sh(node, "true", unit="first")
    wait = {"name": "wait", "kind": "shell", "text": "sleep 300"}
    for unit in ("a", "b"):
        assert node("start", unit=unit, kind="steps", steps=[wait])["ok"]
    assert len(monitors(node)) == 2


def test_who_still_watches_something_is_not_free(node: Node) -> None:
    sh(node, "sleep 300 > /dev/null 2>&1 &", unit="first")
    sh(node, "true", unit="second")
    assert len(monitors(node)) == 2
    assert node("stop", units=["first"])["ok"]
    eventually(lambda: len(monitors(node)) == 1)
    assert sh(node, "true", unit="third")["state"] == "ok"


def test_a_service_takes_none_and_leaves_none(node: Node) -> None:
    sh(node, "true", unit="first")
    node.service("sleep 300", name="store")
    assert len(monitors(node)) == 2
    node("stop", units=["store"])
    eventually(lambda: len(monitors(node)) == 1)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL])
def test_what_happens_to_a_free_one_costs_nothing(node: Node, number: signal.Signals) -> None:
    sh(node, "true", unit="first")
    os.kill(monitors(node)[0], number)
    if number != signal.SIGSTOP:
        eventually(lambda: not monitors(node))
    assert sh(node, "true", unit="second")["state"] == "ok"


def test_a_long_request_goes_to_a_new_one(node: Node) -> None:
    sh(node, "true", unit="first")
    text = "x" * 100_000
    assert sh(node, f"echo {text} | wc -c", unit="second")["state"] == "ok"
    assert node.output("second").strip() == b"100001"


def test_what_was_meant_for_a_list_that_ended_does_not_end_the_next(node: Node) -> None:
    sh(node, "true", unit="first")
    stops = [node.begin("stop", units=["first"]) for _ in range(4)]
    assert sh(node, "sleep 0.3", unit="second")["state"] == "ok"
    assert all(node.answer(stop)["ok"] for stop in stops)


def test_free_ones_are_gone_when_nobody_renews_the_lease(node: Node) -> None:
    sh(node, "true", unit="first")
    os.kill(node.pid, signal.SIGTERM)
    eventually(lambda: not monitors(node))
