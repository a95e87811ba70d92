"""Numbers of a stage that was disturbed: broken off, or without its database for a part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchhub_ansible.results.build import build_result

from .conftest import PGBENCH, T0, make_plan, unit_status

NewRun = Callable[..., Any]


def test_a_load_that_ended_by_itself_after_the_end_was_asked_for_is_interrupted(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service()
    run.stage("load", "interrupted", at=20, took=0.5)
    for slot in ("loader-1", "loader-2"):  # both end well, at T0 + 21 and later
        run.collect(slot, "load", unit_status(1, T0 + 20.6), {"01.out": PGBENCH % b"7"})
    run.time = T0 + 20.4
    run.event("stop-asked", reason="ctrl-c")
    run.end(None)
    result = build_result(run.path)
    assert result.stages[2].status == "interrupted"
    assert {(s.value, s.valid, s.why) for s in result.samples if s.metric == "tps"} == {
        (7.0, False, "the stage was interrupted")
    }
    assert result.verdict.status == "interrupted"


def test_a_load_that_was_over_when_the_end_was_asked_for_is_not(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service()
    run.load()
    journal = (run.path / "journal.jsonl").read_text()
    (run.path / "journal.jsonl").write_text(
        journal.replace('"stage": "load", "status": "ok"', '"stage": "load", "status": "interrupted"')
    )
    run.event("stop-asked", reason="ctrl-c")
    run.end(None)
    result = build_result(run.path)
    assert result.stages[2].status == "ok"
    assert all(s.valid for s in result.samples)
    assert result.verdict.status == "interrupted"


def test_a_load_that_outlived_its_controller_is_interrupted(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service()
    run.stage("load", None, at=20)
    for slot in ("loader-1", "loader-2"):
        run.collect(slot, "load", unit_status(1, T0 + 20.6), {"01.out": PGBENCH % b"7"})
    run.time = T0 + 60
    run.event("recover-begin", by=7)
    run.end("interrupted", exit_code=130)
    result = build_result(run.path)
    assert result.stages[2].status == "interrupted"
    assert not any(s.valid for s in result.samples)


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"stop_at": T0 + 20.5, "end": T0 + 50, "reason": "no controller renewed the lease"}, "no controller renewed"),
        ({"end": T0 + 20.5}, None),  # by somebody who says nothing
        ({"stop_at": T0 + 18, "end": T0 + 18.5}, None),  # before the load, that is not there for all of it
    ],
)
@pytest.mark.parametrize("metrics", [True, False])
def test_a_database_that_was_ended_while_the_load_ran_spoils_it(
    new_run: NewRun, service: dict[str, Any], why: str | None, *, metrics: bool
) -> None:
    run = new_run() if metrics else new_run(make_plan(metrics=()))
    run.acquire()
    run.install()
    run.service(**service)
    run.load()
    run.end("success", exit_code=0)
    result = build_result(run.path)
    assert {(s.valid, s.why) for s in result.samples} == (
        {(False, "service server on db was ended while the stage ran")} if metrics else set()
    )
    message = "db: service 'server' was ended while stage 'load' ran"
    assert result.verdict.reason is not None
    assert result.verdict.reason.startswith(message + (f": {why}" if why else ""))
    assert (result.verdict.status, result.verdict.exit_code) == ("failed", 1)
    assert [failure.kind for failure in result.failures] == ["service"]
    assert result.failures[0].line == 11


def test_clocks_that_may_be_wrong_do_not_make_an_end_in_order_an_early_one(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.load()
    run.service(stop_at=T0 + 21.001)  # the loads end at T0 + 21.001 and 21.002, known to some milliseconds
    run.end()
    assert build_result(run.path).verdict.status == "success"


def test_services_of_an_earlier_turn_are_none_of_a_later_one(new_run: NewRun) -> None:
    plan = make_plan()
    groups = list(plan.groups)
    groups[1] = replace(groups[1], stops=("server",))
    run = new_run(replace(plan, groups=tuple(groups)))
    run.acquire()
    run.install()
    run.service(stop_at=T0 + 18, end=T0 + 18.5)
    run.load()
    run.end()
    assert build_result(run.path).verdict.status == "success"


def test_what_fails_because_everything_is_being_ended_is_no_second_failure(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service()
    run.stage("load", "failed", at=20)
    run.collect("loader-1", "load", unit_status(1, T0 + 20.5, failed=1))  # ends at T0 + 21
    run.collect("loader-2", "load", unit_status(1, T0 + 23, failed=1))  # at T0 + 24, when teardown has begun
    run.time = T0 + 22.5
    run.event("teardown-begin")
    run.collect("db", "tidy", unit_status(1, T0 + 65, failed=1))
    run.time = T0 + 70
    run.event("teardown-end")
    result = build_result(run.path)
    assert [(failure.slot, failure.stage) for failure in result.failures] == [("loader-1", "load"), ("db", "tidy")]


def test_a_node_that_cannot_be_reached_is_told_once(new_run: NewRun) -> None:
    run = new_run()
    for words in ("cannot be reached: no route", "cannot be reached: timed out", "refused"):
        run.event("action", op="finish", failed=True, hosts={"db": {"status": "unreachable", "error": words}})
    result = build_result(run.path)
    assert [failure.message for failure in result.failures] == ["db: cannot be reached: no route"]
    assert set(result.warnings) == {"db: not collected: the node could not be reached"}
