"""Verbs that need no run, or only the folder of one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchhub_ansible.cli.main import run_cli
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Journal


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "20260101-000000-job-0001")
    folder.create()
    with Journal(folder.journal, redact=lambda data: data, listener=lambda _entry: None) as journal:
        journal.write("run-begin", job="job")
    return folder


def test_nodes_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["nodes"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["node", "type", "address", "held", "facts"]
    assert f"cpus={os.cpu_count()}" in row
    assert run_cli(["nodes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"][0]["address"] == "127.0.0.1"


def test_nodes_of_an_inventory_from_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hosts.ini").write_text("[loader]\nh1 ansible_host=192.0.2.1\n")
    (tmp_path / "benchhub.yml").write_text("on: inventory:hosts.ini\n")
    assert run_cli(["nodes"]) == 0
    assert "h1    loader  192.0.2.1  free" in capsys.readouterr().out


def test_doctor_tells_of_plugins_and_of_lost_runs(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(["doctor", "--json"])
    findings = {f["what"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["scheduler local"]["state"] == "ok"
    assert findings["--on inventory"]["state"] == "ok"
    assert findings["ansible-core"]["state"] == "ok"
    assert f"benchhub recover {folder.run_id}" in findings[f"run {folder.run_id}"]["says"]


@pytest.mark.parametrize("verb", ["status", "logs", "stop", "recover"])
def test_no_runs_is_a_usage_error(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([verb]) == 2
    assert "no run" in capsys.readouterr().err


def test_logs_shows_what_steps_printed(folder: RunFolder, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for slot, unit, text in (("db", "cassandra", b"\xff up\n"), ("loader-1", "load", b"wps=1\n")):
        unit_dir = folder.collected / slot / "units" / unit
        unit_dir.mkdir(parents=True)
        (unit_dir / "01.out").write_bytes(text)
        (unit_dir / "01.err").write_bytes(b"")
    assert run_cli(["logs"]) == 0
    assert capfdbinary.readouterr().out == (
        b"==> db/units/cassandra/01.out <==\n\xff up\n==> loader-1/units/load/01.out <==\nwps=1\n"
    )
    assert run_cli(["logs", "--slot", "loader-1", "--unit", "load"]) == 0
    assert capfdbinary.readouterr().out == b"==> loader-1/units/load/01.out <==\nwps=1\n"
    assert run_cli(["logs", "--slot", "loader-9"]) == 2
    assert run_cli(["logs", "--list"]) == 0
    assert b"/collected/db/units/cassandra/01.out" in capfdbinary.readouterr().out


def test_a_dead_run_is_not_stopped_but_recovered(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["stop"]) == 2
    assert f"benchhub recover {folder.run_id}" in capsys.readouterr().err
