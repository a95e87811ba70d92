from __future__ import annotations

from typing import Any

import pytest

from benchhub_ansible.errors import JobError
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook import describe
from benchhub_ansible.playbook.folder import project_files
from benchhub_ansible.playbook.names import group_name, play_stages, shown
from tests.unit.plan.jobs import EVERYTHING, plan
from tests.unit.playbook.reading import plays, tasks


def _files(made: Plan) -> dict[str, str]:
    return project_files(made, profile="default")


def _only(text: str, path: str) -> list[dict[str, Any]]:
    return list(tasks(plays(_files(plan(text))[path])))


def test_files_stand_in_order_and_stages_yml_imports_all_of_them() -> None:
    files = _files(plan(EVERYTHING))
    stages = [path for path in files if path.startswith("stages/")]
    assert stages == sorted(stages)
    imported = [play["ansible.builtin.import_playbook"] for play in plays(files["stages.yml"])]
    assert imported == stages
    assert stages[:4] == [
        "stages/00-prepare.yml",
        "stages/01-install-xephon-b.yml",
        "stages/02-mixed.yml",
        "stages/03-roll.yml",
    ]


def test_same_plan_same_bytes() -> None:
    assert _files(plan(EVERYTHING)) == _files(plan(EVERYTHING))


def test_every_play_leaves_a_failed_run_alone_but_those_of_teardown() -> None:
    files = _files(plan(EVERYTHING))
    for path, text in files.items():
        for play in plays(text) if path.endswith(".yml") else []:
            if "hosts" in play and play["hosts"] != "benchhub_failed":
                assert play["hosts"].endswith(":!benchhub_failed") == (path != "teardown.yml"), path
                assert [task["name"] for task in play["tasks"][0]["rescue"]] == [
                    "Keep every slot for the teardown",
                    "Let nothing but the teardown follow",
                ]


def test_texts_reach_the_action_as_they_stand() -> None:
    started = _only(EVERYTHING, "stages/01-install-xephon-b.yml")[0]["benchhub.bench.start"]
    assert started["join"] is False
    steps = started["steps"]
    assert steps[0]["shell"] == (
        "echo '{{ not jinja }}' {% raw %}\ndocker ps --format '{{.Names}}' ${HOME} ${node.address} hello {{ x }}\n"
    )
    assert steps[1] == {
        "name": "echo -n",
        "argv": ["echo", "-n", "${secrets.PW}", "{{ x }}"],
        "env": {"A": "{{ b }}"},
        "chdir": "sub dir",
        "only_if": "test ${node.name} != nowhere",
        "timeout": 3600,
        "retries": 3,
        "delay": 2,
        "line": steps[1]["line"],
    }
    assert steps[4]["template"] == {"src": "t.j2", "dest": "{{ odd }}/x", "mode": "0600"}
    assert steps[5]["fetch"] == "/etc/hostname"


def test_a_service_is_an_async_task_and_its_check_follows() -> None:
    mixed = _only(EVERYTHING, "stages/14-mixed-2.yml")
    service = next(task for task in mixed if "benchhub.bench.service" in task)
    assert service["poll"] == 0
    assert service["async"] > 3600
    arguments = service["benchhub.bench.service"]
    assert arguments["executable"] == "/bin/bash"
    assert arguments["user"] == "redis"
    assert arguments["grace"] == 3
    assert arguments["shutdown"] == {"name": "stop cache", "shell": "redis-cli shutdown", "timeout": 60}
    assert arguments["live"] == {
        "http": "http://localhost:1/",
        "status": [200],
        "body": "ok",
        "timeout": 1,
        "interval": 5,
        "failures": 3,
    }
    waited = mixed[mixed.index(service) + 1]["benchhub.bench.wait_for"]
    assert waited == {
        "service": "cache-2",
        "log": "Ready to {{",
        "timeout": 60,
        "interval": 0.03,
        "successes": 1,
        "watch": ["database"],
    }


def test_the_kinds_of_ready_checks() -> None:
    serve = [
        task["benchhub.bench.wait_for"]
        for task in _only(EVERYTHING, "stages/15-serve-threads-1-w1.yml")
        if "benchhub.bench.wait_for" in task
    ]
    http, tcp, filed, commanded = serve
    assert (http["url"], http["status"], http["body"]) == ("http://${node.address}:8080/x", [200, 204], "ok")
    assert (tcp["host"], tcp["port"], tcp["successes"]) == ("${node.address}", 1234, 2)
    assert filed["path"] == "/tmp/x"
    assert (commanded["command"], commanded["env"], commanded["chdir"]) == ('test -e "$A"', {"A": "b"}, "sub")


