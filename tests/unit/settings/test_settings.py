from __future__ import annotations

from pathlib import Path

import pytest

from benchhub_ansible.errors import ExitCode, JobError
from benchhub_ansible.settings import Settings, load_settings, read_settings, with_absolute_paths


def _read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "benchhub.yml"
    path.write_text(text)
    return read_settings(path)


def test_every_key(tmp_path: Path) -> None:
    settings = _read(
        tmp_path,
        "on: inventory:lab/hosts.ini\nruns_dir: out\nnode_dir: /var/tmp\nprofile: portable\nkeep_for: 30m\n"
        "ansible_args: [--vault-password-file, vault]\npass_env: [AWS_*]\n",
    )
    assert settings == Settings(
        on=f"inventory:{tmp_path}/lab/hosts.ini",
        runs_dir=f"{tmp_path}/out",
        node_dir="/var/tmp",
        profile="portable",
        keep_for=1800.0,
        ansible_args=("--vault-password-file", "vault"),
        pass_env=("AWS_*",),
    )


def test_files_that_arguments_name_are_made_absolute(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("")
    given = ("--vault-password-file", "vault", "--vault-id=vault", "-e", "@vault", "-e", "x=vault", "nothing", "\0", "")
    assert with_absolute_paths(given, tmp_path) == (
        "--vault-password-file",
        f"{tmp_path}/vault",
        f"--vault-id={tmp_path}/vault",
        "-e",
        f"@{tmp_path}/vault",
        "-e",
        "x=vault",
        "nothing",
        "\0",
        "",
    )


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert _read(tmp_path, "# nothing\n") == Settings()


def test_every_finding_at_once_with_its_place(tmp_path: Path) -> None:
    text = (
        "runs_dri: x\nkeep_for: soon\nprofile: fast\nnode_dir: here\npass_env: AWS\n"
        "on: local\non: local\nansible_args: {a: 1}\n"
    )
    with pytest.raises(JobError) as caught:
        _read(tmp_path, text)
    assert caught.value.exit_code is ExitCode.JOB
    lines = [d.headline.split("benchhub.yml:")[1] for d in caught.value.diagnostics]
    assert lines == [
        "1:1: error[unknown-setting]: there is no setting 'runs_dri'",
        "2:11: error[bad-setting]: keep_for: a duration is a number of seconds or a text such as 30s, 2m, 1h30m",
        "3:10: error[bad-setting]: profile: 'default' or 'portable' is wanted",
        "4:11: error[bad-setting]: node_dir: an absolute path on the nodes is wanted, such as /var/tmp",
        "5:11: error[bad-setting]: pass_env: a list of texts is wanted",
        "7:1: error[duplicate-key]: 'on' is set twice",
        "8:15: error[bad-setting]: ansible_args: neither a text nor a list of texts",
    ]
    assert caught.value.diagnostics[0].hint == "did you mean 'runs_dir'?"


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [1\n", "not YAML"), ("- on\n", "a mapping of keys"), ("\x00", "not YAML"), ("on:\n", "a text is wanted")],
)
def test_what_is_no_settings(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(JobError, match=words):
        _read(tmp_path, text)


def test_unreadable(tmp_path: Path) -> None:
    (tmp_path / "benchhub.yml").write_bytes(b"on: \xff\xfe")
    with pytest.raises(JobError, match="cannot be read"):
        read_settings(tmp_path / "benchhub.yml")


def test_beside_the_job_wins_over_the_users_own(tmp_path: Path) -> None:
    own, job = tmp_path / "config" / "benchhub", tmp_path / "job"
    own.mkdir(parents=True)
    job.mkdir()
    (own / "config.yml").write_text("on: local\nkeep_for: 1h\n")
    (job / "benchhub.yml").write_text("keep_for: 5m\n")
    settings = load_settings(job, tmp_path / "config")
    assert (settings.on, settings.keep_for, settings.runs_dir) == ("local", 300.0, None)
    assert load_settings(None, tmp_path / "nowhere") == Settings()
