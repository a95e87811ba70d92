"""The actions on three slots of this machine."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

#: Made by the fixtures of conftest.py; with importlib mode a test cannot import its type from there.
Site = Any

pytestmark = pytest.mark.real


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def play(hosts: str, tasks: str) -> str:
    body = "".join(f"    {line}\n" for line in tasks.strip("\n").splitlines())
    return f"\n- name: Stage\n  hosts: {hosts}\n  gather_facts: false\n  tasks:\n{body}"


STEPS = """
- name: Steps
  benchhub.bench.start:
    unit: u
    steps:
      - name: write
        shell: |
          mkdir -p made
          printf '%s' "${node.name} ${node.index} ${nodes.loader[1].name} ${types.loader.names} ${run.id}" > made/refs
      - name: bytes
        argv:
          - sh
          - -c
          - printf %s "$1" > made/bytes
          - sh
          - !unsafe "-n 'q' \\" \\\\ $${HOME} {{ x }} {% if %} {# c #} # é ☃\\nnext"
      - name: not here
        shell: exit 7
        only_if: test ${node.name} = nowhere
  run_once: true
"""


PREPARE_SHORT = """
- name: Prepare
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Prepare
      benchhub.bench.prepare:
        lease: 2
        retention: 60
      run_once: true
"""

FINISH_ALL = """
- name: Teardown
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Keep every slot for the teardown
      ansible.builtin.meta: clear_host_errors
    - name: Finish
      benchhub.bench.finish:
        dest: "{{ playbook_dir }}/collected"
        collect: {db: ["made/*"]}
      run_once: true
"""


def test_steps_reach_every_slot_with_references_expanded_and_everything_else_as_it_is(local: Site) -> None:
    played = local.play(play("benchhub", STEPS))
    assert played.code == 0, played.output
    for slot, index in (("db", 0), ("loader-1", 0), ("loader-2", 1)):
        made = (
            local.collected
            / slot
            / "files"
            / str(local.nodes).lstrip("/")
            / f"benchhub-{local.folder.name}"
            / slot
            / "made"
        )
        assert (made / "refs").read_text() == f"{slot} {index} loader-2 loader-1,loader-2 {local.folder.name}"
        assert (made / "bytes").read_bytes() == "-n 'q' \" \\ ${HOME} {{ x }} {% if %} {# c #} # é ☃\nnext".encode()
        assert played.hosts("Steps")[slot]["units"]["u"]["steps"][2]["state"] == "skipped"
    local.assert_nothing_left()


def test_files_arrive_small_large_folders_and_templates(local: Site) -> None:
    job = local.folder / "job"
    large = os.urandom(700_000)
    (job / "large.bin").write_bytes(large)
    (job / "conf/sub").mkdir(parents=True)
    (job / "conf/sub/a.txt").write_text("a")
    (job / "t.j2").write_text("{{ inventory_hostname }} {{ benchhub_address }} ${node.name}\n")
    tasks = """
- name: Files
  benchhub.bench.start:
    unit: files
    steps:
      - {name: folder of all, shell: mkdir made}
      - {name: content, copy: {content: "of ${node.name}\\n", dest: made/content, mode: "0600"}}
      - {name: large, copy: {src: large.bin, dest: made/}}
      - {name: folder, copy: {src: conf, dest: made}}
      - {name: template, template: {src: t.j2, dest: made/t}}
      - {name: there, fetch: made/con*}
  run_once: true
"""
    played = local.play(play("loader", tasks))
    assert played.code == 0, played.output
    for slot in ("loader-1", "loader-2"):
        made = (
            local.collected
            / slot
            / "files"
            / str(local.nodes).lstrip("/")
            / f"benchhub-{local.folder.name}"
            / slot
            / "made"
        )
        assert (made / "content").read_text() == f"of {slot}\n"
        assert (made / "large.bin").read_bytes() == large
        assert (made / "conf/sub/a.txt").read_text() == "a"
        assert (made / "t").read_text() == f"{slot} 127.0.0.1 ${{node.name}}\n"
    local.assert_nothing_left()


def test_a_failing_step_ends_the_wait_for_the_others_and_says_all_of_it(local: Site) -> None:
    tasks = """
- name: Steps
  benchhub.bench.start:
    unit: u
    steps:
      - name: breaks
        line: 12
        shell: if [ ${node.name} = loader-2 ]; then echo "no such table" >&2; exit 3; else sleep 60; fi
  run_once: true
"""
    began = time.monotonic()
    played = local.play(play("loader", tasks))
    assert time.monotonic() - began < 30
    assert played.code == 2
    assert (
        played.tasks["Steps"]["msg"]
        == "loader-2: step 'breaks' (job line 12) of u ended with exit code 3\n    no such table"
    )
    assert played.hosts("Steps")["loader-2"]["status"] == "failed"
    assert played.hosts("Steps")["loader-1"] | {"units": None} == {"status": "ok", "state": "waiting", "units": None}


def test_rescue_keeps_all_slots_for_the_teardown(local: Site) -> None:
    tasks = """
- name: Block
  block:
    - name: Steps
      benchhub.bench.start:
        unit: u
        steps: [{name: breaks, shell: "false"}]
      run_once: true
    - name: Never
      benchhub.bench.start:
        unit: never
        steps: [{name: never, shell: "true"}]
      run_once: true
  rescue:
    - name: Keep every slot
      ansible.builtin.meta: clear_host_errors
    - name: Mark
      ansible.builtin.add_host:
        name: "{{ item }}"
        groups: benchhub_failed
      loop: "{{ groups['benchhub'] }}"
"""
    played = local.play(play("loader", tasks) + play("benchhub:!benchhub_failed", tasks.replace("Never", "Later")))
    assert set(played.hosts("Finish")) == {"db", "loader-1", "loader-2"}
    assert "Never" not in played.tasks
    assert "Later" not in played.tasks
    local.assert_nothing_left()


FINISH = """
- name: Teardown
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Finish
      benchhub.bench.finish:
      run_once: true
"""

SERVICE = """
- name: Web
  benchhub.bench.service:
    name: web
    {command}
    grace: 2
  async: 300
  poll: 0
  run_once: true
  register: web
"""


def test_a_service_is_an_async_job_is_awaited_and_stopped(local: Site) -> None:
    port = free_port()
    command = f"argv: [/usr/bin/python3, -m, http.server, '{port}', --bind, '${{node.address}}']"
    tasks = (
        SERVICE.replace("{command}", command)
        + f"""
- name: Ready
  benchhub.bench.wait_for:
    service: web
    url: http://${{node.address}}:{port}/
    timeout: 20
  run_once: true
- name: Status
  ansible.builtin.async_status:
    jid: "{{{{ web.benchhub.hosts[inventory_hostname].ansible_job_id }}}}"
- name: Stop
  benchhub.bench.stop:
    services: [web, unknown]
  run_once: true
- name: Gone
  benchhub.bench.wait_for:
    port: {port}
    state: stopped
    timeout: 5
  run_once: true
"""
    )
    played = local.play(play("db", tasks))
    assert played.code == 0, played.output
    assert played.hosts("Ready")["db"]["state"] == "ready"
    assert played.tasks["Status"]["finished"] in (False, 0)
    assert played.tasks["Web"]["ansible_job_id"] == f"benchhub.{local.folder.name}.db.web"
    assert played.hosts("Stop")["db"]["units"]["web"]["state"] == "stopped"
    assert "web" in played.hosts("Finish")["db"]["units"]
    local.assert_nothing_left()


def test_a_service_that_dies_ends_the_wait_at_once_with_its_last_lines(local: Site) -> None:
    tasks = (
        SERVICE.replace("{command}", 'shell: "sleep 0.5; echo cannot bind; exit 9"')
        + """
- name: Ready
  benchhub.bench.wait_for:
    service: web
    port: 9
    timeout: 60
  run_once: true
"""
    )
    began = time.monotonic()
    played = local.play(play("db", tasks))
    assert time.monotonic() - began < 30
    assert played.code == 2
    message = played.tasks["Ready"]["msg"]
    assert message.startswith("db: service web ended with exit code 9 before it was told to")
    assert message.endswith("\n    cannot bind")


def test_a_service_that_dies_elsewhere_ends_the_stage_that_watches_it(local: Site) -> None:
    tasks = """
- name: Load
  benchhub.bench.start:
    unit: load
    steps: [{name: load, shell: sleep 60}]
    watch: [database]
  run_once: true
"""
    began = time.monotonic()
    service = SERVICE.replace("{command}", 'shell: "sleep 2; echo out of memory; exit 0"')
    played = local.play(play("db", service) + play("loader", tasks))
    assert time.monotonic() - began < 30
    assert played.code == 2
    assert played.tasks["Load"]["msg"].startswith("db: service web ended with exit code 0 before it was told to")
    assert "out of memory" in played.tasks["Load"]["msg"]


def test_a_check_that_never_succeeds_says_what_it_last_saw(local: Site) -> None:
    tasks = """
- name: Ready
  benchhub.bench.wait_for:
    command: echo not yet >&2; exit 4
    timeout: 0.5
  run_once: true
"""
    played = local.play(play("db", tasks))
    assert played.code == 2
    assert "was not started within 0.5 s" in played.tasks["Ready"]["msg"]


def test_units_of_several_plays_run_at_the_same_time_and_are_joined(local: Site) -> None:
    start = """
- name: Start {unit}
  benchhub.bench.start:
    unit: {unit}
    steps: [{{name: sleep, shell: sleep 1.5}}]
    join: false
  run_once: true
"""
    join = """
- name: Join
  benchhub.bench.join:
    units: {a: [db], b: [loader]}
  run_once: true
"""
    played = local.play(
        play("db", start.format(unit="a")) + play("loader", start.format(unit="b")) + play("benchhub", join)
    )
    assert played.code == 0, played.output
    hosts = played.hosts("Join")
    a, b = hosts["db"]["units"]["a"], hosts["loader-1"]["units"]["b"]
    assert a["state"] == b["state"] == hosts["loader-2"]["units"]["b"]["state"] == "ok"
    assert a["start"] < b["end"]
    assert b["start"] < a["end"]


def test_loaders_start_together_and_lateness_is_recorded(local: Site) -> None:
    tasks = """
- name: Load
  benchhub.bench.start:
    unit: load
    steps: [{name: load, shell: "true"}]
    together: true
    late_limit: 5
  run_once: true
"""
    played = local.play(play("loader", tasks))
    assert played.code == 0, played.output
    starts = [host["together"] for host in played.hosts("Load").values()]
    assert len({start["target"] for start in starts}) == 1
    assert all(0 <= start["late"] < 5 for start in starts)
    assert all(start["lead"] >= 0.1 for start in starts)


def test_a_late_start_is_an_error_that_names_the_slot(local: Site) -> None:
    tasks = """
- name: Load
  benchhub.bench.start:
    unit: load
    steps: [{name: load, shell: "true"}]
    together: true
    late_limit: -1
  run_once: true
"""
    played = local.play(play("loader", tasks))
    assert played.code == 2
    assert "loader-1: load started" in played.tasks["Load"]["msg"]
    assert "the nodes did not start together" in played.tasks["Load"]["msg"]


def test_no_secret_is_in_any_output(local: Site) -> None:
    local.env["TOKEN"] = "hunter2-very-secret"
    tasks = """
- name: Steps
  benchhub.bench.start:
    unit: u
    steps:
      - {name: uses it, shell: 'echo "with ${secrets.TOKEN}"; mkdir made; echo "${secrets.TOKEN}" > made/token'}
      - {name: breaks, argv: [sh, -c, 'echo "$1" >&2; exit 1', sh, 'bad ${secrets.TOKEN}']}
  run_once: true
  ignore_errors: true
- name: Looked up
  ansible.builtin.set_fact:
    length: "{{ lookup('benchhub.bench.secret', 'TOKEN') | length }}"
"""
    played = local.play(play("db", tasks), "-vvv")
    assert "bad ***" in played.tasks["Steps"]["msg"]
    assert int(played.tasks["Looked up"]["ansible_facts"]["length"]) == len("hunter2-very-secret")
    assert "hunter2" not in played.output
    files = [path for path in local.folder.rglob("*") if path.is_file()]
    assert any(path.name == "token" for path in files)
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("benchhub.bench.start: {unit: u, steps: [{name: s, shell: a, argv: [b]}]}", "mutually exclusive"),
        ("benchhub.bench.start: {unit: u, steps: [{name: s, shel: a}]}", "shel"),
        ("benchhub.bench.start: {unit: u, steps: [{name: s, shell: '${nodes.cache.address}'}]}", "no node cache"),
        ("benchhub.bench.start: {unit: u, steps: [{name: s, shell: 'echo ${secrets.TOKEN}'}]}", "TOKEN has no value"),
        (
            "benchhub.bench.start: {unit: u, watch: [cache], steps: [{name: s, shell: 'true'}]}",
            "no slot or group cache",
        ),
        ("benchhub.bench.start: {unit: u, steps: [{name: s, copy: {src: none, dest: x}}]}", "does not exist"),
        ("benchhub.bench.wait_for: {timeout: 1}", "exactly one of port, path, url, command, log"),
        ("benchhub.bench.wait_for: {port: 1, exclude_hosts: [a]}", "exclude_hosts is not supported"),
        ("benchhub.bench.service: {name: s, shell: sleep 1}", "async"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(task: str, message: str, local: Site) -> None:
    played = local.play(play("db", f"- name: Task\n  {task}\n  run_once: true"))
    assert played.code == 2
    assert message in played.tasks["Task"]["msg"]
    assert "Traceback" not in played.output


def test_without_run_once_a_task_is_for_its_own_host(local: Site) -> None:
    tasks = STEPS.replace("  run_once: true\n", "")
    played = local.play(play("db", tasks))
    assert played.code == 0, played.output
    assert set(played.hosts("Steps")) == {"db"}


def test_a_slot_without_supervisor_says_so(local: Site) -> None:
    played = local.play(play("db", STEPS), around=False)
    assert played.code == 2
    assert "the supervisor is gone" in played.tasks["Steps"]["msg"]


def test_keep_leaves_services_up_and_a_later_finish_ends_them(local: Site) -> None:
    kept = """
- name: Keep
  benchhub.bench.finish:
    keep: 60
    dest: "{{ playbook_dir }}/kept"
  run_once: true
"""
    service = SERVICE.replace("{command}", "shell: exec sleep 300")
    played = local.play(play("db", service) + play("db", kept))
    assert played.code == 0, played.output
    assert played.hosts("Keep")["db"]["kept"] is True
    assert (local.folder / "kept/db/units/web/status.json").exists()
    assert played.hosts("Finish")["db"]["units"]["web"]["state"] == "stopped"
    local.assert_nothing_left()


def test_check_mode_does_nothing(local: Site) -> None:
    played = local.play("", "--check")
    assert played.code == 0, played.output
    assert list(local.nodes.iterdir()) == []
    assert not Path(local.collected).exists()


def test_workers_end_with_ansible_playbook_when_it_is_killed(local: Site) -> None:
    tasks = """
- name: Load
  benchhub.bench.start:
    unit: load
    steps: [{name: load, shell: sleep 60}]
  run_once: true
"""
    process = local.start(play("db", tasks))
    deadline = time.monotonic() + 20
    while not list(local.nodes.rglob("units/load/status.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert workers
    process.kill()
    process.wait()
    process.stdout.close()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    finished = local.play("\n- name: None\n  hosts: db\n  gather_facts: false\n  tasks: []\n" + FINISH, around=False)
    assert finished.code == 0, finished.output
    local.assert_nothing_left()


def test_the_message_of_a_wait_counts_all_its_tries(local: Site) -> None:
    """The wait takes several calls: each keeps a node for half a lease at most."""
    wait = """
- name: Wait
  benchhub.bench.wait_for:
    command: mkdir -p made; echo x >> made/tries; false
    interval: 0.1
    timeout: 5
  run_once: true
  ignore_errors: true
"""
    played = local.play(PREPARE_SHORT + play("db", wait) + FINISH_ALL, around=False)
    assert played.code == 0, played.output
    (tries,) = (local.collected / "db").rglob("made/tries")
    count = len(tries.read_text().split())
    assert played.hosts("Wait")["db"]["attempts"] == count
    assert f"({count} tries, the last said: the command ended with exit code 1)" in played.tasks["Wait"]["msg"]
    assert played.hosts("Wait")["db"]["elapsed"] >= 5
    local.assert_nothing_left()
