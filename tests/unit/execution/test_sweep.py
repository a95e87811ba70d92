"""What a controller left on its machine is found by its marker, and only that is ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchhub_ansible.execution import sweep

_IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(9)
"""


def _start(run_id: str, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, sweep.MARKER: run_id}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_process_that_ignores_term_is_ended_and_another_runs_is_not() -> None:
    ours = _start("run-a", sys.executable, "-c", _IGNORES_TERM)
    other = _start("run-b", sys.executable, "-c", _IGNORES_TERM)
    with ours, other:
        assert [process.pid for process in sweep.left_over("run-a")] == [ours.pid]
        assert sweep.sweep("run-a") == 1
        assert not psutil.pid_exists(ours.pid)
        alive = other.poll() is None
        other.kill()
    assert alive
    assert sweep.sweep("run-a") == 0


def test_a_shared_connection_is_found_by_its_title_since_its_environment_is_overwritten() -> None:
    title = f"ssh: {sweep.control_path_dir('run-d')}/0123456789 [mux]"
    command = ["sh", "-c", 'echo up; exec env -i bash -c \'exec -a "$0" sleep 9\' "$0"', title]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as ours:
        assert ours.stdout is not None
        ours.stdout.readline()
        deadline = time.monotonic() + 60
        while not (found := sweep.left_over("run-d")) and time.monotonic() < deadline:
            time.sleep(0.01)  # until the shell has become what it shall be
        assert [process.pid for process in found] == [ours.pid]
        assert sweep.left_over("run-e") == []
        assert sweep.sweep("run-d") == 1


def test_the_folder_for_sockets_is_short_and_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchhub_ansible.execution.sweep.tempfile.gettempdir", lambda: str(tmp_path))
    run_id = "20261123-193012-a-job-with-quite-a-long-name-7f3a"
    path = sweep.make_control_path_dir(run_id)
    assert path == sweep.make_control_path_dir(run_id)
    assert path.stat().st_mode & 0o777 == 0o700
    assert len(path.name) < 40
    sweep.remove_control_path_dir(run_id)
    assert not path.exists()
    sweep.remove_control_path_dir(run_id)
