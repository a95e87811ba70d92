"""The quickstart for real: PostgreSQL and pgbench on this machine, as another user, and on three ssh nodes."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import pwd
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchhub_ansible import resources
from benchhub_ansible.testing.leftovers import leftovers
from benchhub_ansible.testing.sshd import SshFarm
from tests.integration.conftest import variables

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[3]
JOB = ROOT / "examples" / "quickstart" / "job.yml"


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
    done = benchhub.call("run", JOB, *variables(port=free_port, seconds=2))
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    check(benchhub.result(), free_port, run)
    again = benchhub.call("report", run.name)
    assert again.returncode == 0
    assert "tps" in again.stdout


def test_on_three_ssh_nodes_without_an_edit(benchhub: Any, free_port: int, quick_python: Path, tmp_path: Path) -> None:
    given = variables(port=free_port, seconds=1, scale=1, python=quick_python)
    with SshFarm(tmp_path / "farm", 3) as farm:
        done = benchhub.call("run", JOB, "--on", f"inventory:{farm.inventory}", *given)
    assert done.returncode == 0, done.stdout
    result = benchhub.result()
    check(result, free_port, benchhub.run_folder())
    assert [node["address"] for node in result["nodes"]] == list(farm.addresses)


def test_on_a_pool_of_ssh_nodes_without_an_edit(
    benchhub: Any, free_port: int, quick_python: Path, tmp_path: Path
) -> None:
    with SshFarm(tmp_path / "farm", 3) as farm:
        lab = {
            "vars": {
                "ansible_port": farm.port,
                "ansible_user": getpass.getuser(),
                "ansible_ssh_private_key_file": str(farm.key),
                "ansible_ssh_common_args": f"""-o 'UserKnownHostsFile="{farm.directory}/known_hosts"'""",
            },
            "machines": [
                {"name": name, "address": address, "types": ["database", "loader"]}
                for name, address in zip(farm.hosts, farm.addresses, strict=True)
            ],
        }
        (tmp_path / "lab.yml").write_text(json.dumps(lab))
        where = ("--on", f"pool:{tmp_path / 'lab.yml'}")
        done = benchhub.call("run", JOB, *where, *variables(port=free_port, seconds=1, scale=1, python=quick_python))
        assert done.returncode == 0, done.stdout
        listed = benchhub.call("nodes", *where)
    check(benchhub.result(), free_port, benchhub.run_folder())
    assert [line.split()[3] for line in listed.stdout.splitlines()[1:]] == ["free"] * 3


def normal() -> dict[str, Any]:
    """How subprocess starts a normal user's program: nobody's for root, else of who runs the tests."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def readable_python() -> str:
    """A Python that every user may start: a checkout's own often lies in the home of root."""
    for program in (Path("/usr/bin/python3"), Path(sys.executable).resolve()):
        check = [str(program), "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"]
        with contextlib.suppress(OSError):
            if subprocess.run(check, cwd="/", **normal(), check=False).returncode == 0:
                return str(program)
    pytest.fail("no Python 3.11 that other users may start: install python3 and python3-venv")


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of a normal user, with benchhub installed from this checkout; not below /root."""
    home = Path("/var/tmp") / f"benchhub-test-{uuid.uuid4().hex[:8]}"
    home.mkdir(mode=0o755)
    try:
        source = home / "source"
        kept = shutil.ignore_patterns(".*", "runs", "__pycache__", "node_modules", "*.pyc")
        shutil.copytree(ROOT, source, ignore=kept, symlinks=True)
        subprocess.run([readable_python(), "-m", "venv", home / "venv"], check=True, timeout=120)
        install = [f"{home}/venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", str(source)]
        subprocess.run(install, check=True, cwd=home, timeout=300, umask=0o022)
        shutil.copyfile(JOB, home / "job.yml")
        if normal():
            shutil.chown(home, "nobody")
        yield home
    finally:
        shutil.rmtree(home)


def test_as_a_normal_user(free_port: int, home: Path) -> None:
    uid = pwd.getpwnam("nobody").pw_uid if normal() else os.geteuid()
    command = [f"{home}/venv/bin/benchhub", "run", "job.yml", "--var", f"port={free_port}", "--var", "seconds=1"]
    done = subprocess.run(
        command,
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        **normal(),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (home / "runs").glob("2*")
    assert run.stat().st_uid == uid
    result = json.loads((run / "result.json").read_text())
    check(result, free_port, run)
    assert {node["facts"]["uid"] for node in result["nodes"]} == {uid}
