"""The disk of the run folder gets full, or somebody removes the folder: the nodes are clean all the same."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: folder
nodes:
  db: {{type: database}}
stages:
  - name: serve
    nodes: all
    tasks:
      - {{name: server, shell: exec sleep 300, type: long, ready: {{command: 'true', timeout: 60s}}}}
  - name: load
    nodes: all
    tasks:
      - shell: touch '{folder}/loading'; until [ -e '{folder}/go' ]; do sleep 0.05; done
pipeline: [[serve], [load]]
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], check=True)  # noqa: S607
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)  # noqa: S607


def run_and(benchhub: Any, runs: Path, disturb: Callable[[Path], None]) -> tuple[int, str, str]:
    """Exit code, output and run id of a run that is disturbed while it loads."""
    job = benchhub.folder / "job.yml"
    job.write_text(JOB.format(folder=benchhub.folder))
    process = benchhub.start("run", job, "--runs-dir", runs)
    deadline = time.monotonic() + 60
    while not (benchhub.folder / "loading").exists():
        assert time.monotonic() < deadline, "the load has not begun"
        time.sleep(0.05)
    (folder,) = runs.iterdir()
    disturb(folder)
    (benchhub.folder / "go").touch()
    output, _ = process.communicate(timeout=120)
    assert "Traceback" not in output
    assert "defect" not in output
    return process.returncode, output, folder.name


def fill(folder: Path) -> None:
    with (folder.parent / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_fills_up(benchhub: Any, disk: Path) -> None:
    code, output, run = run_and(benchhub, disk / "runs", fill)
    assert code == 7, output
    assert "result.json cannot be written: No space left on device" in output
    assert leftovers(run) == []


def test_a_folder_that_is_removed(benchhub: Any) -> None:
    code, output, run = run_and(benchhub, benchhub.folder / "runs", shutil.rmtree)
    assert code == 7, output
    assert "was removed: what teardown needs is written again" in output
    assert leftovers(run) == []
