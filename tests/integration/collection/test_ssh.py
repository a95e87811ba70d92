"""The actions on real sshd nodes, through the inventory plugin."""

from __future__ import annotations

import hashlib
import pwd
import shutil
import subprocess
import sys
import time
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.collection.conftest import SLOTS

pytestmark = pytest.mark.real

STEPS = """
- name: Stage
  hosts: {hosts}
  gather_facts: false
  tasks:
    - name: Steps
      benchhub.bench.start:
        unit: u
        steps:
          - name: write
            shell: mkdir -p made; printf '%s' "$SSH_CONNECTION|${{nodes.db.address}}|$(id -un)" > made/who
      run_once: true
"""


def made(site: Any, slot: str) -> str:
    (found,) = (site.collected / slot).rglob("made/who")
    text: str = found.read_text()
    return text


def line_shells(site: Any) -> list[psutil.Process]:
    """The shells of the standing lines at the nodes' side."""
    return [
        psutil.Process(int(number))
        for path in site.nodes.glob("*/*/*/.benchhub/line")
        for number in path.read_text().split()
    ]


def all_wait(shells: list[psutil.Process]) -> bool:
    """Whether the line of every slot has had a call of its own for a while: a short one would be over."""
    try:
        ages = [time.time() - min((child.create_time() for child in shell.children()), default=inf) for shell in shells]
    except psutil.NoSuchProcess:
        return False
    return len(ages) == len(SLOTS) and min(ages) > 1


def line_fifos(site: Any) -> list[Path]:
    """The FIFOs of the standing lines at the controller's side, whether they are there or not."""
    names = [hashlib.sha256(f"{site.folder.name}/{slot}".encode()).hexdigest()[:16] for slot in SLOTS]
    return [Path(site.controls, f"line-{name}.{end}") for name in names for end in ("in", "out")]


def test_every_slot_is_reached_through_its_own_connection(over_ssh: Any) -> None:
    site = over_ssh()
    played = site.play(STEPS.format(hosts="benchhub"))
    assert played.code == 0, played.output
    for number, slot in enumerate(("db", "loader-1", "loader-2"), start=1):
        connection, central, _user = made(site, slot).split("|")
        assert connection.split()[2] == f"127.0.1.{number}"
        assert central == "127.0.1.1"
        clock = played.hosts("Prepare")[slot]["clock"]
        assert clock == {"offset": 0.0, "uncertainty": 0.0, "used": 0.0, "same_kernel": True}
    site.assert_nothing_left()


