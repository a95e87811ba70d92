from __future__ import annotations

from pathlib import Path

import pytest

from benchhub_ansible import resources
from benchhub_ansible.errors import UsageError
from benchhub_ansible.playbook.folder import MARKER, own, project_files, write_project
from tests.unit.plan.jobs import EVERYTHING, plan


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("profile", ["default", "portable"])
def test_the_same_plan_gives_the_same_bytes(profile: str, tmp_path: Path) -> None:
    for name in ("a", "b b"):
        write_project(plan(EVERYTHING), tmp_path / name, profile=profile, collections=resources.collections())
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b b")
    written = _bytes(tmp_path / "a" / "project")
    assert ("stages/files/node.sh" in written) == (profile == "portable")
    collection = [path for path in written if path.startswith("collections/")]
    assert ("collections/ansible_collections/benchhub/bench/plugins/action/start.py" in written) == (
        profile == "default"
    )
    assert "collections/ansible_collections/benchhub/bench/plugins/inventory/slots.py" in collection
    assert not any("__pycache__" in path for path in collection)


def test_writing_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    write_project(plan(EVERYTHING), tmp_path, profile="default", collections=resources.collections())
    small = plan("stages: [{name: s, nodes: db, tasks: [shell: ls]}]\npipeline: [[s]]")
    write_project(small, tmp_path, profile="portable", collections=resources.collections())
    written = {path for path in _bytes(tmp_path / "project") if not path.startswith("collections/")}
    assert written == set(project_files(small, profile="portable"))


def test_roles_beside_the_job_are_copied(tmp_path: Path) -> None:
    role = tmp_path / "job" / "roles" / "myrole" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text("---\n[]\n")
    write_project(
        plan(EVERYTHING),
        tmp_path / "out",
        profile="portable",
        collections=resources.collections(),
        job_dir=tmp_path / "job",
    )
    assert (tmp_path / "out/project/roles/myrole/tasks/main.yml").is_file()


def test_a_folder_is_taken_only_when_it_is_empty_or_ours(tmp_path: Path) -> None:
    own(tmp_path / "new" / "deep")
    own(tmp_path / "new" / "deep")
    (tmp_path / "empty").mkdir()
    own(tmp_path / "empty")
    assert (tmp_path / "empty" / MARKER).is_file()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not a folder that benchhub has compiled"):
        own(tmp_path / "theirs")
    with pytest.raises(UsageError, match="is a file"):
        own(tmp_path / "theirs" / "thesis.tex")
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["thesis.tex"]


def test_a_profile_that_does_not_exist_is_told() -> None:
    with pytest.raises(UsageError, match="no profile 'x'"):
        project_files(plan(EVERYTHING), profile="x")
