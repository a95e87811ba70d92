from __future__ import annotations

from dataclasses import replace

from benchhub_ansible.job.model import Check
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from tests.unit.plan.jobs import EVERYTHING, job, plan

ONE = """
stages:
  - name: load it
    nodes: loader
    tasks: [{shell: "echo ${threads}"}]
pipeline:
  - {repeat: 2, warmup: 1, matrix: {threads: [1, 8]}, stages: [[load it]]}
"""


def _stage(made: Plan, stage_id: str) -> PlannedStage:
    return next(stage for stage in made.stages() if stage.id == stage_id)


def _task(made: Plan, stage_id: str, number: int = 0) -> PlannedTask:
    return _stage(made, stage_id).tasks[number]


def test_slots_are_numbered_where_there_are_several_or_the_name_is_a_type_too() -> None:
    made = plan(
        "stages: [{name: s, nodes: all, tasks: [shell: ls]}]\npipeline: [[s]]",
        nodes="nodes:\n  db: {type: database}\n  loader: {type: loader}\n  other: {type: o, count: 2}\n",
    )
    assert [(slot.name, slot.node, slot.type, slot.index) for slot in made.slots] == [
        ("db", "db", "database", 0),
        ("loader-1", "loader", "loader", 0),
        ("other-1", "other", "o", 0),
        ("other-2", "other", "o", 1),
    ]
    assert made.central == "db"
    assert _stage(made, "s").hosts == ("benchhub",)
    assert _stage(made, "s").slots == ("db", "loader-1", "other-1", "other-2")


def test_a_block_becomes_one_group_per_turn_with_warm_ups_first() -> None:
    made = plan(ONE)
    assert [stage.id for stage in made.stages()] == [
        f"load-it-threads-{threads}-{turn}" for threads in (1, 8) for turn in ("w1", "r1", "r2")
    ]
    assert [group.number for group in made.groups] == [1, 2, 3, 4, 5, 6]
    first, second = list(made.stages())[:2]
    assert first.title == "load it (threads=1, warm-up 1 of 1)"
    assert first.iteration is not None
    assert first.iteration.warmup
    assert second.title == "load it (threads=1, 1 of 2)"
    assert second.iteration is not None
    assert (second.iteration.repetition, second.iteration.repetitions) == (1, 2)
    assert _task(made, "load-it-threads-8-r2").params["text"] == "echo 8"


def test_the_only_turn_of_a_block_needs_no_number() -> None:
    made = plan(ONE.replace("repeat: 2, warmup: 1, matrix: {threads: [1, 8]}, ", "").replace("${threads}", "x"))
    assert [(stage.id, stage.title) for stage in made.stages()] == [("load-it", "load it")]


def test_ids_titles_and_services_are_unique() -> None:
    made = plan(EVERYTHING)
    stages = [*made.stages(), *made.cleanup]
    assert len({stage.id for stage in stages}) == len(stages)
    assert len({stage.title.casefold() for stage in stages}) == len(stages)
    units = [stage.id for stage in stages] + [str(task.service) for _, task in made.services()]
    assert len(set(units)) == len(units)
    assert _stage(made, "mixed-2").title == "mixed (2)"
    assert [task.service for _, task in made.services()][:3] == ["cache", "cache-2", "kv-threads-1-w1"]


def test_a_service_named_like_a_stage_has_another_unit() -> None:
    text = """
    stages:
      - {name: cassandra, nodes: db, tasks: [{name: cassandra, shell: run, type: long, ready: {tcp: "a:1"}}]}
    pipeline: [[cassandra]]
    """
    assert [task.service for _, task in plan(text).services()] == ["cassandra-service"]


def test_services_of_a_turn_end_with_it_the_last_first() -> None:
    made = plan(EVERYTHING)
    stops = [group.stops for group in made.groups if group.stops]
    assert len(stops) == 6
    assert stops[0] == ("commanded-threads-1-w1", "filed-threads-1-w1", "tcp-threads-1-w1", "kv-threads-1-w1")
    assert [group.number for group in made.groups if group.stops] == [5, 7, 9, 11, 13, 15]


