from __future__ import annotations

from typing import Any

import pytest

from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook.folder import project_files
from tests.unit.plan.jobs import EVERYTHING, plan
from tests.unit.playbook.reading import plays, tasks

BUILTIN_KEYWORDS = {
    "name", "become", "become_user", "environment", "register", "changed_when", "failed_when", "async", "poll", "until",
    "retries", "delay", "when", "no_log", "run_once", "delegate_to", "timeout", "ignore_unreachable", "vars", "block",
    "loop",
}  # fmt: skip


def _files(made: Plan) -> dict[str, str]:
    return project_files(made, profile="portable")


def _argv(task: dict[str, Any]) -> list[str]:
    argv: list[str] = task["ansible.builtin.command"]["argv"]
    return argv


def _program(task: dict[str, Any]) -> list[str]:
    argv = _argv(task)
    return argv[argv.index("--") + 1 :]


def test_nothing_but_builtin_modules_is_named() -> None:
    for path, text in _files(plan(EVERYTHING)).items():
        if path.endswith(".yml") and path not in ("stages.yml", "site.yml"):
            for task in tasks(plays(text)):
                for inner in task.get("block", [task]):
                    modules = set(inner) - BUILTIN_KEYWORDS
                    assert len(modules) == 1, inner
                    assert modules.pop().startswith("ansible.builtin."), inner


def test_stages_of_a_group_take_turns() -> None:
    paths = [path for path in _files(plan(EVERYTHING)) if path.startswith("stages/") and path.endswith(".yml")]
    assert paths[1:6] == [
        "stages/01-install-xephon-b.yml",
        "stages/02-mixed.yml",
        "stages/03-roll.yml",
        "stages/04-roll-2.yml",
        "stages/05-mixed-2.yml",
    ]


def test_steps_go_through_the_node_s_script() -> None:
    stage = list(tasks(plays(_files(plan(EVERYTHING))["stages/01-install-xephon-b.yml"])))
    first, second = stage[:2]
    assert _argv(first)[:6] == [
        "/bin/sh",
        "{{ benchhub_run_dir }}/.benchhub/node.sh",
        "run",
        "--unit",
        "install-xephon-b",
        "--step",
    ]
    assert _program(first)[:2] == ["/bin/sh", "-c"]
    assert _program(second) == ["echo", "-n", "{{ benchhub_secret.PW }}", "{{ x }}"]
    assert second["no_log"] is True
    assert second["environment"] == {"A": "{{ b }}"}
    assert {"--retries", "--delay", "--when", "--chdir"} <= set(_argv(second))
    placed, noted, odd = stage[2], stage[3], stage[4]
    assert placed["ansible.builtin.copy"] == {
        "content": "a{{ b }}\n",
        "dest": "{{ benchhub_run_dir }}/x.txt",
        "mode": "0644",
    }
    assert placed["retries"] == 1
    assert _program(noted) == ["true"]
    assert odd["ansible.builtin.copy"]["src"] == "{{ benchhub_job_dir }}/{{ '{' }}{ odd }}.txt"
    assert odd["ansible.builtin.copy"]["dest"] == "{{ benchhub_run_dir }}/y"
    template = stage[6]["ansible.builtin.template"]
    assert template["dest"] == "{{ benchhub_run_dir }}/{{ '{' }}{ odd }}/x"
    assert _program(stage[8])[-1] == "/etc/hostname"


def test_secrets_come_from_a_variable_of_the_play() -> None:
    made = plays(_files(plan(EVERYTHING))["stages/01-install-xephon-b.yml"])[0]
    assert set(made["vars"]["benchhub_secret"]) == {"PW", "KEY"}
    assert "benchhub_secrets['PW'].env" in made["vars"]["benchhub_secret"]["PW"]
    assert "benchhub_secrets['KEY'].file" in made["vars"]["benchhub_secret"]["KEY"]


def test_services_are_async_and_their_checks_are_builtins() -> None:
    files = _files(plan(EVERYTHING))
    serve = list(tasks(plays(files["stages/06-serve-threads-1-w1.yml"])))
    started = [task for task in serve if task.get("poll") == 0]
    assert len(started) == 4
    assert all(task["async"] > 3600 for task in started)
    uri = next(task for task in serve if "ansible.builtin.uri" in task)
    assert uri["ansible.builtin.uri"]["status_code"] == [200, 204]
    assert uri["until"] == "benchhub_ready is succeeded and benchhub_ready.content is search(benchhub_pattern)"
    assert uri["vars"] == {"benchhub_pattern": "ok"}
    assert (uri["retries"], uri["delay"]) == (120, 1)
    waits = [task["ansible.builtin.wait_for"] for task in serve if "ansible.builtin.wait_for" in task]
    assert waits == [
        {"host": "{{ benchhub_address }}", "port": 1234, "timeout": 60},
        {"path": "/tmp/x", "timeout": 60},
    ]
    commanded = next(task for task in serve if task.get("until") == "benchhub_ready.rc == 0")
    assert _argv(commanded)[-2:] == ["{{ benchhub_run_dir }}/sub", 'test -e "$A"']
    assert sum("alive" in _argv(task) for task in serve if "ansible.builtin.command" in task) == 4
    mixed = list(tasks(plays(files["stages/05-mixed-2.yml"])))
    logged = next(task for task in mixed if "until" in task and "stdout" in task["until"])
    assert logged["until"] == "benchhub_ready.stdout is search(benchhub_pattern)"
    assert logged["vars"] == {"benchhub_pattern": "Ready to {{"}
    assert logged["become_user"] == "redis"
    assert "Its live checks are not made" in files["stages/05-mixed-2.yml"]


