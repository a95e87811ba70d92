"""The scenarios of molecule/, each from nothing to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchhub_ansible.testing import engine as engines

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PROJECT = Path(__file__).parents[3]
SCENARIOS = sorted(path.parent.name for path in (PROJECT / "molecule").glob("*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, tmp_path: Path, docker_engine: engines.Engine) -> None:
    environment = {
        **docker_engine.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
        "MOLECULE_FIRST": "dependency",
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }
    done = molecule("test", scenario, environment)
    if done.returncode != 0:
        molecule("destroy", scenario, environment)  # a cleanup that failed keeps molecule from it
    assert done.returncode == 0, done.stdout[-8000:]


def molecule(verb: str, scenario: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "molecule", verb, "--scenario-name", scenario],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=400,
    )


def test_all_four_are_there() -> None:
    assert SCENARIOS == ["docker", "lost", "ready", "teardown"]
