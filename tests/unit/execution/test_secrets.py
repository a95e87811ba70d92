from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchhub_ansible.errors import ExitCode, JobError
from benchhub_ansible.execution.secrets import Secrets
from benchhub_ansible.job.model import Secret
from benchhub_ansible.source import Source, Span

_SPAN = Span(line=3, column=5)


def test_secrets_come_from_environment_and_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k3y0\n")
    declared = (Secret(name="PW", env="PGPASSWORD", span=_SPAN), Secret(name="KEY", file="key", span=_SPAN))
    secrets = Secrets.read(declared, environ={"PGPASSWORD": "hunter2"}, base=tmp_path)
    path = secrets.environment()["BENCHHUB_SECRETS"]
    assert path.startswith("/proc/")
    assert json.loads(Path(path).read_text()) == {"PW": "hunter2", "KEY": "k3y0"}
    assert json.loads(Path(path).read_text()) == {"PW": "hunter2", "KEY": "k3y0"}, "every reader starts at the front"


def test_every_missing_secret_is_told_at_once(tmp_path: Path) -> None:
    declared = (Secret(name="PW", env="PGPASSWORD", span=_SPAN), Secret(name="KEY", file="key", span=_SPAN))
    source = Source(name="job.yml", text="a\nb\n    PW: {env: PGPASSWORD}\n")
    with pytest.raises(JobError) as caught:
        Secrets.read(declared, environ={}, base=tmp_path, source=source)
    first, second = caught.value.diagnostics
    assert first.headline == (
        "job.yml:3:5: error[missing-secret]: secret 'PW': the environment variable PGPASSWORD is not set"
    )
    assert "the file key cannot be read" in second.message
    assert caught.value.exit_code is ExitCode.JOB
    assert Secrets.read(declared, environ={}, base=tmp_path, required=False).environment() == {}


def test_redaction_reaches_everything() -> None:
    secrets = Secrets({"A": "hunter2", "B": 'quo"te\n', "C": "", "D": "hunter2-long"})
    data = {"hunter2": ["x hunter2 y", {"k": ("hunter2",)}], "n": 7, "none": None}
    assert secrets.redact(data) == {"***": ["x *** y", {"k": ["***"]}], "n": 7, "none": None}
    assert secrets.redact("hunter2-long") == "***"
    assert secrets.redact(json.dumps({"x": 'quo"te\n'})) == '{"x": "***"}'
    assert Secrets({}).redact("hunter2") == "hunter2"
    lines = Secrets({"KEY": "first line\r\n  second\n}\n"})
    assert lines.redact("  first line\n> second\n> }") == "  ***\n> ***\n> }"
    assert lines.redact(json.dumps("x second y")) == '"x *** y"'
    assert Secrets({}).environment() == {}


@pytest.mark.parametrize(
    ("value", "names", "why"),
    [
        ("", (), "is empty"),
        ("abc", (), "is shorter than 4 characters"),
        ("postgres", ("db", "start postgres"), "is a part of the name 'start postgres'"),
        ("first\nload\n", ("load",), "is a part of the name 'load'"),
    ],
)
def test_what_cannot_be_hidden_is_refused(tmp_path: Path, value: str, names: tuple[str, ...], why: str) -> None:
    declared = (Secret(name="PW", env="PW", span=_SPAN), Secret(name="NONE", env="NONE", span=_SPAN))
    source = Source(name="job.yml", text="a\nb\n    PW: {env: PW}\n")
    with pytest.raises(JobError) as caught:
        Secrets.read(declared, environ={"PW": value}, base=tmp_path, source=source, names=names)
    weak, missing = caught.value.diagnostics
    assert weak.headline == (
        f"job.yml:3:5: error[weak-secret]: secret 'PW' {why}, so it cannot be hidden in what the run writes"
    )
    assert missing.code == "missing-secret"


def test_what_the_job_does_not_name_can_be_hidden(tmp_path: Path) -> None:
    declared = (Secret(name="PW", env="PW", span=_SPAN),)
    secrets = Secrets.read(declared, environ={"PW": "load-1"}, base=tmp_path, names=("load", "loader", ""))
    assert secrets.redact("load-1 of load") == "*** of load"


def test_a_line_of_a_secret_is_a_secret() -> None:
    secrets = Secrets({"KEY": '-----BEGIN-----\nabcd"efgh\n  xy\n'})
    assert secrets.redact(['the key: abcd"efgh', "xy"]) == ["the key: ***", "xy"]
    assert secrets.redact(json.dumps(['abcd"efgh'])) == '["***"]'