@pytest.mark.parametrize("check", ["tcp: 'db:${node.index}'", "http: 'http://x/'", "command: ls", "file: x"])
def test_ready_checks_with_defaults(check: str) -> None:
    text = f"""
    stages: [{{name: s, nodes: db, tasks: [{{shell: ls, type: long, ready: {{{check}}}}}]}}]
    pipeline: [[s]]
    """
    if "tcp" in check:
        text = text.replace("${node.index}", "1")
    ready = list(tasks(plays(_files(plan(text))["stages/01-s.yml"])))[1]
    assert ready["name"].endswith("is ready")
    if "http" in check:
        assert ready["ansible.builtin.uri"]["status_code"] == list(range(200, 207))
    if "file" in check:
        assert ready["ansible.builtin.wait_for"]["path"] == "{{ benchhub_run_dir }}/x"


def test_a_file_with_a_condition_is_placed_only_when_it_holds() -> None:
    text = """
    stages:
      - name: s
        nodes: db
        start: together
        tasks: [{copy: {content: a, dest: b}, when: "true"}, {module: {name: ansible.builtin.ping}}, {shell: ls}]
    pipeline: [[s]]
    """
    _, asked, placed, noted, *_, last = tasks(plays(_files(plan(text))["stages/01-s.yml"]))
    assert asked["register"] == "benchhub_when"
    assert placed["when"] == "benchhub_when.rc == 0"
    assert "--at" in _argv(noted)
    assert "--at" not in _argv(last)


def test_start_together_is_one_instant_for_all() -> None:
    load = list(tasks(plays(_files(plan(EVERYTHING))["stages/07-load-threads-1-w1.yml"])))
    assert load[0]["ansible.builtin.set_fact"] == {"benchhub_at": "{{ now().strftime('%s') | int + 6 }}"}
    assert load[0]["run_once"] is True
    assert _argv(load[1])[_argv(load[1]).index("--at") + 1] == "{{ benchhub_at }}"
    assert load[-1]["ansible.builtin.assert"]["that"] == [
        "ansible_play_hosts_all | difference(ansible_play_hosts) | length == 0"
    ]


def test_teardown_stops_in_reverse_order_and_brings_everything() -> None:
    made = plan(EVERYTHING)
    torn = plays(_files(made)["teardown.yml"])
    names = [play["name"] for play in torn]
    assert names[: len(list(made.services()))] == [
        f"Teardown | stop {task.service}" for _, task in reversed(list(made.services()))
    ]
    assert names[-6:] == [
        "Teardown | collect the files of loader",
        "Teardown | collect the files of database",
        "Drop data",
        "Teardown | remove the containers of db",
        "Teardown | bring output and files",
        "Teardown | remove",
    ]
    assert all(not play["hosts"].endswith("benchhub_failed") for play in torn)
    pack = next(tasks([torn[-2]]))
    assert pack["become"] == "{{ inventory_hostname in ['db'] }}"
    assert pack["environment"] == {
        "BENCHHUB_MASK_PW": "{{ benchhub_secret.PW }}",
        "BENCHHUB_MASK_KEY": "{{ benchhub_secret.KEY }}",
    }
    stop_kv = next(tasks([play for play in torn if play["name"] == "Teardown | stop kv-threads-8-x-r2"]))
    program = _program(stop_kv)
    assert program[program.index("stop") :] == [
        "stop",
        "{{ benchhub_engine | default('auto', true) }}",
        "{{ benchhub_run_id }}",
        "{{ inventory_hostname }}",
        "kv-threads-8-x-r2",
        "--grace",
        "10",
        "--",
    ]


def test_a_plain_job_needs_no_privileges_and_a_privileged_one_on_all_slots_no_list() -> None:
    text = "stages: [{name: s, nodes: all, tasks: [{shell: ls%s}]}]\npipeline: [[s]]"
    plain = next(tasks(plays(_files(plan(text % ""))["teardown.yml"])))
    assert "become" not in plain
    assert "environment" not in plain
    everywhere = next(tasks(plays(_files(plan(text % ", become: true"))["teardown.yml"])))
    assert everywhere["become"] is True
    prepare = next(tasks(plays(_files(plan(text % ", become: true"))["stages/00-prepare.yml"])))
    assert prepare["ansible.builtin.command"]["argv"][-1] == "1777"
