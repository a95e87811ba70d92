"""The built wheel, in a fresh venv: it carries the schemas and the collection, and the command runs a job."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANSIBLE"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh venv that has the wheel and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "a venv"
    venv.create(environment, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    call(*pip, "install", "--quiet", "--no-compile", wheel, cwd=folder)
    return environment / "bin"


def test_the_wheel_knows_its_version_and_its_schemas(installed: Path, tmp_path: Path) -> None:
    assert "0.1.0" in call(installed / "benchhub", "--version", cwd=tmp_path)
    assert '"$schema"' in call(installed / "benchhub", "schema", "job", cwd=tmp_path)
    assert '"$schema"' in call(installed / "benchhub", "schema", "result", cwd=tmp_path)


def test_a_new_job_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    call(installed / "benchhub", "init", "my job", cwd=tmp_path)
    call(installed / "benchhub", "run", "my job/job.yml", cwd=tmp_path)
    (run,) = (tmp_path / "runs").glob("2*")
    assert (run / "result.json").exists()
    assert (run / "report.md").exists()


def test_the_compiled_folder_carries_the_collection(installed: Path, tmp_path: Path) -> None:
    call(installed / "benchhub", "init", "job", cwd=tmp_path)
    call(installed / "benchhub", "compile", "job/job.yml", "-o", "compiled", cwd=tmp_path)
    collection = tmp_path / "compiled" / "project" / "collections" / "ansible_collections" / "benchhub" / "bench"
    assert (collection / "plugins" / "action" / "start.py").is_file()
    assert (collection / "meta" / "runtime.yml").is_file()
    call(installed / "ansible-playbook", "-i", "inventory/hosts.yml", "project/site.yml", cwd=tmp_path / "compiled")