def test_values_never_become_references() -> None:
    text = """
    vars: {a: "$${run.id}", b: "x${c}"}
    stages: [{name: s, nodes: db, tasks: [shell: 'echo ${a} ${run.id} ${b} $${a}']}]
    pipeline: [[s]]
    """
    assert _task(plan(text), "s").params["text"].startswith("echo $")
    first = make_plan(replace(job(text), vars={"a": "${run.id}", "b": "${node.name}"}))
    assert _task(first, "s").params["text"] == "echo $${run.id} ${run.id} $${node.name} $${a}"


def _limits_of_command(keys: str) -> Check:
    made = plan(
        "stages: [{name: s, nodes: db, tasks: [{shell: sleep 9, type: long, ready: {command: 'true'" + keys + "}}]}]\n"
        "pipeline: [[s]]"
    )
    ready = _task(made, "s").ready
    assert ready is not None
    return ready


def test_limits_have_their_defaults_and_add_up() -> None:
    made = plan(EVERYTHING)
    serve = _stage(made, "serve-threads-1-w1")
    tcp = serve.tasks[1].ready
    assert tcp is not None
    assert (tcp.timeout, tcp.interval, tcp.successes) == (60.0, 2.0, 2)
    kv = serve.tasks[0].ready
    assert kv is not None
    assert (kv.timeout, kv.interval, kv.successes) == (120.0, 0.03, 1)
    answers = _limits_of_command("")
    assert (answers.timeout, answers.interval, answers.successes) == (60.0, None, 1), "its pause follows what it takes"
    assert _limits_of_command(", interval: 1s").interval == 1.0
    cache = _task(made, "mixed", 4)
    assert cache.grace == 3.0
    assert cache.shutdown is not None
    assert cache.shutdown.timeout == 60.0
    assert cache.live is not None
    assert (cache.live.interval, cache.live.successes) == (5.0, 3)
    assert cache.timeout == made.limit + made.teardown_limit
    assert made.limit > sum(group.limit for group in made.groups)
    assert all(group.limit > 0 for group in made.groups)
    roll = next(group for group in made.groups if group.number == 2)
    assert roll.limit == 3 * 3610
    # module: 3 tries of 1 h with 10 s grace each, its condition, 2 s of pauses; role: 1 h and 10 s
    assert made.lease == 120 + (4 * 3610 + 2) + 3610


def test_the_job_s_own_limit_counts() -> None:
    made = plan("timeout: 90\n" + "stages: [{name: s, nodes: db, tasks: [shell: ls]}]\npipeline: [[s]]")
    assert made.limit == 90
    assert made.teardown_limit == 120
    assert made.lease == 120


def test_ansible_run_groups_in_a_row_stretch_the_lease() -> None:
    text = """
    stages:
      - {name: a, nodes: db, tasks: [{module: {name: ansible.builtin.ping}, timeout: 100}]}
      - {name: b, nodes: db, serial: true, tasks: [{module: {name: ansible.builtin.ping}, timeout: 200}]}
      - {name: c, nodes: db, tasks: [shell: ls]}
    pipeline: [[a], [b], [c], [a]]
    """
    assert plan(text).lease == 120 + 110 + 210


def test_the_hash_forgets_where_things_stood_and_why_but_nothing_else() -> None:
    one = job(ONE)
    moved = job("# a comment\n\n" + ONE, name="elsewhere/other.yml")
    assert make_plan(one).hash == make_plan(moved).hash == make_plan(replace(one, reason="other")).hash
    assert make_plan(moved).source == "other.yml"
    assert make_plan(one).hash != make_plan(job(ONE.replace("echo", "echo "))).hash
    assert make_plan(one).hash != make_plan(replace(one, name="x")).hash
    assert len(make_plan(one).hash) == 64


def test_the_same_job_gives_the_same_plan() -> None:
    assert plan(EVERYTHING) == plan(EVERYTHING)
