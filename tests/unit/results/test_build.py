from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchhub_ansible import resources
from benchhub_ansible.errors import ResultError
from benchhub_ansible.job.model import Metric
from benchhub_ansible.plan.model import Plan, PlannedGroup
from benchhub_ansible.results.build import build_result
from benchhub_ansible.results.model import Result, result_to_data
from benchhub_ansible.results.record import Ending
from benchhub_ansible.results.store import result_data, values_of, write_result
from benchhub_ansible.source import Span

NewRun = Callable[..., Any]
SPAN = Span(line=7, column=3)
SCHEMA = jsonschema.Draft202012Validator(json.loads(resources.schema("result").read_text()))
FAILED = Metric(name="failed", regex=r"failed=(\d+)", max=0, span=SPAN)


def result_of(folder: Path, **given: Any) -> Result:
    """The result, which must fit its schema and be the same when built again."""
    result = build_result(folder, **given)
    data = json.loads(json.dumps(result_to_data(result), allow_nan=False))
    SCHEMA.validate(data)
    assert build_result(folder, **given) == result
    return result


def with_task(plan: Plan, stage_id: str, **changes: Any) -> Plan:
    """The plan with the first task of a stage changed."""
    from dataclasses import replace  # noqa: PLC0415

    def stage(old: Any) -> Any:
        if old.id != stage_id:
            return old
        return replace(old, tasks=(replace(old.tasks[0], **changes), *old.tasks[1:]))

    groups = tuple(PlannedGroup(number=g.number, stages=tuple(stage(s) for s in g.stages)) for g in plan.groups)
    return replace(plan, groups=groups)


def test_success_has_everything(new_run: NewRun) -> None:
    result = result_of(new_run().whole().path)
    assert (result.verdict.status, result.verdict.exit_code, result.verdict.failure) == ("success", 0, None)
    assert result.where == "inventory:lab.yml"
    assert result.scheduler == "inventory"
    assert result.duration == pytest.approx(70)
    assert [stage.status for stage in result.stages] == ["ok"] * 4
    assert [stage.cleanup for stage in result.stages] == [False, False, False, True]
    assert {(s.metric, s.slot): s.value for s in result.samples} == {
        ("tps", "loader-1"): 1000.5,
        ("tps", "loader-2"): 900.0,
        ("latency", "loader-1"): 0.8,
        ("latency", "loader-2"): 0.8,
    }
    assert [(a.metric, a.value) for a in result.aggregates] == [("tps", 1900.5)]
    node = result.nodes[1]
    assert (node.slot, node.address, node.facts, node.clock.offset) == (
        "loader-1",
        "10.0.0.1",
        {"host": "h1", "cores": 2},
        0.5,
    )
    step = result.stages[0].steps[0]
    assert (step.name, step.slot, step.exit_code, step.attempts) == ("fetch kv", "loader-1", 0, 1)
    assert step.stdout == "collected/loader-1/units/install/01.out"
    assert step.stderr is None  # it was not collected
    service = result.services[0]
    assert (service.ready_after, service.told, service.died, service.state) == (0.75, True, False, "stopped")


def test_times_are_on_the_controllers_clock(new_run: NewRun) -> None:
    result = result_of(new_run().whole().path)
    starts = {step.slot: step.start for step in result.stages[0].steps if step.name == "fetch kv"}
    assert starts["loader-1"] == pytest.approx(starts["loader-2"])  # its clock is half a second fast


def test_start_skew_is_corrected_by_clock_offsets(new_run: NewRun) -> None:
    together = result_of(new_run().whole().path).stages[2].together
    assert together is not None
    assert together.spread == pytest.approx(0.001, abs=1e-6)
    assert together.uncertainty == pytest.approx(0.003)
    assert [start.late for start in together.starts] == pytest.approx([0.001, 0.002])


