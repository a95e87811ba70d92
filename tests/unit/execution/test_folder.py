from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchhub_ansible.errors import ResultError, UsageError
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Journal, read_journal
from benchhub_ansible.execution.runs import find_run, list_runs, lost_runs, new_run_id, state

_HOLD = """
import sys
from pathlib import Path
from benchhub_ansible.execution.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def _folder(runs: Path, name: str = "20260101-000000-job-0001") -> RunFolder:
    folder = RunFolder(runs / name)
    folder.create()
    return folder


def _write(folder: RunFolder, *events: str, **fields: object) -> None:
    with Journal(folder.journal, redact=lambda data: data, listener=lambda _entry: None) as journal:
        for event in events:
            journal.write(event, **fields)


def test_a_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "runs")
    folder.write_json(folder.plan, {"a": 1})
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.plan.stat().st_mode) == 0o600
    assert folder.read_json(folder.plan) == {"a": 1}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the run folder"):
        _folder(tmp_path / "file")


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    with pytest.raises(ResultError, match="no such file"):
        folder.read_json(folder.plan)
    folder.write(folder.plan, "{")
    with pytest.raises(ResultError, match="cannot be read"):
        folder.read_json(folder.plan)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    folder.write(folder.result, "old")
    with folder.result.open() as reader:
        folder.write(folder.result, "new")
        assert reader.read() == "old"
    assert folder.result.read_text() == "new"
    assert [path.name for path in folder.path.glob(".*")] == []


def test_others_see_whether_the_controller_lives(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert not folder.alive()
    command = [sys.executable, "-c", _HOLD, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert folder.alive()
        assert state(folder) == "running"
        with pytest.raises(UsageError, match="has a controller that lives"), folder.locked():
            pass
        holder.kill()
    assert not folder.alive()
    with folder.locked():
        assert folder.alive()


def test_a_torn_line_is_passed_over_and_not_glued_to_the_next(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    _write(folder, "run-begin", job="ü")
    with folder.journal.open("a") as file:
        file.write('{"v": 1, "t": 1.0, "eve')
    _write(folder, "recovered")
    events = list(read_journal(folder.journal))
    assert [event["event"] for event in events] == ["run-begin", "recovered"]
    assert events[0]["job"] == "ü"
    assert list(read_journal(tmp_path / "nowhere")) == []


def test_the_journal_masks_and_tells(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    told: list[dict[str, object]] = []

    def mask(data: dict[str, object]) -> dict[str, object]:
        return {key: "***" if value == "hunter2" else value for key, value in data.items()}

    with Journal(folder.journal, redact=mask, listener=told.append) as journal:
        returned = journal.write("action", msg="hunter2")
    assert returned == told[0]
    assert told[0]["msg"] == "***"
    assert json.loads(folder.journal.read_text()) == told[0]


def test_run_ids_sort_by_time_and_differ() -> None:
    ids = {new_run_id("Ünïcode Job/..") for _ in range(50)}
    assert len(ids) > 45
    assert all(re.fullmatch(r"\d{8}-\d{6}-[a-z0-9-]+-[0-9a-f]{4}", run_id) for run_id in ids)


def test_finding_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no runs"):
        find_run(tmp_path)
    first = _folder(tmp_path, "20260101-000000-cassandra-0001")
    second = _folder(tmp_path, "20260102-000000-kairosdb-00a2")
    (tmp_path / "notes").mkdir()
    assert [run.run_id for run in list_runs(tmp_path)] == [first.run_id, second.run_id]
    for name in ("20260101-000000-cassandra-0001", "20260101", "cassandra", "0001"):
        assert find_run(tmp_path, name).run_id == first.run_id
    assert find_run(tmp_path).run_id == find_run(tmp_path, "latest").run_id == second.run_id
    with pytest.raises(UsageError, match="could be 2 runs"):
        find_run(tmp_path, "2026")
    with pytest.raises(UsageError, match="there is no run 'mysql'"):
        find_run(tmp_path, "mysql")
    with pytest.raises(UsageError, match="not the folder of a run"):
        find_run(tmp_path, str(tmp_path / "notes"))
    _write(first, "run-begin")
    assert find_run(tmp_path, os.path.relpath(first.path, Path.cwd()) + "/").path.resolve() == first.path.resolve()


def test_states(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    _write(folder, "run-begin")
    assert state(folder) == "lost"
    assert [run.run_id for run in lost_runs(tmp_path)] == [folder.run_id]
    _write(folder, "kept")
    assert state(folder) == "kept"
    _write(folder, "recover-begin")
    assert state(folder) == "lost"
    _write(folder, "run-end", status="interrupted")
    assert state(folder) == "interrupted"
    assert list(lost_runs(tmp_path)) == []


def test_a_journal_without_room_goes_on_and_says_so_once() -> None:
    heard: list[str] = []
    failures: list[OSError] = []
    with Journal(
        Path("/dev/full"), redact=lambda data: data, listener=lambda entry: heard.append(entry["event"])
    ) as journal:
        journal.on_failure = failures.append
        journal.write("one")
        journal.write("two")
    assert heard == ["one", "two"]
    assert [error.strerror for error in failures] == ["No space left on device"]


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path)
    real = os.write
    room = [10, 0, 10_000, 10_000]

    def write(descriptor: int, data: bytes) -> int:
        left = room.pop(0)
        if not left:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:left])

    with (
        monkeypatch.context() as patched,
        Journal(folder.journal, redact=lambda data: data, listener=lambda _entry: None) as journal,
    ):
        patched.setattr("benchhub_ansible.execution.journal.os.write", write)
        journal.write("lost")
        journal.write("kept")
    assert [event["event"] for event in read_journal(folder.journal)] == ["kept"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    with pytest.raises(ResultError, match="cannot be written: No such file or directory"):
        folder.write(folder.path / "none" / "x", "text")
