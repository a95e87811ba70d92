"""The example of a scheduler plugin, installed from its own package: it keeps the contract, and runs a job."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "scheduler-plugin"
JOB = """\
version: 2
name: on a plugin
nodes: {worker: {type: worker, count: 2}}
stages: [{name: say, nodes: {type: worker}, tasks: [{shell: echo here}]}]
pipeline: [[say]]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the package into, from a copy: building writes beside the sources."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, folder / "sources")
    target = folder / "installed"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    done = call(*pip, "--target", target, folder / "sources", cwd=folder)
    assert done.returncode == 0, done.stdout
    return target


def call(*command: str | Path, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "ANSIBLE_"))}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def benchhub(*arguments: str | Path, cwd: Path, path: Path) -> str:
    done = call("-m", "benchhub_ansible.cli.main", *arguments, cwd=cwd, path=path)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_its_own_tests_pass_with_the_published_contract(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    done = call("-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "tests", cwd=tmp_path, path=installed)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1\d passed", done.stdout), done.stdout


def test_a_job_runs_on_it(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    rows = (f"w{n} worker 127.0.0.1 ansible_connection=local\n" for n in (1, 2))
    (tmp_path / "hosts.txt").write_text("".join(rows))
    where = f"hostfile:{tmp_path / 'hosts.txt'}"
    said = benchhub("run", "job.yml", "--on", where, cwd=tmp_path, path=installed)
    assert "report: " in said
    listed = benchhub("nodes", "--on", where, cwd=tmp_path, path=installed)
    assert listed.count("free") == 2
    assert "--on hostfile" in benchhub("doctor", cwd=tmp_path, path=installed)
