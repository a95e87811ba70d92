"""The one error handler: every failure has its exit code, its words on stderr, and never a traceback there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from benchhub_ansible.cli import main as module
from benchhub_ansible.cli.main import VERBS, run_cli
from benchhub_ansible.errors import SchedulerError


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Makes ``benchhub boom`` do what a test says."""

    def install(does: Callable[[], object]) -> None:
        command = click.Command("boom", callback=does)
        monkeypatch.setattr(module.VerbGroup, "get_command", lambda _self, _ctx, _name: command)

    return install


def _raise(error: BaseException) -> Callable[[], object]:
    def does() -> object:
        raise error

    return does


def test_errors_of_the_family_are_rendered(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    verb(_raise(SchedulerError("no nodes", hint="ask for fewer")))
    assert run_cli(["boom"]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error[scheduler]: no nodes\n      = hint: ask for fewer\n"


def test_a_defect_is_one_clear_line_and_a_file(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    verb(_raise(KeyError("slot")))
    assert run_cli(["boom"]) == 70
    err = capsys.readouterr().err
    assert "this is a defect of benchhub: KeyError: 'slot'" in err
    assert "Traceback" not in err
    path = Path(err.rsplit(" ", 1)[1].strip())
    assert "Traceback" in path.read_text()
    path.unlink()


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (click.Abort(), 130), (click.UsageError("no"), 2)]
)
def test_other_ends(verb: Callable[..., None], error: BaseException, code: int) -> None:
    verb(_raise(error))
    assert run_cli(["boom"]) == code


def test_a_verb_says_its_exit_code(verb: Callable[..., None]) -> None:
    verb(lambda: click.get_current_context().exit(1))
    assert run_cli(["boom"]) == 1


def test_unknown_verbs_and_options_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["rnu"]) == 2
    assert run_cli(["run"]) == 2
    assert run_cli(["run", "/no/such/job.yml"]) == 2
    assert run_cli(["run", __file__, "--var", "novalue"]) == 2
    assert run_cli(["run", __file__, "--keep-for", "soon"]) == 2
    assert run_cli(["run", __file__, "--node-dir", "relative"]) == 2
    assert run_cli(["run", __file__, "--ansible-arg="]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["-K"], ["--ask-vault-pass"], ["--vault-id", "lab@prompt"], ["--vault-id=prompt"], ["--vault-id", "prompt"]],
)
def test_arguments_with_which_ansible_would_ask_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["run", __file__, *(f"--ansible-arg={argument}" for argument in arguments)]) == 2
    assert "nobody is asked in a run" in capsys.readouterr().err


def test_the_list_of_verbs_loads_none_of_them() -> None:
    code = (
        "import sys; from benchhub_ansible.cli.main import run_cli; run_cli(['--help']);"
        "bad = {'yaml', 'rich', 'ansible_runner', 'lark', 'jsonschema'} & set(sys.modules);"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in VERBS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", ["run", "status", "logs", "stop", "recover", "nodes", "doctor"])
def test_every_verb_helps_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([name, "--help"]) == 0
    assert "Example" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m benchhub_ansible.cli.main doctor | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["--version"]) == 0
    assert capsys.readouterr().out.startswith("benchhub, version ")