def test_variables_of_the_source_vault_and_groups_reach_the_slot_and_no_file(over_ssh: Any, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("vault password")
    program = str(Path(sys.executable).with_name("ansible-vault"))
    command = [program, "encrypt_string", "--vault-id", str(tmp_path / "password"), "--stdin-name", "token"]
    text = subprocess.run(command, input="s3cret-of-vault", capture_output=True, text=True, check=True).stdout
    site = over_ssh()
    variables = site.folder / "group_vars"
    variables.mkdir()
    (variables / "database.yml").write_text(text)
    (site.folder / "job/t.j2").write_text("{{ token | length }} {{ ansible_port }}")
    (site.folder / "hosts.yml").write_text((site.folder / "hosts.yml").read_text().replace("lab.ini", "source/lab.ini"))
    (site.folder / "source").mkdir()
    shutil.move(site.folder / "lab.ini", site.folder / "source/lab.ini")
    shutil.move(variables, site.folder / "source/group_vars")
    plays = """
- name: Stage
  hosts: db
  gather_facts: false
  tasks:
    - name: Steps
      benchhub.bench.start:
        unit: u
        steps:
          - {name: make, shell: mkdir made}
          - {name: template, template: {src: t.j2, dest: made/who}}
      run_once: true
"""
    played = site.play(plays, "--vault-password-file", str(tmp_path / "password"))
    assert played.code == 0, played.output
    assert made(site, "db").split()[0] == str(len("s3cret-of-vault"))
    assert not [path for path in site.folder.rglob("*") if path.is_file() and b"s3cret-of-vault" in path.read_bytes()]


def test_an_unreachable_node_is_named_and_the_others_are_still_reported(over_ssh: Any) -> None:
    site = over_ssh("\n[loader:vars]\nansible_port=1\nansible_ssh_timeout=3\n")
    played = site.play("")
    assert played.code == 2
    hosts = played.hosts("Prepare")
    assert {slot: host["status"] for slot, host in hosts.items()} == {
        "db": "ok",
        "loader-1": "unreachable",
        "loader-2": "unreachable",
    }
    assert "loader-1: cannot be reached: " in played.tasks["Prepare"]["msg"]
    assert "Connection refused" in played.tasks["Prepare"]["msg"]
    again = site.play("\n- name: Nothing\n  hosts: db\n  gather_facts: false\n  tasks: []\n")
    assert again.code == 2  # a supervisor of this run is still there
    assert "already runs" in again.hosts("Prepare")["db"]["error"]


def test_the_same_run_can_be_finished_by_a_later_playbook(over_ssh: Any) -> None:
    site = over_ssh()
    finish = """
- name: Teardown
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Finish
      benchhub.bench.finish:
        dest: "{{ playbook_dir }}/collected"
      run_once: true
"""
    prepare = """
- name: Prepare
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Prepare
      benchhub.bench.prepare:
      run_once: true
"""
    assert site.play(prepare, around=False).code == 0
    lines = line_shells(site)
    assert len(lines) == 3
    first = site.play(finish, around=False)
    assert first.code == 0, first.output
    _gone, alive = psutil.wait_procs(lines, timeout=60)
    assert alive == []
    assert not [path for path in line_fifos(site) if path.exists()]
    assert (site.collected / "loader-2/supervisor.log").exists()
    second = site.play(finish, around=False)
    assert second.code == 0, second.output
    assert all(host["gone"] for host in second.hosts("Finish").values())
    site.assert_nothing_left()


@pytest.mark.parametrize("join", [False, True], ids=["join waits", "start waits"])
def test_a_stage_outlives_the_connection_that_waits_for_it(join: bool, over_ssh: Any) -> None:
    site = over_ssh()
    plays = f"""
- name: Stage
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Steps
      benchhub.bench.start:
        unit: u
        join: {str(join).lower()}
        steps:
          - name: until told
            shell: echo once >> begun; until [ -e go ]; do sleep 0.05; done
      run_once: true
    - name: Wait
      benchhub.bench.join:
        units: {{u: [benchhub]}}
      run_once: true
      when: {not join}
"""
    with site.start(plays) as playing:
        limit = time.monotonic() + 60
        while not all_wait(line_shells(site)) and time.monotonic() < limit and playing.poll() is None:
            time.sleep(0.05)
        assert all_wait(line_shells(site)), playing.communicate(timeout=120)[0]
        for shell in line_shells(site):
            for process in [shell, *shell.children(recursive=True)]:
                process.kill()
        for folder in site.nodes.glob("*/*/*/.benchhub"):
            assert (folder.parent / "begun").read_text() == "once\n"
            (folder.parent / "go").touch()
        output, _nothing = playing.communicate(timeout=120)
    assert playing.returncode == 0, output
    site.assert_nothing_left()


@pytest.mark.parametrize("where", ["inventory", "step"])
def test_another_user(where: str, over_ssh: Any) -> None:
    if pwd.getpwuid(0).pw_name != "root" or not shutil.which("su"):
        pytest.fail("this test needs su: install util-linux")
    if where == "inventory":
        become = "ansible_become=true ansible_become_method=ansible.builtin.su ansible_become_user=nobody"
        site = over_ssh(f"\n[database:vars]\n{become.replace(' ', chr(10))}\nansible_become_flags=-s /bin/sh\n")
        steps = STEPS.format(hosts="db")
    else:
        site = over_ssh()
        step = "- {name: own, shell: 'install -d -m 777 made'}\n          - user: nobody\n            name: write"
        steps = STEPS.format(hosts="db").replace("- name: write", step)
    played = site.play(steps)
    assert played.code == 0, played.output
    assert made(site, "db").split("|")[2] == "nobody"


def test_a_user_that_the_supervisor_may_not_become_is_told(over_ssh: Any) -> None:
    become = "ansible_become=true\nansible_become_method=ansible.builtin.su\nansible_become_user=nobody"
    site = over_ssh(f"\n[database:vars]\n{become}\nansible_become_flags=-s /bin/sh\n")
    played = site.play(STEPS.format(hosts="db").replace("- name: write", "- user: root\n            name: write"))
    assert played.code == 2
    assert "user root is asked for, but the supervisor is not root" in played.tasks["Steps"]["msg"]
