"""One folder a case: a job in both notations, its plan, and the playbooks of both profiles.

`pytest tests/golden/compile --update-golden` writes what is expected anew; read the diff before you commit it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchhub_ansible.job.load import load_file
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_from_data, plan_to_data
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook.folder import PROFILES, project_files

CASES = sorted(path for path in Path(__file__).parent.iterdir() if (path / "job.yml").is_file())


def _plan(case: Path, name: str = "job.yml") -> Plan:
    return make_plan(load_file(case / name).job)


def _written(case: Path, profile: str) -> dict[str, str]:
    folder = case / profile
    return {str(p.relative_to(folder)): p.read_text("utf-8") for p in sorted(folder.rglob("*")) if p.is_file()}


def _expected_files(made: Plan, profile: str) -> dict[str, str]:
    """Everything but what is the same in every case."""
    files = project_files(made, profile=profile)
    return {path: text for path, text in files.items() if path.endswith(".yml")}


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden", default=False))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan(case: Path, *, update: bool) -> None:
    made = _plan(case)
    path = case / "plan.json"
    if update:
        path.write_text(json.dumps(plan_to_data(made), indent=1, ensure_ascii=False) + "\n", "utf-8")
    expected = json.loads(path.read_text("utf-8"))
    assert plan_to_data(made) == json.loads(json.dumps(expected))
    assert plan_from_data(expected) == made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_brace_twin_has_the_same_plan(case: Path) -> None:
    assert _plan(case, "job.job").hash == _plan(case).hash


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_playbooks(case: Path, profile: str, *, update: bool) -> None:
    files = _expected_files(_plan(case), profile)
    if update:
        shutil.rmtree(case / profile, ignore_errors=True)
        for path, text in files.items():
            (case / profile / path).parent.mkdir(parents=True, exist_ok=True)
            (case / profile / path).write_text(text, "utf-8")
    assert _written(case, profile) == files
