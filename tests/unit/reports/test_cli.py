from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchhub_ansible.cli.compare import compare
from benchhub_ansible.cli.history import history
from benchhub_ansible.cli.report import report
from benchhub_ansible.errors import UsageError

GOLDEN = Path(__file__).parents[2] / "golden" / "report"
GOOD, BAD = "20261123-193012-kv-7f3a", "20261124-080000-kv-0001"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN / "success" / "run", tmp_path / "runs" / GOOD)
    shutil.copytree(GOLDEN / "database-dead" / "run", tmp_path / "runs" / BAD)
    journal = tmp_path / "runs" / BAD / "journal.jsonl"
    journal.write_text(journal.read_text().replace(GOOD, BAD))
    (tmp_path / "runs" / "20261125-080000-kv-0002").mkdir()  # made and never used
    return tmp_path / "runs"


def invoke(command: object, *args: str) -> Result:
    return CliRunner().invoke(command, args)  # type: ignore[arg-type]


def test_report_prints_and_writes_nothing(runs: Path) -> None:
    before = sorted(runs.rglob("*"))
    result = invoke(report, GOOD, "--runs-dir", str(runs))
    assert result.exit_code == 0
    assert result.output.startswith("SUCCESS (exit code 0)\n")
    assert "\x1b" not in result.output
    assert sorted(runs.rglob("*")) == before


def test_report_by_path_and_beginning(runs: Path) -> None:
    for name in (GOOD[:12], str(runs / GOOD)):
        result = invoke(report, name, "--format", "markdown", "--runs-dir", str(runs))
        assert result.output == (GOLDEN / "success" / "report.md").read_text()


def test_report_into_a_file(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    result = invoke(report, GOOD, "--format", "json", "-o", str(out), "--runs-dir", str(runs))
    assert (result.exit_code, result.output) == (0, "")
    assert out.read_text() == (GOLDEN / "success" / "result.json").read_text()


def test_what_a_user_can_get_wrong(runs: Path, tmp_path: Path) -> None:
    common = ("--runs-dir", str(runs))
    for args in (("nonsense",), (GOOD, "--format", "pdf"), (GOOD, "-o", str(tmp_path / "no" / "where"))):
        assert isinstance(invoke(report, *args, *common).exception, UsageError)


def test_history(runs: Path) -> None:
    text = invoke(history, "--runs-dir", str(runs)).output
    assert text.splitlines()[0] == f"{GOOD}  success"
    assert "    load threads=8: tps (sum): 1900.5 tx/s (n=3)" in text
    assert text.splitlines()[-1] == f"{BAD}  invalid"  # and none of its values
    rows = json.loads(invoke(history, "--json", "--runs-dir", str(runs)).output)
    assert [row["verdict"] for row in rows] == ["success", "invalid"]
    assert "There are no runs" in invoke(history, "--runs-dir", str(runs / "none")).output


def test_compare(runs: Path) -> None:
    text = invoke(compare, GOOD, BAD, "--runs-dir", str(runs)).output
    assert "load threads=8: tps (sum): 1900.5 tx/s → missing" in text
    assert f"warning: {BAD} is invalid: its values are no result" in text
    assert text.endswith("whether it is more than noise is not tested yet.\n")
    same = json.loads(invoke(compare, GOOD, GOOD, "--json", "--runs-dir", str(runs)).output)
    assert same["warnings"] == []
    row = next(row for row in same["values"] if row["metric"] == "load threads=8: tps (sum)")
    assert (row["first"], row["difference"], row["change"]) == (1900.5, 0, 0)


def test_compare_warns_of_different_plans(runs: Path) -> None:
    path = runs / BAD / "plan.json"
    path.write_text(path.read_text().replace("c0ffee", "decaf"))
    assert "different plans" in invoke(compare, GOOD, BAD, "--runs-dir", str(runs)).output
