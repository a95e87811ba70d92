"""Every broken job gives its exact findings, and exit code 3 through the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchhub_ansible.errors import ExitCode, JobError, Severity
from benchhub_ansible.job.load import MAX_BYTES, load_bytes, load_file, load_job
from benchhub_ansible.source import Source

BROKEN = Path(__file__).parents[2] / "golden" / "broken"
CASES = sorted(path.name for path in BROKEN.iterdir() if path.is_dir())


def job_file(case: str) -> Path:
    return next((BROKEN / case).glob("job.*"))


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 45


@pytest.mark.parametrize("case", CASES)
def test_exact_findings(case: str) -> None:
    path = job_file(case)
    with pytest.raises(JobError) as caught:
        load_bytes(path.read_bytes(), name=path.name)
    assert caught.value.render() + "\n" == (BROKEN / case / "expected.txt").read_text(encoding="utf-8")
    assert any(item.severity is Severity.ERROR for item in caught.value.diagnostics)


def test_the_command_line_ends_with_3_and_no_traceback() -> None:
    files = [str(job_file(case)) for case in CASES]
    done = subprocess.run(
        [sys.executable, "-m", "benchhub_ansible.cli.main", "validate", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.JOB
    assert "Traceback" not in done.stderr
    for name in files:
        assert name in done.stderr


def expect(text: str, code: str, *, name: str) -> None:
    with pytest.raises(JobError) as caught:
        load_job(Source(name=name, text=text))
    assert code in {item.code for item in caught.value.diagnostics}
    assert len(caught.value.render()) < 20_000


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_deep_yaml(opening: str) -> None:
    expect(f"name: x\nvars: {opening * 100_000}" if opening[0] in "[{" else opening * 100_000, "too-deep", name="a.yml")


@pytest.mark.parametrize("opening", ["x = [", "x { ", "x {\n", "x = [{ y = "])
def test_deep_brace(opening: str) -> None:
    nested = opening + "[" * 100_000 if "[" in opening else opening * 100_000
    expect(nested, "too-deep", name="a.job")


def test_huge_values_do_not_flood_the_terminal() -> None:
    long = "x" * 1_000_000
    expect(f"name: x\n? {long}\n: 1\n", "unknown-key", name="a.yml")
    expect(f"name x\n{long} 1\n", "unknown-key", name="a.job")
    expect(f"name: x\nversion: {'9' * 100_000}\n", "bad-value", name="a.yml")


def test_too_large_and_not_text() -> None:
    with pytest.raises(JobError, match="larger than 16 MiB"):
        load_bytes(b"#" * (MAX_BYTES + 1), name="a.yml")
    with pytest.raises(JobError, match="not UTF-8 text \\(line 2\\)"):
        load_bytes(b"name: x\nreason: \xff\n", name="a.yml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="is a folder"):
        load_file(tmp_path)
    with pytest.raises(JobError, match="No such file"):
        load_file(tmp_path / "none.yml")
    with pytest.raises(JobError, match="cannot be read"):
        load_file(tmp_path / "a\0b")


def test_many_stages_load_in_seconds() -> None:
    count = 1000
    stages = "".join(
        f"  - {{name: stage {n}, nodes: [t{n}], tasks: [{{shell: 'echo ${{node.address}}'}}]}}\n" for n in range(count)
    )
    nodes = "".join(f"  n{n}: {{type: t{n}}}\n" for n in range(count))
    order = "".join(f"  - [stage {n}]\n" for n in range(count))
    loaded = load_job(Source(name="a.yml", text=f"name: x\nnodes:\n{nodes}stages:\n{stages}pipeline:\n{order}"))
    assert len(loaded.job.stages) == count
    assert loaded.warnings == ()
