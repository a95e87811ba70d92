"""Secrets reach the node and nothing else: every byte of the run folder and of the output is searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real

#: Has what an encoder could change, so that a masked-but-escaped copy would be found too.
SECRET = """s3cr3t-'quo"ted'-\\back-{{slash}}-ünï"""
PLAIN = "plainsecret0123456789"
LINES = "-----BEGIN KEY-----\nfirst line of it\nsecond line of it\n-----END KEY-----\n"

JOB = """\
version: 2
name: secrets
secrets:
  TOKEN: {env: BH_TEST_TOKEN}
  PLAIN: {env: BH_TEST_PLAIN}
  LINES: {env: BH_TEST_LINES}
nodes:
  db: {type: database}
stages:
  - name: use
    nodes: db
    tasks:
      - name: by environment
        shell: printf '%s' "$TOKEN" | cksum; printf '%s %s' "$TOKEN" "$PLAIN"; printf '%s' "$TOKEN" >&2
        env: {TOKEN: '${secrets.TOKEN}', PLAIN: '${secrets.PLAIN}'}
      - name: by argument
        exec: [printf, '%s', '${secrets.PLAIN}']
      - name: by file
        copy: {content: 'x=${secrets.PLAIN}', dest: '${run.dir}/conf'}
      - name: read
        exec: [cat, '${run.dir}/conf']
        collect: ['${run.dir}/conf']
      - name: fail
        shell: echo "wrong password ${secrets.PLAIN}" >&2; printf '%s' "$LINES" >&2; exit 4
        env: {LINES: '${secrets.LINES}'}
  - name: serve
    nodes: db
    tasks:
      - name: service
        shell: echo started with ${secrets.PLAIN}; exec sleep 60
        type: long
        ready: {log: started}
pipeline: [[serve], [use]]
"""


@pytest.mark.parametrize("profile", ["default", "portable"])
def test_no_file_and_no_output_holds_a_secret(benchhub: Any, profile: str) -> None:
    (benchhub.folder / "job.yml").write_text(JOB)
    benchhub.environment |= {"BH_TEST_TOKEN": SECRET, "BH_TEST_PLAIN": PLAIN, "BH_TEST_LINES": LINES}
    done = benchhub.call("run", "job.yml", "--profile", profile)
    assert done.returncode == 1, done.stdout
    fragments = [SECRET.encode(), PLAIN.encode(), b"s3cr3t-", b"plainsecret", b"first line of it", b"second line of it"]
    for fragment in fragments:
        assert fragment not in done.stdout.encode()
        for path in files(benchhub.folder):
            assert fragment not in path.read_bytes(), f"{fragment!r} in {path}"
    assert "***" in "".join(path.read_text(errors="replace") for path in files(benchhub.run_folder() / "collected"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "job.yml"]


def test_a_missing_secret_is_told_before_anything_runs(benchhub: Any) -> None:
    (benchhub.folder / "job.yml").write_text(JOB)
    done = benchhub.call("run", "job.yml")
    assert done.returncode == 3
    assert "BH_TEST_TOKEN" in done.stdout
