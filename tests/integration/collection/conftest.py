"""Real playbooks, run by the ansible-playbook of this environment against real nodes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.resources import collections
from benchhub_ansible.testing.sshd import SshFarm

SLOTS = {
    "db": {"type": "database", "node": "db", "index": 0},
    "loader-1": {"type": "loader", "node": "loader", "index": 0},
    "loader-2": {"type": "loader", "node": "loader", "index": 1},
}

PREPARE = """
- name: Prepare
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Prepare
      benchhub.bench.prepare:
        lease: 30
        retention: 1
      run_once: true
"""

FINISH = """
- name: Teardown
  hosts: benchhub
  gather_facts: false
  tasks:
    - name: Finish
      benchhub.bench.finish:
        dest: "{{ playbook_dir }}/collected"
        collect: {benchhub: ["made/*"]}
      run_once: true
"""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of one ansible-playbook: its exit code, all it printed, and the result of each of our tasks by name."""

    code: int
    output: str
    tasks: Mapping[str, dict[str, Any]]

    def hosts(self, task: str) -> dict[str, Any]:
        return dict(self.tasks[task]["benchhub"]["hosts"])


@dataclass(kw_only=True)
class Site:
    """A folder with an inventory; ``play`` adds prepare and finish around the plays it is given."""

    folder: Path
    inventory: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> Path:
        return self.folder / "nodes"

    @property
    def controls(self) -> str:
        """The folder for ssh's control sockets; short, as the path of a socket has to be."""
        return f"/tmp/bh-{os.getpid()}"

    @property
    def collected(self) -> Path:
        return self.folder / "collected"

    def play(self, plays: str, *options: str, around: bool = True) -> Played:
        process = self.start(plays, *options, around=around)
        output, _nothing = process.communicate(timeout=120)
        results = [json.loads(line) for line in (self.folder / "results.jsonl").read_text().splitlines()]
        return Played(
            code=process.returncode,
            output=output,
            tasks={result["task"]: result["result"] for result in results},
        )

    def start(self, plays: str, *options: str, around: bool = True) -> subprocess.Popen[str]:
        playbook = self.folder / "site.yml"
        playbook.write_text("---" + (PREPARE + plays + FINISH if around else plays))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.inventory), str(playbook)]
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(collections()),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": self.controls,
            "ANSIBLE_NOCOLOR": "1",
            "BENCHHUB_TEST_RESULTS": str(self.folder / "results.jsonl"),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "bench_results",
            **self.env,
        }
        (self.folder / "results.jsonl").write_text("")
        return subprocess.Popen(
            [*command, *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def assert_nothing_left(self) -> None:
        assert list(self.nodes.rglob("benchhub-*")) == []
        marker = re.compile(rb"BENCHHUB_UNIT=" + self.folder.name.encode())
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                assert not marker.search(environ.read_bytes()), environ
            except OSError:
                continue


def run_vars(folder: Path) -> dict[str, Any]:
    return {
        "benchhub_run_id": folder.name,
        "benchhub_central": "db",
        "benchhub_node_dir": str(folder / "nodes"),
        "benchhub_run_dir": "{{ benchhub_node_dir }}/benchhub-{{ benchhub_run_id }}/{{ inventory_hostname }}",
        "benchhub_job_dir": str(folder / "job"),
        "benchhub_secrets": {"TOKEN": {"env": "TOKEN"}},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the run's id as its name, which other users can reach into (pytest's own they cannot)."""
    with tempfile.TemporaryDirectory(prefix="benchhub-test-") as top:
        Path(top).chmod(0o755)
        made = Path(top, f"run-{tmp_path.parent.name}-{uuid.uuid4().hex[:8]}")
        for part in (made, made / "nodes", made / "job"):
            part.mkdir()
        yield made


@pytest.fixture
def local(folder: Path) -> Site:
    """Three slots on this machine, without ssh."""
    hosts = {
        name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": "/usr/bin/python3",
            "benchhub_address": "127.0.0.1",
            **{f"benchhub_{key}": value for key, value in slot.items()},
        }
        for name, slot in SLOTS.items()
    }
    groups: dict[str, Any] = {
        kind: {"hosts": {n: {} for n, s in SLOTS.items() if s["type"] == kind}} for kind in ("database", "loader")
    }
    inventory = {
        "all": {
            "vars": run_vars(folder),
            "children": {"benchhub": {"hosts": hosts}, **groups, "benchhub_failed": {}},
        }
    }
    path = folder / "hosts.yml"
    path.write_text(json.dumps(inventory))
    return Site(folder=folder, inventory=path)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshFarm]:
    with SshFarm(tmp_path_factory.mktemp("farm"), 3) as farm:
        yield farm


SiteMaker = Callable[..., Site]


@pytest.fixture
def over_ssh(farm: SshFarm, folder: Path) -> SiteMaker:
    """Makes a Site whose three slots are sshd nodes, through the inventory plugin; ``source`` is added to the source.

    Each slot has a node folder of its own, as on real machines: their login users may differ.
    """

    def make(source: str = "", *, env: Mapping[str, str] | None = None) -> Site:
        for slot in SLOTS:
            (folder / "nodes" / slot).mkdir()
            (folder / "nodes" / slot).chmod(0o777)
        user_inventory = folder / "lab.ini"
        user_inventory.write_text(farm.inventory.read_text() + source)
        slots = {name: {"host": host, **SLOTS[name]} for name, host in zip(SLOTS, farm.hosts, strict=True)}
        path = folder / "hosts.yml"
        path.write_text(
            json.dumps(
                {
                    "plugin": "benchhub.bench.slots",
                    "source": str(user_inventory),
                    "slots": slots,
                    "vars": {**run_vars(folder), "benchhub_node_dir": f"{folder}/nodes/{{{{ inventory_hostname }}}}"},
                }
            )
        )
        return Site(folder=folder, inventory=path, env=dict(env or {}))

    return make
