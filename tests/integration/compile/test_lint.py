"""What is compiled passes ansible-lint's production profile and ansible-playbook's syntax check, in both profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchhub_ansible import resources
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook.folder import write_project
from benchhub_ansible.playbook.inventory import inventory
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.local import LocalScheduler
from tests.unit.plan.jobs import EVERYTHING, plan

pytestmark = pytest.mark.real
BIN = Path(sys.executable).parent
GOLDEN = Path(__file__).parents[2] / "golden" / "compile"


def _plans() -> dict[str, Plan]:
    from benchhub_ansible.job.load import load_file  # noqa: PLC0415 - only when the cases are read

    cases = {job.parent.name: make_plan(load_file(job).job) for job in sorted(GOLDEN.glob("*/job.yml"))}
    return {"everything": plan(EVERYTHING), **cases}


def _run(*argv: str, cwd: Path, home: Path) -> str:
    environment = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=840)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _compile(made: Plan, folder: Path, profile: str) -> Path:
    write_project(made, folder, profile=profile, collections=resources.collections())
    role = folder / "project" / "roles" / "myrole" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text("---\n- name: Do nothing\n  ansible.builtin.debug:\n    msg: nothing\n")
    allocation = LocalScheduler().acquire(Request.of(made), run_id="x", progress=print, cancelled=lambda: False)
    (folder / "inventory").mkdir()
    (folder / "inventory" / "hosts.yml").write_bytes(inventory(made, allocation, run_id="x", job_dir="/tmp"))
    return folder / "project"


@pytest.mark.parametrize("profile", ["default", "portable"])
def test_every_case_is_valid_syntax(profile: str, tmp_path: Path) -> None:
    """In one call for all of them: most of its time is Ansible's start."""
    projects = [_compile(made, tmp_path / name, profile) for name, made in _plans().items()]
    playbooks = [str(project / name) for project in projects for name in ("site.yml", "stages.yml", "teardown.yml")]
    inventories = [part for project in projects for part in ("-i", str(project.parent / "inventory" / "hosts.yml"))]
    argv = [str(BIN / "ansible-playbook"), *inventories, *playbooks, "--syntax-check"]
    said = _run(*argv, cwd=projects[0], home=tmp_path)
    assert [line for line in said.splitlines() if line.startswith("playbook: ")] == [
        f"playbook: {p}" for p in playbooks
    ]


@pytest.mark.timeout(900)  # a minute on a quiet machine
@pytest.mark.parametrize("profile", ["default", "portable"])
def test_lint_finds_nothing(profile: str, tmp_path: Path) -> None:
    # lint has Ansible check each playbook by itself, and another turn of the same stages has nothing new
    once = EVERYTHING.replace(
        'repeat: 2\n    warmup: 1\n    matrix: {threads: [1, "8 x"]}', 'matrix: {threads: ["8 x"]}'
    )
    assert once != EVERYTHING
    project = _compile(plan(once), tmp_path / "out", profile)
    # site.yml imports all there is; without a name, lint would also read the copy of our collection
    argv = [str(BIN / "ansible-lint"), "--profile", "production", "--offline", "--nocolor", "site.yml"]
    _run(*argv, cwd=project, home=tmp_path)
