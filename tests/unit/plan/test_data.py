from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.errors import ResultError, UsageError
from benchhub_ansible.job.model import Check, Metric, NodeRequest, Retry, Secret
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import frozen, plan_from_data, plan_hash, plan_to_data
from benchhub_ansible.plan.diff import diff
from benchhub_ansible.plan.model import Iteration, Plan, PlannedGroup, PlannedStage, PlannedTask, Slot
from benchhub_ansible.plan.select import left_out, select
from benchhub_ansible.source import Span
from tests.unit.plan.jobs import EVERYTHING, job, plan

TEXTS = st.text(max_size=8)
NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=5)
SECONDS = st.floats(0, 10**6)
SPANS = st.builds(Span, line=st.integers(1, 99), column=st.integers(1, 9), length=st.integers(0, 9))
PARAMS = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.none(), st.integers(), SECONDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
).map(frozen)
CHECKS = st.builds(
    Check, kind=NAMES, target=TEXTS, timeout=st.none() | SECONDS, status=st.tuples(st.integers()), span=SPANS
)
METRICS = st.builds(
    Metric, name=NAMES, unit=st.none() | TEXTS, min=st.none() | SECONDS, required=st.booleans(), span=SPANS
)
TASKS = st.builds(
    PlannedTask,
    id=NAMES,
    name=TEXTS,
    driver=NAMES,
    params=PARAMS,
    long=st.booleans(),
    service=st.none() | NAMES,
    env=st.dictionaries(NAMES, TEXTS, max_size=2),
    chdir=st.none() | TEXTS,
    become=st.booleans(),
    user=st.none() | TEXTS,
    timeout=SECONDS,
    retry=st.builds(Retry, count=st.integers(0, 9), delay=SECONDS),
    when=st.none() | TEXTS,
    ready=st.none() | CHECKS,
    live=st.none() | CHECKS,
    shutdown=st.none(),
    grace=SECONDS,
    metrics=st.lists(METRICS, max_size=2).map(tuple),
    collect=st.lists(TEXTS, max_size=2).map(tuple),
    span=SPANS,
)
STAGES = st.builds(
    PlannedStage,
    id=NAMES,
    name=NAMES,
    title=TEXTS,
    slots=st.lists(NAMES, max_size=3).map(tuple),
    hosts=st.lists(NAMES, max_size=3).map(tuple),
    tasks=st.lists(TASKS, max_size=2).map(tuple),
    iteration=st.none() | st.builds(Iteration, values=st.dictionaries(NAMES, TEXTS, max_size=2), warmup=st.booleans()),
    span=SPANS,
)
PLANS = st.builds(
    Plan,
    job=NAMES,
    source=NAMES,
    reason=st.none() | TEXTS,
    workload=st.none() | TEXTS,
    database=st.none() | TEXTS,
    vars=st.dictionaries(NAMES, TEXTS, max_size=2),
    secrets=st.lists(st.builds(Secret, name=NAMES, env=st.none() | NAMES, file=st.none(), span=SPANS), max_size=2).map(
        tuple
    ),
    requests=st.lists(
        st.builds(NodeRequest, name=NAMES, type=NAMES, options=st.dictionaries(NAMES, PARAMS, max_size=2), span=SPANS),
        max_size=2,
    ).map(tuple),
    slots=st.lists(st.builds(Slot, name=NAMES, node=NAMES, type=NAMES, index=st.integers(0, 9)), max_size=2).map(tuple),
    central=st.none() | NAMES,
    groups=st.lists(
        st.builds(
            PlannedGroup,
            number=st.integers(1, 9),
            stages=st.lists(STAGES, max_size=2).map(tuple),
            stops=st.lists(NAMES, max_size=2).map(tuple),
            limit=SECONDS,
        ),
        max_size=2,
    ).map(tuple),
    cleanup=st.lists(STAGES, max_size=1).map(tuple),
    limit=SECONDS,
    teardown_limit=SECONDS,
    lease=SECONDS,
    hash=NAMES,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(PLANS)
def test_a_plan_comes_back_from_json_as_it_was(made: Plan) -> None:
    again = plan_from_data(json.loads(json.dumps(plan_to_data(made))))
    assert again == made
    assert plan_hash(again) == plan_hash(made)


def test_a_planned_job_comes_back_with_its_shutdowns() -> None:
    made = plan(EVERYTHING)
    assert plan_from_data(json.loads(json.dumps(plan_to_data(made)))) == made


def test_slot_lists_stand_once() -> None:
    data = plan_to_data(plan(EVERYTHING))
    assert len(data["placements"]) == 3


@pytest.mark.parametrize("data", [{}, {"version": 99}, [], None])
def test_another_version_is_refused(data: Any) -> None:
    with pytest.raises(ResultError, match="version"):
        plan_from_data(data)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"groups": [], "placements": []},
        {"groups": [{"number": 1, "stages": [{"placement": 3}]}], "placements": [[]]},
        {"groups": 7, "placements": []},
    ],
)
def test_what_is_no_plan_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ResultError, match="not a plan"):
        plan_from_data({"version": 1, **broken})


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ResultError, match="no field later"):
        plan_from_data({**plan_to_data(plan(EVERYTHING)), "later": 1})