def test_no_spread_when_a_slot_never_started(new_run: NewRun) -> None:
    run = new_run().whole()
    path = run.path / "collected/loader-2/units/load/status.json"
    status = json.loads(path.read_text())
    del status["together"]
    path.write_text(json.dumps(status))
    result = result_of(run.path)
    together = result.stages[2].together
    assert together is not None
    assert together.spread is None
    assert any("loader-2 never started" in warning for warning in result.warnings)


def test_late_is_told(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.load()
    path = run.path / "collected/loader-2/units/load/status.json"
    status = json.loads(path.read_text())
    status["together"].pop("late")
    status["together"]["started"] += 0.25
    path.write_text(json.dumps(status))
    assert "loader-2 started 252 ms late in stage 'load'" in result_of(run.path).warnings


def test_late_beyond_its_limit_is_a_failure(new_run: NewRun) -> None:
    run = new_run().whole()
    told = {"status": "failed", "error": "started late", "units": {"load": {"state": "ok"}}}
    run.time -= 40
    run.event("action", op="start", play="load", failed=True, hosts={"loader-2": told, "loader-1": {"status": "ok"}})
    result = result_of(run.path)
    assert result.stages[2].status == "failed"
    assert (result.verdict.status, result.verdict.reason) == ("failed", "loader-2: stage 'load': started late")
    assert not any(sample.valid for sample in result.samples)


def test_quiet_is_the_cpu_time_of_our_supervisor(new_run: NewRun) -> None:
    assert result_of(new_run().whole().path).stages[2].ours_cpu == {"loader-1": 0.002, "loader-2": 0.002}


def test_failed_step(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.stage("install", "failed", at=10)
    run.collect("loader-1", "install", {**_status(1), "start": 1.0})
    run.collect("loader-2", "install", _status(None))
    run.end("failed", exit_code=1)
    result = result_of(run.path)
    failure = result.verdict.failure
    assert failure is not None
    assert (result.verdict.status, result.verdict.exit_code) == ("failed", 1)
    assert failure.message == "loader-1: stage 'install', task 'fetch kv' ended with exit code 3"
    assert result.verdict.reason == failure.message
    assert (failure.source, failure.line, failure.command, failure.exit_code) == ("kv.yml", 11, "run fetch kv", 3)
    assert failure.last_lines == ("connecting", "refused")
    assert [stage.status for stage in result.stages] == ["failed", "not-run", "not-run", "ok"]
    assert [s.state for s in result.stages[0].steps] == ["failed", "ok", "not-run", "ok"]
    assert all(s.value is None and s.why == "the stage did not run" for s in result.samples)
    assert result.aggregates[0].value is None


def _status(failed: int | None) -> dict[str, Any]:
    steps = [
        {"state": "failed", "rc": 3, "start": 1.0, "end": 2.0, "tail": ["connecting", "refused"]}
        if failed
        else {"state": "ok"},
        {"state": "not-run"} if failed else {"state": "ok"},
    ]
    return {"state": "failed" if failed else "ok", "steps": steps}


@pytest.mark.parametrize(
    ("step", "how"),
    [
        ({"state": "timeout"}, "took longer than its timeout"),
        ({"state": "failed", "signal": 9}, "was ended by signal 9"),
        ({"state": "failed", "error": "no such user"}, "failed: no such user"),
        ({"state": "failed"}, "failed"),
    ],
)
def test_how_a_step_failed(new_run: NewRun, step: dict[str, Any], how: str) -> None:
    run = new_run()
    run.collect("db", "tidy", {"state": "failed", "steps": [step]}, {"01.err": b"one\ntwo\n"})
    run.end(None)
    run.collect("db", "tidy", {"state": "failed", "steps": [step]})
    failure = result_of(run.path).verdict.failure
    assert failure is not None
    assert failure.message == f"db: stage 'tidy', task 'drop' {how}"
    assert failure.last_lines == ("one", "two")


def test_unit_that_failed_without_a_failed_step(new_run: NewRun) -> None:
    run = new_run()
    run.stage("install", "failed")
    run.collect("loader-1", "install", {"state": "failed", "error": "its monitor died", "end": 5.0, "steps": []})
    run.end(None)
    result = result_of(run.path)
    assert result.verdict.reason == "loader-1: stage 'install': its monitor died"
    assert result.stages[0].status == "failed"


def test_service_that_ends_with_0_has_failed(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service(state="failed", exit=0, told=False, end=1_795_000_020.5, tail=["cannot reach Cassandra"])
    run.load()
    run.end(None)
    result = result_of(run.path)
    assert result.verdict.status == "failed"
    assert result.verdict.reason == "db: service 'server' ended before it was told to, with exit code 0"
    failure = result.verdict.failure
    assert failure is not None
    assert failure.command == "kv serve --password ${secrets.PW}"
    assert failure.last_lines == ("cannot reach Cassandra",)
    assert {s.why for s in result.samples} == {"service server on db died"}
    assert not any(s.valid for s in result.samples)
    assert result.aggregates[0].value is None
    assert result.stages[1].status == "ok"  # it was ready; it died later


def test_service_that_dies_after_the_load_leaves_its_samples_valid(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.service(state="failed", exit=None, told=False, end=1_795_000_055.0, error="its live check failed")
    run.load()
    run.end(None)
    result = result_of(run.path)
    assert all(s.valid for s in result.samples)
    assert result.verdict.reason == "db: service 'server' failed: its live check failed"


def test_service_that_never_got_ready_fails_its_stage(new_run: NewRun) -> None:
    run = new_run()
    run.stage("start", None)
    run.collect("db", "server", {"state": "failed", "told": False, "exit": 1})
    run.event(
        "action",
        op="wait_for",
        failed=True,
        hosts={"db": {"status": "failed", "state": "service-died", "service": "server", "error": "died"}},
    )
    run.end(None)
    result = result_of(run.path)
    assert result.stages[1].status == "failed"
    assert [failure.kind for failure in result.failures] == ["service"]


def test_ready_time_from_the_wait_action(new_run: NewRun) -> None:
    run = new_run()
    run.service(ready=None)
    run.event("action", op="wait_for", title="server", hosts={"db": {"status": "ok", "state": "ready", "elapsed": 1.5}})
    run.end(None)
    assert result_of(run.path).services[0].ready_after == 1.5


def test_missing_required_metric_makes_the_run_invalid(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service()
    run.load(outputs=(b"1000", b"none"))
    run.end("success", exit_code=0)
    result = result_of(run.path)
    assert (result.verdict.status, result.verdict.exit_code) == ("invalid", 1)
    assert result.verdict.reason == "metric tps of load on loader-2 is missing: the regex matches nothing in the output"
    sample = result.samples[2]
    assert (sample.metric, sample.slot, sample.value, sample.valid) == ("tps", "loader-2", None, False)
    assert result.aggregates[0].value is None
    assert result.aggregates[0].why is not None
    assert "loader-2 has no valid value" in result.aggregates[0].why


def test_missing_optional_metric_does_not(new_run: NewRun) -> None:
    run = new_run().whole()
    for slot in ("loader-1", "loader-2"):
        (run.path / f"collected/{slot}/units/load/01.out").write_bytes(b"tps = 5\n")
    result = result_of(run.path)
    assert result.verdict.status == "success"
    assert [s.valid for s in result.samples] == [True, False, True, False]


@pytest.mark.parametrize(("answer", "status"), [("good", "success"), ("database-dead", "invalid")])
def test_xephon_b_of_a_dead_database_is_invalid(new_run: NewRun, answer: str, status: str) -> None:
    outputs = {  # what the real Xephon-B v0.3 printed, exit code 0 both times
        "good": b'{"duration":5012800505,"failedRequests":0,"totalPoints":225600,"totalRequests":2256}',
        "database-dead": b'{"duration":5008309150,"failedRequests":15495,"totalPoints":1549500,"totalRequests":15495}',
    }
    conftest_plan = new_run(name="plan-only").plan
    metrics = (
        Metric(name="points", unit="points", jsonpath="$.totalPoints", aggregate="sum", span=SPAN),
        Metric(name="failed", jsonpath="$.failedRequests", max=0, span=SPAN),
    )
    run = new_run(with_task(conftest_plan, "load", metrics=metrics))
    run.acquire()
    run.install()
    run.service()
    run.load()
    for slot in ("loader-1", "loader-2"):
        (run.path / f"collected/{slot}/units/load/01.out").write_bytes(outputs[answer] + b"\n")
    run.end("success")
    result = result_of(run.path)
    assert result.verdict.status == status
    assert {s.valid for s in result.samples} == {status == "success"}
    assert result.aggregates[0].value == (451200.0 if status == "success" else None)
    if status == "invalid":  # the rate that nobody served is not a rate, though it is inside its own bounds
        assert result.samples[0].why == "failed is 15495, above its max of 0"
        assert result.verdict.reason is not None
        assert result.verdict.reason.startswith("metric points of load on loader-1 is invalid")


def test_below_min_is_invalid(new_run: NewRun) -> None:
    metric = Metric(name="tps", regex="tps = ([0-9.]+)", min=5000, required=False, span=SPAN)
    run = new_run(with_task(new_run(name="p").plan, "load", metrics=(metric,))).whole()
    result = result_of(run.path)
    assert result.samples[0].why == "1000.5, below its min of 5000"
    assert result.samples[0].value == 1000.5
    assert result.verdict.status == "success"


def test_repetitions_without_warmups(new_run: NewRun) -> None:
    from dataclasses import replace  # noqa: PLC0415

    from benchhub_ansible.plan.model import Iteration  # noqa: PLC0415

    plan = new_run(name="p").plan
    load = plan.groups[2].stages[0]
    groups = list(plan.groups[:2])
    for turn in range(4):
        stage = f"load-{turn}"
        tasks = (replace(load.tasks[0], id=f"{stage}.01"),)
        iteration = Iteration(values={"threads": "8"}, repetition=turn, repetitions=3, warmup=turn == 0)
        groups.append(
            PlannedGroup(number=turn + 3, stages=(replace(load, id=stage, tasks=tasks, iteration=iteration),))
        )
    run = new_run(replace(plan, groups=tuple(groups)))
    run.acquire()
    run.install()
    run.service()
    for turn, tps in enumerate((b"1", b"100", b"200", b"600")):
        run.load(f"load-{turn}", at=20 + 5 * turn, outputs=(tps, tps))
    run.end(None)
    result = result_of(run.path)
    assert result.verdict.status == "success"
    total = next(s for s in result.summaries if s.slot is None)
    assert (total.metric, total.function, total.values, total.n) == ("tps", "sum", {"threads": "8"}, 3)
    assert (total.median, total.min, total.max, total.mean) == (400, 200, 1200, 600)
    assert total.stdev == pytest.approx(529.150262)
    (run.path / "collected/loader-1/units/load-2/01.out").write_bytes(b"tps = 0x\n")
    again = next(s for s in result_of(run.path).summaries if s.slot == "loader-1" and s.metric == "tps")
    assert (again.n, again.unusable) == (3, 0)  # "0" is a value
    (run.path / "collected/loader-1/units/load-2/01.out").write_bytes(b"\n")
    again = next(s for s in result_of(run.path).summaries if s.slot == "loader-1" and s.metric == "tps")
    assert (again.n, again.unusable, again.min) == (2, 1, 100)


# -- how runs end ---------------------------------------------------------------------------------------------------


def test_killed_controller(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.stage("install", at=10)
    run.event(
        "action",
        op="start",
        failed=False,
        hosts={
            "loader-1": {"status": "ok", "units": {"install": _status(None)}},
            "loader-2": {"status": "ok", "units": {"install": _status(None)}},
        },
    )
    run.stage("load", None)
    with (run.path / "journal.jsonl").open("a") as stream:
        stream.write('{"v":1,"t":1795000030,"event":"stage-e')
    result = result_of(run.path)
    assert (result.verdict.status, result.verdict.exit_code) == ("lost", 6)
    assert [stage.status for stage in result.stages] == ["ok", "not-run", "interrupted", "not-run"]
    assert {step.state for step in result.stages[2].steps} == {"unknown"}
    assert {s.why for s in result.samples} == {"the step is unknown, not ok"}
    assert result.warnings == ()


def test_running_while_the_lock_is_held(new_run: NewRun) -> None:
    run = new_run()
    run.stage("install", None)
    with (run.path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = result_of(run.path)
        assert (result.verdict.status, result.verdict.exit_code, result.ended) == ("running", None, None)
        about_to_end = result_of(run.path, ending=Ending(status="interrupted", exit_code=130, reason="ctrl-c"))
        assert (about_to_end.verdict.status, about_to_end.verdict.exit_code) == ("interrupted", 130)
    assert result_of(run.path).verdict.status == "lost"


@pytest.mark.parametrize(
    ("reason", "status", "code"), [("ctrl-c", "interrupted", 130), ("timeout", "failed", 1), (None, "interrupted", 130)]
)
def test_stop_asked(new_run: NewRun, reason: str | None, status: str, code: int) -> None:
    run = new_run()
    run.stage("install", None, at=10)
    run.time += 1
    run.event("stop-asked", reason=reason)
    run.collect("loader-1", "install", {"state": "killed", "steps": [{"state": "ok"}, {"state": "killed"}]})
    # a step that fails because everything is being stopped is not what went wrong
    run.collect(
        "loader-2", "install", {"state": "failed", "steps": [{"state": "failed", "rc": 1, "end": run.time + 5}]}
    )
    run.end(None)
    result = result_of(run.path)
    assert (result.verdict.status, result.verdict.exit_code, result.verdict.failure) == (status, code, None)


def test_interrupted_stage_keeps_its_values_but_not_their_validity(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.stage("load", "interrupted", at=20)
    run.event("stop-asked", reason="ctrl-c")
    run.collect("loader-1", "load", {"state": "killed", "steps": [{"state": "killed"}]}, {"01.out": b"tps = 12\n"})
    run.collect("loader-2", "load", {"state": "ok", "steps": [{"state": "ok"}]}, {"01.out": b"tps = 13\n"})
    run.end(None)
    result = result_of(run.path)
    assert result.stages[2].status == "interrupted"
    by_slot = {s.slot: (s.value, s.valid, s.why) for s in result.samples if s.metric == "tps"}
    assert by_slot == {
        "loader-1": (12.0, False, "the step is killed, not ok"),
        "loader-2": (13.0, False, "the stage was interrupted"),
    }


def test_kept_run(new_run: NewRun) -> None:
    run = new_run()
    run.acquire()
    run.install()
    run.service(state="running", end=None, exit=None, told=False)
    run.load()
    run.event("kept", until=1.0, status="success", exit_code=0, reason=None)
    result = result_of(run.path)
    assert (result.verdict.status, result.verdict.exit_code) == ("success", 0)
    assert result.services[0].state == "running"


def test_recovered(new_run: NewRun) -> None:
    run = new_run()
    run.stage("install", None)
    run.event("recovered", by=7)
    assert result_of(run.path).verdict.status == "interrupted"


def test_unfinished_stage_is_no_success(new_run: NewRun) -> None:
    run = new_run()
    run.install()
    run.end(None)
    result = result_of(run.path)
    assert (result.verdict.status, result.verdict.reason) == ("failed", "stage 'start' is not-run")


def test_run_end_of_an_unknown_kind_is_not_believed(new_run: NewRun) -> None:
    run = new_run().whole()
    run.event("run-end", status="splendid", exit_code=0)
    assert result_of(run.path).verdict.status == "failed"


def test_success_is_not_believed_when_a_step_failed(new_run: NewRun) -> None:
    run = new_run().whole()
    run.collect("db", "tidy", {"state": "failed", "steps": [{"state": "failed", "rc": 2}]})
    result = result_of(run.path)
    assert (result.verdict.status, result.verdict.exit_code) == ("failed", 1)


def test_acquire_failed(new_run: NewRun) -> None:
    run = new_run()
    run.event("run-end", status="failed", exit_code=5, reason="group loader has 1 host, 2 are needed")
    result = result_of(run.path)
    assert (result.verdict.exit_code, result.verdict.reason) == (5, "group loader has 1 host, 2 are needed")
    assert {stage.status for stage in result.stages} == {"not-run"}


def test_unreachable_node(new_run: NewRun) -> None:
    run = new_run()
    hosts = {"db": {"status": "ok"}, "loader-1": {"status": "unreachable", "error": "timed out"}}
    run.event("action", op="prepare", failed=True, hosts=hosts)
    run.event("action", op="finish", failed=True, hosts=hosts)
    run.end(None)
    result = result_of(run.path)
    assert result.verdict.reason == "loader-1: cannot be reached: timed out"
    assert result.verdict.exit_code == 6
    assert len(result.failures) == 1


def test_action_failed_on_a_node_without_a_unit(new_run: NewRun) -> None:
    run = new_run()
    run.event("action", op="prepare", failed=True, msg="needs Python 3.8", hosts={"db": {"status": "failed"}})
    run.end(None)
    assert result_of(run.path).verdict.reason == "db: needs Python 3.8"


def test_ansible_run_task(new_run: NewRun) -> None:
    plan = with_task(
        new_run(name="p").plan, "install", driver="module", params={"ansible.builtin.package": {"name": "kv"}}
    )
    run = new_run(plan)
    run.stage("install", None)
    about = {"play": "install", "task": "install: fetch kv", "stage": "install", "duration": 0.5}
    run.event("ansible-task", host="loader-1", status="ok", **about)
    run.event("ansible-task", host="loader-2", status="failed", rc=2, msg="no package kv", **about)
    run.collect("loader-1", "install", {"state": "ok", "steps": [{"state": "ok"}]})
    run.end(None)
    result = result_of(run.path)
    steps = {(step.name, step.slot): step for step in result.stages[0].steps}
    assert steps["fetch kv", "loader-1"].state == "ok"
    assert steps["fetch kv", "loader-1"].start == pytest.approx(run.time - 70 + 1 - 0.5, abs=1e6)
    failure = result.verdict.failure
    assert failure is not None
    assert (failure.kind, failure.exit_code, failure.last_lines) == ("ansible", 2, ("no package kv",))
    assert failure.command == "module: ansible.builtin.package: {'name': 'kv'}"
    assert steps["kv version", "loader-2"].state == "unknown"


def test_all_tasks_of_the_portable_profile_come_from_ansible(new_run: NewRun) -> None:
    run = new_run()
    run.stage("install", "ok")
    for name in ("fetch kv", "kv version"):
        for slot in ("loader-1", "loader-2"):
            run.event(
                "ansible-task", play="install", task=name, host=slot, status="skipped" if name == "kv version" else "ok"
            )
    run.end(None)
    stage = result_of(run.path).stages[0]
    assert [step.state for step in stage.steps] == ["ok", "ok", "skipped", "skipped"]
    assert stage.status == "ok"


def test_ansible_failures_of_no_task_of_ours(new_run: NewRun) -> None:
    run = new_run()
    run.event("ansible-task", play="prepare", task="gather", host="db", status="unreachable", msg="boom\nbang")
    run.end(None)
    result = result_of(run.path)
    assert result.verdict.reason == "db: Ansible task 'gather' unreachable"
    assert result.failures[0].last_lines == ("boom", "bang")


def test_failed_action_that_tells_nothing_of_hosts(new_run: NewRun) -> None:
    run = new_run()
    run.event("action", play="load", task="load: bench", op="start", failed=True, msg="bad arguments", hosts={})
    run.end(None)
    result = result_of(run.path)
    assert result.failures[0].line == 11
    assert result.failures[0].last_lines == ("bad arguments",)


def test_a_stage_of_failed_hosts_did_not_run_though_ansible_calls_it_ok(new_run: NewRun) -> None:
    run = new_run()
    run.stage("load", "ok")
    run.end(None)
    stage = result_of(run.path).stages[2]
    assert stage.status == "not-run"
    assert {step.state for step in stage.steps} == {"not-run"}


def test_skipped_stage(new_run: NewRun) -> None:
    run = new_run()
    skipped = {"state": "ok", "steps": [{"state": "skipped"}, {"state": "skipped"}]}
    run.stage("install", "ok")
    run.collect("loader-1", "install", skipped)
    run.collect("loader-2", "install", skipped)
    assert result_of(run.path).stages[0].status == "skipped"


# -- what is on the disk --------------------------------------------------------------------------------------------


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="not a run folder"):
        build_result(tmp_path)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"job": 3}', b"\xff\xfe", b"[" * 100_000])
def test_plan_that_cannot_be_read(new_run: NewRun, content: bytes | None) -> None:
    run = new_run().whole()
    (run.path / "plan.json").unlink()
    if content is not None:
        (run.path / "plan.json").write_bytes(content)
    result = result_of(run.path)
    assert result.job.name == "kv-bench"
    assert result.stages == ()
    assert "plan.json cannot be read" in result.warnings[0]


def test_journal_with_damage_in_the_middle(new_run: NewRun) -> None:
    run = new_run()
    with (run.path / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"event": \xff\xfe\n[1]\n' + b"[" * 100_000 + b"\n")
    run.event("run-end", status="interrupted")
    result = result_of(run.path)
    assert result.warnings == ("3 lines of the journal cannot be read",)
    assert result.verdict.status == "interrupted"


@pytest.mark.parametrize(
    "status",
    [
        b"",
        b"null",
        b"[]",
        b'{"steps": 7, "state": 3}',
        b'{"steps": [3, null, {"rc": "x", "start": "y", "tail": 5}]}',
        b'{"state":"ok","steps":[{"start":1e999,"end":NaN,"rc":true,"state":["x"]}]}',
        b'{"state":"ok","steps":[{"stdout":"../../../../../../etc/passwd","state":"ok"}]}',
        b'{"together": "soon", "state": "\\ud800"}',
        b"\x00\xff" * 50,
        b'{"x": "' + b"y" * 5_000_000 + b'"}',
    ],
)
def test_hostile_status_files(new_run: NewRun, status: bytes) -> None:
    run = new_run().whole()
    for slot in ("loader-1", "loader-2"):
        (run.path / f"collected/{slot}/units/load/status.json").write_bytes(status)
    result = result_of(run.path)
    assert "passwd" not in json.dumps(result_to_data(result))
    write_result(result, run.path)


def test_a_link_among_collected_files_is_not_followed(new_run: NewRun, tmp_path: Path) -> None:
    run = new_run().whole()
    secret = tmp_path / "secret"
    secret.write_text("tps = 77\n")
    path = run.path / "collected/loader-1/units/load/01.out"
    path.unlink()
    path.symlink_to(secret)
    result = result_of(run.path)
    assert result.samples[0].value is None
    assert result.samples[0].why == "the output was not collected"


def test_collected_status_wins_unless_only_the_journal_knows_the_end(new_run: NewRun) -> None:
    run = new_run()
    told = {"state": "ok", "steps": [{"state": "ok", "rc": 0}]}
    run.event("action", op="join", hosts={"db": {"status": "ok", "units": {"tidy": told, "x": 3}}, "loader-1": 5})
    run.collect("db", "tidy", {"state": "running", "steps": [{"state": "running"}]})
    assert result_of(run.path).stages[-1].steps[0].state == "ok"


@pytest.mark.parametrize("text", ["${run.dir}/out/r.json", "out/r.json", "/tmp/benchhub-x/loader-1/out/r.json"])
def test_metric_of_a_collected_file(new_run: NewRun, text: str) -> None:
    file = text.replace("benchhub-x/loader-1", "fixed")
    metric = Metric(name="tps", jsonpath="$.a[0]", file=file, span=SPAN)
    run = new_run(with_task(new_run(name="p").plan, "load", metrics=(metric,))).whole()
    assert result_of(run.path).samples[0].why == f"the file {file} was not found on the node"
    for slot in ("loader-1", "loader-2"):
        base = "tmp/fixed/out" if text.startswith("/") else f"tmp/benchhub-{run.path.name}/{slot}/out"
        folder = run.path / f"collected/{slot}/files" / base
        folder.mkdir(parents=True)
        (folder / "r.json").write_text('{\n "a": [12]\n}')
    result = result_of(run.path)
    assert [s.value for s in result.samples] == [12.0, 12.0]


def test_metric_of_a_file_below_chdir(new_run: NewRun) -> None:
    metric = Metric(name="tps", regex="([0-9]+)", file="r.txt", span=SPAN)
    run = new_run(with_task(new_run(name="p").plan, "load", metrics=(metric,), chdir="/var/kv")).whole()
    folder = run.path / "collected/loader-1/files/var/kv"
    folder.mkdir(parents=True)
    (folder / "r.txt").write_text("9")
    assert result_of(run.path).samples[0].value == 9.0


def test_metric_plugin_that_is_missing(new_run: NewRun) -> None:
    metric = Metric(name="tps", plugin="hdr", span=SPAN)
    run = new_run(with_task(new_run(name="p").plan, "load", metrics=(metric,))).whole()
    why = result_of(run.path).samples[0].why
    assert why is not None
    assert "there is no metric named 'hdr'" in why


@pytest.mark.parametrize("bad", ["raises", "infinite", "text"])
def test_metric_plugin_that_misbehaves(new_run: NewRun, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin:
        def extract(self, *_asked: object) -> object:
            if bad == "raises":
                raise ZeroDivisionError
            from benchhub_ansible.results.record import Reading  # noqa: PLC0415

            return Reading(value=float("inf")) if bad == "infinite" else "12"

    monkeypatch.setattr("benchhub_ansible.results.folder.load", lambda _kind, _name: Plugin)
    result = result_of(new_run().whole().path)
    assert result.samples[0].value is None
    assert result.samples[0].why in (
        "metric plugin 'regex' failed: ZeroDivisionError",
        "metric plugin 'regex' gave no finite number",
    )


# -- the store ------------------------------------------------------------------------------------------------------


def test_write_result_is_atomic_and_read_back(new_run: NewRun) -> None:
    run = new_run().whole()
    assert result_data(run.path) == json.loads(json.dumps(result_to_data(build_result(run.path))))
    (run.path / "result.json").write_text("{torn")
    assert result_data(run.path)["version"] == 1
    path = write_result(build_result(run.path), run.path)
    assert [p.name for p in run.path.iterdir() if "result" in p.name] == ["result.json"]
    data = result_data(run.path)
    assert data == json.loads(path.read_text())
    assert values_of(data)["load: tps (sum)"]["median"] == 1900.5


def test_write_result_where_it_cannot(new_run: NewRun, tmp_path: Path) -> None:
    result = build_result(new_run().whole().path)
    with pytest.raises(ResultError, match="cannot be written"):
        write_result(result, tmp_path / "nowhere")
    (tmp_path / "there" / "result.json").mkdir(parents=True)
    with pytest.raises(ResultError, match="cannot be written"):
        write_result(result, tmp_path / "there")
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["result.json"]


def test_what_else_was_at_work_is_a_warning_once_a_machine(new_run: NewRun) -> None:
    run = new_run()
    busy = {"boot_id": "b1", "busy": "java (4711)", "governor": "performance"}
    slots = ("db", "loader-1", "loader-2")
    slow = {"boot_id": "b2", "busy": None, "governor": "powersave"}
    hosts = {slot: {"status": "ok", "facts": facts} for slot, facts in zip(slots, (busy, busy, slow), strict=True)}
    run.event("action", task="prepare", op="prepare", hosts=hosts)
    assert list(result_of(run.path).warnings) == [
        "something else kept db, loader-1 busy as the run began: java (4711)",
        "the CPU governor of loader-2 is powersave: the clock of its cores may be slow and change",
    ]
