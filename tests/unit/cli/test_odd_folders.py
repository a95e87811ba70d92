"""Run folders as nobody meant them: every verb gives one clear error or what there is, never a traceback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.cli.main import run_cli
from benchhub_ansible.plan.data import plan_to_data
from tests.unit.plan.jobs import plan

RUN = "20260101-000000-job-0001"
PLAN = json.dumps(
    plan_to_data(plan("stages: [{name: load, nodes: all, tasks: [{shell: 'true'}]}]\npipeline: [[load]]\n"))
).encode()


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps({"v": 1, "t": 1.0, **event}).encode() + b"\n" for event in events)


BEGIN = {"event": "run-begin", "run_id": RUN, "where": "local", "job_dir": "/tmp"}
ACQUIRED = ({"event": "acquire-intent"}, {"event": "acquired"})
FOLDERS: dict[str, dict[str, bytes]] = {
    "empty": {},
    "no event": {"journal.jsonl": b""},
    "torn in its first line": {"journal.jsonl": lines(BEGIN)[:20], "plan.json": PLAN},
    "no plan": {"journal.jsonl": lines(BEGIN, *ACQUIRED)},
    "no journal": {"plan.json": PLAN},
    "plan of bytes": {"journal.jsonl": lines(BEGIN), "plan.json": b"\xff{"},
    "plan of nothing": {"journal.jsonl": lines(BEGIN), "plan.json": b"[]"},
    "plan of another version": {"journal.jsonl": lines(BEGIN), "plan.json": b'{"version": 99}'},
    "journal of bytes": {"journal.jsonl": bytes(range(256)) * 9, "plan.json": PLAN},
    "journal of another version": {"journal.jsonl": lines({**BEGIN, "v": 2}), "plan.json": PLAN},
    "events of nonsense": {
        "journal.jsonl": b'{"event": 5}\n{"event": "stage-begin"}\n{"event": ["x"]}\n[1]\n'
        + lines(
            {"event": "stage-begin", "stage": "load"},
            {"event": "stage-end", "stage": ["load"], "t": 1},
            {"event": "action", "hosts": [1]},
            {"event": "action", "hosts": {"db": {"units": {"load": 5}}}},
            {"event": "kept", "until": "soon"},
            {"event": "run-end", "status": ["x"], "reason": {"a": 1}},
        ),
        "plan.json": PLAN,
    },
    "kept until nonsense": {"journal.jsonl": lines(BEGIN, {"event": "kept", "until": "soon"}), "plan.json": PLAN},
    "no allocation": {"journal.jsonl": lines(BEGIN, *ACQUIRED), "plan.json": PLAN},
    "allocation of nonsense": {
        "journal.jsonl": lines(BEGIN, *ACQUIRED),
        "plan.json": PLAN,
        "allocation.json": b'{"nodes": [1]}',
    },
    "unknown scheduler": {"journal.jsonl": lines({**BEGIN, "where": "nowhere:1"}, *ACQUIRED), "plan.json": PLAN},
    "result of nonsense": {"journal.jsonl": lines(BEGIN), "plan.json": PLAN, "result.json": b'{"version": 1}'},
    "controller of nonsense": {"journal.jsonl": lines(BEGIN), "plan.json": PLAN, "controller.json": b"[1]"},
}
VERBS = ("status", "status --json", "logs", "logs --ansible", "report", "history", "compare latest latest", "doctor")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def make(runs: Path, files: dict[str, bytes]) -> None:
    (runs / RUN).mkdir(parents=True)
    for name, content in files.items():
        (runs / RUN / name).write_bytes(content)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_verb_breaks(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "runs", FOLDERS[folder])
    for verb in (*VERBS, "stop", "recover"):
        code = run_cli(verb.split())
        err = capsys.readouterr().err
        assert code in (0, 2, 4, 6, 7), (verb, code, err)
        assert "Traceback" not in err
        assert err.count("error[") <= 1, (verb, err)


def test_what_can_be_recovered_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (folder, code, words) in enumerate(
        [
            ("empty", 2, "has not begun: there is nothing to recover"),
            ("torn in its first line", 2, "has not begun: there is nothing to recover"),
            ("journal of bytes", 7, "holds no event that can be read"),
            ("no plan", 7, "plan.json: there is no such file"),
            ("plan of another version", 7, "this benchhub reads version 1"),
            ("journal of another version", 7, "this benchhub reads version 1"),
            ("allocation of nonsense", 0, "it is looked for by the run's id"),
        ]
    ):
        runs = tmp_path / str(number)
        make(runs, FOLDERS[folder])
        assert run_cli(["recover", RUN, "--runs-dir", str(runs)]) == code, folder
        assert words in capsys.readouterr().err


def test_an_unreadable_run_does_not_stop_a_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "runs", {"plan.json": PLAN})
    (tmp_path / "runs" / RUN / "journal.jsonl").mkdir()
    assert run_cli(["doctor"]) in (0, 4)
    assert run_cli(["recover"]) == 2
    assert run_cli(["status"]) == 7
    assert "journal.jsonl cannot be read: Is a directory" in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from(["load", "db", "ok", "failed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
EVENT = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            [
                "run-begin",
                "acquired",
                "stage-begin",
                "stage-end",
                "action",
                "ansible-task",
                "stop-asked",
                "kept",
                "run-end",
            ]
        ),
        "t": st.floats(allow_nan=False, allow_infinity=False) | JSON,
    },
    optional=dict.fromkeys(("stage", "slots", "hosts", "status", "reason", "until", "allocation", "task", "v"), JSON),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENT, max_size=6) | st.binary(max_size=200))
def test_no_journal_breaks_a_verb(capsys: pytest.CaptureFixture[str], journal: list[dict[str, Any]] | bytes) -> None:
    content = journal if isinstance(journal, bytes) else b"".join(json.dumps(e).encode() + b"\n" for e in journal)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), {"journal.jsonl": content, "plan.json": PLAN})
        for verb in ("status", "report", "history"):
            assert run_cli([verb, "--runs-dir", folder]) in (0, 7)
    assert "Traceback" not in capsys.readouterr().err