def test_a_group_of_several_stages_starts_all_and_joins() -> None:
    files = _files(plan(EVERYTHING))
    join = next(tasks(plays(files["stages/04-join-group-1-part-1.yml"])))["benchhub.bench.join"]
    assert list(join["units"]) == ["mixed"]  # the other has no further part: it is waited for at the end
    last = list(tasks(plays(files["stages/12-join-group-1-part-6.yml"])))[-1]["benchhub.bench.join"]
    assert last["units"] == {"install-xephon-b": ["loader"], "mixed.3": ["database"]}
    assert last["watch"] == ["database"]
    roll = plays(files["stages/03-roll.yml"])[0]
    assert roll["serial"] == 1
    assert roll["tasks"][0]["when"] == "groups['benchhub_failed'] | length == 0"
    assert next(tasks([roll]))["benchhub.bench.start"]["join"] is True


def test_a_group_of_serial_stages_needs_no_join() -> None:
    text = """
    stages:
      - {name: a, nodes: loader, serial: true, tasks: [shell: ls]}
      - {name: b, nodes: db, serial: true, tasks: [shell: ls]}
    pipeline: [[a, b]]
    """
    assert [path for path in _files(plan(text)) if path.startswith("stages/")] == [
        "stages/00-prepare.yml",
        "stages/01-a.yml",
        "stages/02-b.yml",
    ]


def test_start_together_is_said_once_per_stage() -> None:
    started = _only(EVERYTHING, "stages/16-load-threads-1-w1.yml")[0]["benchhub.bench.start"]
    assert started["together"] is True
    assert started["watch"] == ["database", "db"]


def test_prepare_names_who_needs_root_and_the_lease() -> None:
    made = plan(EVERYTHING)
    prepare = next(tasks(plays(_files(made)["stages/00-prepare.yml"])))["benchhub.bench.prepare"]
    assert prepare == {"lease": int(made.lease), "become_on": ["database"]}


def test_teardown_stops_in_reverse_order_cleans_up_and_collects() -> None:
    made = plan(EVERYTHING)
    unfinished, stop, collect, cleanup, finish = tasks(plays(_files(made)["teardown.yml"]))
    assert unfinished["benchhub.bench.stop"] == {"stages": True}
    assert stop["benchhub.bench.stop"]["services"] == [task.service for _, task in made.services()][::-1]
    assert cleanup["benchhub.bench.start"]["unit"] == "drop-data"
    assert collect["benchhub.bench.collect"]["files"] == {
        "loader": ["/etc/hostname", "out/x.txt"],
        "database": ["out/*.json"],
    }
    assert "collect" not in finish["benchhub.bench.finish"], "the cleanup stage names no files"


def test_a_job_without_services_stops_only_what_a_failure_left_running() -> None:
    text = "stages: [{name: s, nodes: db, tasks: [shell: ls]}]\npipeline: [[s]]"
    made = plays(_files(plan(text))["teardown.yml"])
    assert [play["hosts"] for play in made] == ["benchhub_failed", "benchhub"]
    stop, finish = tasks(made)
    assert stop["benchhub.bench.stop"] == {"stages": True}
    assert "benchhub.bench.finish" in finish


def test_ansible_run_tasks_are_guarded() -> None:
    mixed = _only(EVERYTHING, "stages/14-mixed-2.yml")
    asked, module, guard = mixed[1:4]
    assert asked["ansible.builtin.command"]["argv"] == ["/bin/sh", "-c", "test -e /etc/passwd"]
    assert module["ansible.builtin.file"]["path"] == "{{ benchhub_run_dir }}/x{"
    assert (module["when"], module["retries"], module["become_user"]) == ("benchhub_when.rc == 0", 2, "root")
    assert guard["run_once"] is True
    role = next(task for task in mixed if "block" in task)
    assert role["vars"]["a"] == "{{ b }}"
    assert role["block"][0]["ansible.builtin.include_role"]["apply"] == {"environment": {"X": "1"}}


def test_a_role_with_a_condition_and_nothing_else() -> None:
    text = """
    stages: [{name: s, nodes: db, tasks: [{role: {name: r}, when: "true"}]}]
    pipeline: [[s]]
    """
    role = _only(text, "stages/01-s.yml")[1]
    assert role["ansible.builtin.include_role"] == {"name": "r"}
    assert role["when"] == "benchhub_when.rc == 0"


