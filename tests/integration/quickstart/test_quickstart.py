"""The quickstart for real: PostgreSQL and pgbench on this machine, as another user, and on three ssh nodes."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchhub_ansible import resources
from benchhub_ansible.testing.leftovers import leftovers
from benchhub_ansible.testing.sshd import SshFarm

pytestmark = pytest.mark.real

JOB = Path(__file__).parents[3] / "examples" / "quickstart" / "job.yml"


def check(result: dict[str, Any], port: int, run: Path) -> None:
    """Holds for every successful run of the quickstart, wherever it ran."""
    jsonschema.validate(result, json.loads(resources.schema("result").read_text()))
    assert result["verdict"]["status"] == "success"
    samples = [s for s in result["samples"] if s["metric"] == "tps"]
    assert [s["slot"] for s in samples] == ["loader-1", "loader-2"]
    assert all(s["valid"] and s["value"] > 0 for s in samples)
    (total,) = [a for a in result["aggregates"] if a["metric"] == "tps"]
    assert total["value"] == pytest.approx(sum(s["value"] for s in samples))
    (rows,) = [s for s in result["samples"] if s["metric"] == "rows"]
    (transactions,) = [a for a in result["aggregates"] if a["metric"] == "transactions"]
    assert rows["value"] == transactions["value"], "what the loaders sent is not what the database holds"
    assert (run / "report.md").read_text().startswith("# ")
    assert leftovers(run.name, port) == []


def test_on_this_machine(benchhub: Any, free_port: int) -> None:
    done = benchhub.call("run", JOB, "--var", f"port={free_port}", "--var", "seconds=2")
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    check(benchhub.result(), free_port, run)
    again = benchhub.call("report", run.name)
    assert again.returncode == 0
    assert "tps" in again.stdout


def test_on_three_ssh_nodes_without_an_edit(benchhub: Any, free_port: int, tmp_path: Path) -> None:
    with SshFarm(tmp_path / "farm", 3) as farm:
        done = benchhub.call(
            "run", JOB, "--on", f"inventory:{farm.inventory}", "--var", f"port={free_port}", "--var", "seconds=2"
        )
    assert done.returncode == 0, done.stdout
    result = benchhub.result()
    check(result, free_port, benchhub.run_folder())
    assert [node["address"] for node in result["nodes"]] == list(farm.addresses)


def may_start(program: str, user: pwd.struct_passwd) -> bool:
    """Whether that user can reach benchhub through all folders above it: a checkout may lie in root's home."""
    try:
        command = [program, "-c", "import benchhub_ansible.cli.main"]
        done = subprocess.run(command, cwd="/", user=user.pw_uid, group=user.pw_gid, extra_groups=[], check=False)
    except PermissionError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_a_normal_user(free_port: int, tmp_path: Path) -> None:
    home = Path("/var/tmp") / f"benchhub-test-{os.getpid()}"  # nobody can reach it, unlike pytest's folders of root
    home.mkdir(mode=0o755)
    try:
        nobody = pwd.getpwnam("nobody")
        if not may_start(sys.executable, nobody):
            pytest.skip(f"{sys.executable} cannot be reached by another user")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        shutil.copyfile(JOB, home / "job.yml")
        command = [sys.executable, "-m", "benchhub_ansible.cli.main", "run", str(home / "job.yml")]
        done = subprocess.run(
            [*command, "--var", f"port={free_port}", "--var", "seconds=1"],
            cwd=home,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = (home / "runs").glob("2*")
        check(json.loads((run / "result.json").read_text()), free_port, run)
    finally:
        shutil.rmtree(home)
