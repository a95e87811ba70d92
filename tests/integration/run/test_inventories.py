"""A job on an inventory as teams have them: a script for the hosts, vaulted variables, hosts of several groups."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers
from benchhub_ansible.testing.sshd import SshFarm

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: on an inventory
nodes:
  loader: {type: loader}
  db: {type: database}
stages:
  - {name: say, nodes: all, tasks: [{shell: 'echo ${node.name} at ${node.address}'}]}
pipeline: [[say]]
"""
SECRET = "vaulted-hunter2"
ENCRYPT = "import sys; sys.argv = ['ansible-vault', *sys.argv[1:]]; from ansible.cli.vault import main; main()"


def inventory(folder: Path, farm: SshFarm) -> None:
    """A folder: a script that tells the hosts, and group variables that are encrypted as a whole."""
    hosts = dict(zip(farm.hosts, farm.addresses, strict=True))
    both, only = farm.hosts
    listed = {
        "loader": {"hosts": [both, only]},  # the first one that fits is the only database
        "database": {"hosts": [both]},
        "_meta": {"hostvars": {host: {"ansible_host": address} for host, address in hosts.items()}},
    }
    folder.mkdir()
    script = folder / "hosts"
    asked = shlex.quote(str(folder.parent / "asked"))
    script.write_text(f'#!/bin/sh\necho "$*" >> {asked}\necho {shlex.quote(json.dumps(listed))}\n')
    script.chmod(0o755)
    variables = folder / "group_vars" / "all.yml"
    variables.parent.mkdir()
    values = {
        "ansible_port": farm.port,
        "ansible_ssh_private_key_file": str(farm.key),
        "ansible_ssh_common_args": f"""-o 'UserKnownHostsFile="{farm.directory}/known_hosts"'""",
        "team_password": SECRET,
    }
    variables.write_text(json.dumps(values))
    password = folder.parent / "password"
    password.write_text("open sesame\n")
    command = [sys.executable, "-c", ENCRYPT, "encrypt", "--vault-password-file", str(password), str(variables)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert variables.read_text().startswith("$ANSIBLE_VAULT")


def test_a_script_vaulted_variables_and_a_host_of_two_groups(benchhub: Any, tmp_path: Path) -> None:
    (benchhub.folder / "job.yml").write_text(JOB)
    with SshFarm(tmp_path / "farm", 2) as farm:
        inventory(benchhub.folder / "lab", farm)
        where = ("--on", "inventory:lab", "--ansible-arg=--vault-password-file", "--ansible-arg=password")
        done = benchhub.call("run", "job.yml", *where)
        assert done.returncode == 0, done.stdout
        run = benchhub.run_folder()
        both, only = farm.addresses
    assert {node["slot"]: node["address"] for node in benchhub.result()["nodes"]} == {"loader-1": only, "db": both}
    assert (run / "collected/db/units/say/01.out").read_text() == f"db at {both}\n"
    # a second answer might have other hosts than those that were chosen from the first
    assert (benchhub.folder / "asked").read_text() == "--list\n"
    told = [path for path in run.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert told == [], "a vaulted value was written down"
    assert leftovers(run.name) == []


def test_a_vault_without_its_password_is_told(benchhub: Any, tmp_path: Path) -> None:
    (benchhub.folder / "job.yml").write_text(JOB)
    with SshFarm(tmp_path / "farm", 2) as farm:
        inventory(benchhub.folder / "lab", farm)
    done = benchhub.call("run", "job.yml", "--on", "inventory:lab")
    assert done.returncode == 5, done.stdout
    assert "vault" in done.stdout.lower()
    assert not benchhub.runs.exists(), "nothing was begun"