def test_names_hold_nothing_that_ansible_would_evaluate() -> None:
    for text in _files(plan(EVERYTHING)).values():
        for line in text.splitlines():
            if line.strip().startswith(("- name:", "name:")) and "!unsafe" not in line:
                assert "{{" not in line.replace("{{ item }}", "")
    assert shown("  a {{ b }}\n\x1b[1m") == "A (( b )) [1m"
    assert shown("\x00") == "Unnamed"
    assert (group_name("my-db"), group_name("1a")) == ("my_db", "_1a")


def test_events_find_the_stage_of_every_play() -> None:
    made = plan(EVERYTHING)
    known = play_stages(made)
    for path, text in _files(made).items():
        if path.startswith("stages/") and not any(part in path for part in ("prepare", "join", "stop")):
            assert {known.get(play["name"]) for play in plays(text)} <= {stage.id for stage in made.stages()}, path
    assert known["Mixed (part 2)"] == "mixed"


@pytest.mark.parametrize("profile", ["default", "portable"])
def test_what_a_driver_refuses_is_an_error_with_its_line(profile: str) -> None:
    made = plan(
        "stages: [{name: s, nodes: db, tasks: [{docker: {run: x}, type: long, ready: {tcp: 'a:1'}}]}]\npipeline: [[s]]"
    )
    group = made.groups[0]
    stage = group.stages[0]
    for params, message in (({"run": ""}, "docker run wants a text"), ({}, "exactly one of")):
        object.__setattr__(stage.tasks[0], "params", params)
        with pytest.raises(JobError, match=message):
            project_files(made, profile=profile)
    object.__setattr__(stage.tasks[0], "driver", "copy")
    object.__setattr__(stage.tasks[0], "params", {"content": "a", "dest": "b"})
    with pytest.raises(JobError, match="has no long-running tasks"):
        project_files(made, profile=profile)
    object.__setattr__(stage.tasks[0], "driver", "role")
    object.__setattr__(stage.tasks[0], "params", {})
    with pytest.raises(JobError, match=r"job.yml:\d+: task .* role wants the name"):
        project_files(made, profile=profile)


def test_a_plan_says_which_module_is_an_async_job() -> None:
    made = plan(
        """\
stages:
  - {name: a, nodes: db, tasks: [{name: m, module: {name: ansible.builtin.ping}}]}
  - {name: b, nodes: loader, tasks: [{name: s, shell: "true"}]}
pipeline: [[a, b], [a]]
"""
    )
    beside, alone = (describe.notes(made, group.stages[0].tasks[0]) for group in made.groups)
    assert beside == ["at most 1h", "an async job, beside the other stages of its group"]
    assert alone == ["at most 1h"]


def test_a_plan_can_be_described() -> None:
    made = plan(EVERYTHING)
    text = {task.id: describe.command(made, task) for stage in made.stages() for task in stage.tasks}
    assert text["install-xephon-b.02"] == "echo -n '${secrets.PW}' '{{ x }}'"
    assert text["install-xephon-b.06"] == 'fetch: "/etc/hostname"'
    assert text["mixed.02"].startswith("module: ansible.builtin.file {")
    assert text["mixed.05"] == "[/bin/bash] redis-server"
    said = {task.id: describe.notes(made, task) for stage in made.stages() for task in stage.tasks}
    assert said["install-xephon-b.02"] == [
        "at most 1h",
        "tried again 3 times, 2s apart",
        "only when: test ${node.name} != nowhere",
        "in sub dir",
        "A={{ b }}",
    ]
    assert "as redis" in said["mixed.05"]
    assert "as root" in said["mixed.02"]
    assert "stopped by: redis-cli shutdown, within 1m, then TERM and KILL" in said["mixed.05"]
    assert any(
        note.startswith("alive while: http http://localhost:1/, status 200, body ok") for note in said["mixed.05"]
    )
    assert "metric throughput" in said["load-threads-1-r1.01"]
    assert "collects out/*.json" in said["mixed.01"]
    diagram = describe.mermaid(made)
    assert diagram.startswith("flowchart TB\n  subgraph g1[")
    assert "g15 --> cleanup" in diagram
    bare = plan('stages: [{name: "a \\"b\\" <c>", nodes: db, tasks: [shell: ls]}]\npipeline: [[\'a "b" <c>\']]')
    assert """["a 'b' #60;c#62; · db"]""" in describe.mermaid(bare)
