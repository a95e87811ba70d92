"""A node whose disk fills up, or is full before the run begins: the cause is told, and nothing of ours stays there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import processes

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: fills
nodes:
  db: {type: database}
stages:
  - name: serve
    nodes: all
    tasks:
      - {name: server, shell: exec sleep 300, type: long, ready: {command: 'true', timeout: 60s}}
  - name: fill
    nodes: all
    tasks:
      - name: fill
        shell: head -c 400000 /dev/urandom > noise; cat /dev/zero > filler
        collect: [noise]
  - name: never
    nodes: all
    tasks: [{name: never, shell: echo never}]
pipeline: [[serve], [fill], [never]]
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=True)  # noqa: S607
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)  # noqa: S607


def run(benchhub: Any, disk: Path) -> Any:
    job: Path = benchhub.folder / "job.yml"
    job.write_text(JOB)
    (benchhub.folder / "benchhub.yml").write_text(f"node_dir: {disk}\n")
    return benchhub.call("run", job)


def test_a_disk_that_fills_up(benchhub: Any, disk: Path) -> None:
    done = run(benchhub, disk)
    assert done.returncode == 1, done.stdout
    assert list(disk.iterdir()) == []
    folder = benchhub.run_folder()
    assert processes(folder.name) == []
    result = benchhub.result()
    told = "\n".join(result["warnings"])
    assert "fill: no space left on the disk of " in told
    assert "lost: all but the ends of outputs and files" in told
    assert "No space left on device" in told
    (noise,) = (folder / "collected/db/files").rglob("noise")
    assert b"benchhub left out" in noise.read_bytes()
    assert "No space left on device" in (folder / "report.md").read_text()


def test_a_disk_that_is_full_already(benchhub: Any, disk: Path) -> None:
    filler = disk / "filler"
    done = subprocess.run(["cp", "/dev/zero", str(filler)], capture_output=True, text=True, check=False)  # noqa: S607
    assert "No space left on device" in done.stderr
    done = run(benchhub, disk)
    assert done.returncode != 0
    assert "No space left on device" in done.stdout
    assert list(disk.iterdir()) == [filler]
    assert processes(benchhub.run_folder().name) == []