def test_select_from_a_stage_and_only_one() -> None:
    made = plan(EVERYTHING)
    assert select(made) is made
    assert select(made, from_stage="install Xephon-B") is made
    later = select(made, from_stage="serve")
    assert [group.number for group in later.groups] == list(range(4, 16))
    assert later.hash != made.hash
    assert later.cleanup == made.cleanup
    only = select(made, only="load")
    assert {stage.name for stage in only.stages()} == {"load"}
    assert not any(group.stops for group in only.groups)
    one = select(made, only="load-threads-1-r1")
    assert [stage.id for stage in one.stages()] == ["load-threads-1-r1"]
    serving = select(made, only="serve")
    assert sum(bool(group.stops) for group in serving.groups) == 6


SERVED = """
stages:
  - {name: serve, nodes: {type: database}, tasks: [{name: server, shell: run, type: long, ready: {file: up}}]}
  - {name: cache, nodes: {type: database}, tasks: [{name: redis, shell: run, type: long, ready: {file: up}}]}
  - {name: load, nodes: {type: loader}, tasks: [{shell: load}]}
  - {name: after, nodes: {type: loader}, tasks: [{shell: after}]}
pipeline:
  - [serve]
  - {repeat: 2, stages: [[cache], [load]]}
  - [after]
"""


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ({}, []),
        ({"from_stage": "serve"}, []),
        ({"from_stage": "load"}, ["server", "redis"]),
        ({"only": "load"}, ["server", "redis"]),
        ({"only": "serve"}, []),
        ({"only": "after"}, ["server"]),  # what a block starts has ended with its turn
    ],
)
def test_services_that_a_part_lacks_are_told(part: dict[str, str], missing: list[str]) -> None:
    made = job(SERVED)
    whole = make_plan(made)
    told = list(left_out(whole, select(whole, **part), made.source))
    lines = made.source.text.splitlines()
    assert [one.span.line for one in told if one.span] == [
        lines.index(line) + 1 for line in lines for name in missing if f"name: {name}," in line
    ]
    assert [name for name in missing if not any(f"service {name!r}" in one.message for one in told)] == []
    assert all(one.code == "service-left-out" and "--from" in str(one.hint) for one in told)


@pytest.mark.parametrize(("name", "hint"), [("lod", "did you mean 'load'"), ("zzzz", "the stages that run are")])
def test_select_says_what_there_is(name: str, hint: str) -> None:
    for arguments in ({"from_stage": name}, {"only": name}):
        with pytest.raises(UsageError) as caught:
            select(plan(EVERYTHING), **arguments)
        assert hint in str(caught.value.diagnostics[0].hint)


def test_diff_tells_what_runs_differently_and_nothing_else() -> None:
    old = plan(EVERYTHING)
    assert diff(old, plan("\n\n" + EVERYTHING), old_name="a", new_name="b") == []
    new = plan(EVERYTHING.replace("echo 3", "echo 4").replace("{.Names}", "{.Image}"))
    lines = diff(old, new, old_name="a", new_name="b")
    assert lines[:2] == ["--- a", "+++ b"]
    assert '+group 1: stage mixed: tasks.6.params.text = "echo 4"' in lines
    assert any(line.startswith("-group 1: stage install Xephon-B:") and "Names" in line for line in lines)
    assert not any("span" in line for line in lines)
    assert not any(line.startswith("+plan") and "limit" in line for line in lines)
    moved = diff(old, plan(EVERYTHING.replace("timeout: 1m", "timeout: 2m")), old_name="a", new_name="b")
    assert any("limit" in line for line in moved)
    assert any(
        "stops" in line
        for line in diff(old, plan(EVERYTHING.replace("name: kv\n", "name: kw\n")), old_name="a", new_name="b")
    )
    assert any(
        "cleanup" in line
        for line in diff(old, plan(EVERYTHING.replace("/data/x", "/data/y")), old_name="a", new_name="b")
    )
