"""Standard streams whose device is full, whose reader has gone, or that are closed."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchhub_ansible.cli.streams import lasting_streams
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Journal

JOB = """\
version: 2
name: small
nodes: {db: {type: database}}
stages:
  - name: only
    nodes: all
    tasks: [{shell: "true"}]
pipeline: [[only]]
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yml"
    path.write_text(JOB)
    folder = RunFolder(tmp_path / "runs" / "20260101-000000-small-0001")
    folder.create()
    with Journal(folder.journal, redact=lambda data: data, listener=lambda _entry: None) as journal:
        journal.write("run-begin", job="small")
    return path


def shell(command: str, folder: Path) -> tuple[int, str]:
    """Exit code of ``benchhub`` (``$B``) as bash calls it, and what it said on what was left to it."""
    benchhub = f"{shlex.quote(sys.executable)} -m benchhub_ansible.cli.main"
    done = subprocess.run(
        ["/bin/bash", "-c", f'B() {{ {benchhub} "$@"; }}; {command}'],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "defect" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("verb", ["plan job.yml", "report --format json", "schema job"])
def test_what_cannot_be_printed_is_told(verb: str, job: Path) -> None:
    code, said = shell(f"B {verb} >/dev/full", job.parent)
    assert (code, said) == (2, "error[usage]: the standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    "command",
    [
        "B plan job.yml | true; exit ${PIPESTATUS[0]}",
        "B report | true; exit ${PIPESTATUS[0]}",
        "B report >&-",
        "B plan job.yml 2>&- >/dev/null <&-",
    ],
)
def test_a_reader_that_has_gone_is_no_error(command: str, job: Path) -> None:
    assert shell(command, job.parent) == (0, "")


def test_an_error_keeps_its_exit_code_where_nobody_can_read_it(job: Path) -> None:
    assert shell("B plan none.yml >/dev/full 2>&1", job.parent)[0] == 3
    assert shell("{ B plan none.yml 2>&1; echo $? >code; } | true; cat code", job.parent)[1] == "3\n"


def test_a_stream_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, fcntl.fcntl(writing, fcntl.F_GETFL) | os.O_NONBLOCK)
    text = "x" * 300_000  # more than a pipe holds
    code = "import sys; from benchhub_ansible.cli.streams import lasting_streams\n"
    code += "with lasting_streams(): print('x' * 300_000, end='')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=writing) as process, os.fdopen(reading) as file:
        os.close(writing)
        assert file.read() == text
    assert process.returncode == 0


def test_the_streams_are_put_back() -> None:
    before = sys.stdin, sys.stdout, sys.stderr
    with lasting_streams():
        assert sys.stdout is not before[1]
    assert (sys.stdin, sys.stdout, sys.stderr) == before
