from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchhub_ansible.cli.compile import compile_command
from benchhub_ansible.cli.plan import plan
from benchhub_ansible.errors import BenchhubError, SchedulerError, UsageError
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.job.load import load_file
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_from_data, plan_to_data
from benchhub_ansible.schedulers.base import Allocation
from benchhub_ansible.schedulers.local import LocalScheduler
from tests.unit.plan.jobs import EVERYTHING, HEAD, NODES


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    path = tmp_path / "job.yml"
    path.write_text(HEAD + NODES + EVERYTHING)
    return path


def _plan(*arguments: str) -> Result:
    return CliRunner().invoke(plan, list(arguments), catch_exceptions=False)


def test_the_table_shows_commands_checks_and_limits(job: Path) -> None:
    shown = _plan(str(job)).stdout
    assert "Nodes: db (1, database), loader (2, loader); central: db" in shown
    for text in ("roll (one by one)", "docker run --name kv", "at most 1h", "tried again 3 times, 2s apart"):
        assert text in shown
    assert "\x1b" not in shown
    assert "stop commanded-threads-1-w1" in shown
    assert "cleanup" in shown


def test_json_is_the_plan(job: Path) -> None:
    made = plan_from_data(json.loads(_plan(str(job), "--json").stdout))
    assert made.job == "test"


def test_mermaid_is_a_flowchart(job: Path) -> None:
    assert _plan(str(job), "--mermaid").stdout.startswith("flowchart TB\n")


def test_diff_against_a_compiled_folder(job: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = CliRunner().invoke(compile_command, [str(job), "-o", str(out)], catch_exceptions=False)
    assert made.exit_code == 0
    assert "nothing that runs has changed" in _plan(str(job), "--diff", str(out)).stdout
    job.write_text(job.read_text().replace("echo 3", "echo 4"))
    assert "echo 4" in _plan(str(job), "--diff", str(out / "plan.json")).stdout
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(BenchhubError, match="version None"):
        _plan(str(job), "--diff", str(tmp_path))


def test_diff_against_a_run_by_its_name(job: Path, tmp_path: Path) -> None:
    (tmp_path / "benchhub.yml").write_text("runs_dir: kept\n")
    for number in (1, 2):
        folder = RunFolder(tmp_path / "kept" / f"2026010{number}-000000-test-000{number}")
        folder.create()
        folder.write_json(folder.plan, plan_to_data(make_plan(load_file(job).job)))
        job.write_text(job.read_text().replace(f"echo {number}", f"echo {number}{number}"))
    for name in ("latest", "20260102", "0002", str(tmp_path / "kept" / "20260102-000000-test-0002")):
        shown = _plan(str(job), "--diff", name).stdout
        assert "echo 22" in shown
        assert "echo 11" not in shown.replace("echo 1\n", "")
    with pytest.raises(UsageError, match="could be 2 runs"):
        _plan(str(job), "--diff", "2026")
    with pytest.raises(UsageError, match="there is no run 'none'"):
        _plan(str(job), "--diff", "none")
    with pytest.raises(UsageError, match="there are no runs in"):
        _plan(str(job), "--diff", "latest", "--runs-dir", str(tmp_path / "other"))


def test_views_do_not_go_together(job: Path) -> None:
    with pytest.raises(UsageError, match="do not go together"):
        _plan(str(job), "--json", "--mermaid")


def test_compile_writes_a_folder_that_runs_and_only_over_its_own(job: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for profile in ("default", "portable", "portable"):
        made = CliRunner().invoke(
            compile_command, [str(job), "-o", str(out), "--profile", profile], catch_exceptions=False
        )
        assert "site.yml" in made.stdout
    assert (out / "project/stages/files/node.sh").is_file()
    assert "loader-2" in (out / "inventory/hosts.yml").read_text()
    with pytest.raises(UsageError, match="not a folder that benchhub has compiled"):
        CliRunner().invoke(compile_command, [str(job), "-o", str(tmp_path)], catch_exceptions=False)


def test_compile_takes_no_node_that_must_be_given_back(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []

    def acquire(*_: object, **__: object) -> Allocation:
        return Allocation(id="lease", scheduler="local", nodes=(), owned=True)

    monkeypatch.setattr(LocalScheduler, "acquire", acquire)
    monkeypatch.setattr(LocalScheduler, "release", lambda _, allocation: released.append(allocation.id))
    with pytest.raises(SchedulerError, match="leased for one run"):
        CliRunner().invoke(compile_command, [str(job), "-o", str(tmp_path / "out")], catch_exceptions=False)
    assert released == ["lease"]
    assert not (tmp_path / "out").exists()
