"""The command ``benchhub``: its verbs, loaded when they are named, and the one error handler."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import click

from benchhub_ansible.cli.streams import lasting_streams, output_lost
from benchhub_ansible.errors import BenchhubError, ExitCode, UsageError
from benchhub_ansible.shown import visible


class Verb(NamedTuple):
    """Where a verb's command is, and what the list of verbs says of it."""

    where: str
    does: str


_PACKAGE = "benchhub_ansible.cli"

VERBS = {
    "init": Verb(f"{_PACKAGE}.init:init", "Write a small job that runs at once."),
    "validate": Verb(f"{_PACKAGE}.validate:validate", "Tell everything that is wrong with a job file."),
    "convert": Verb(f"{_PACKAGE}.convert:convert", "Turn the brace notation into YAML, and back."),
    "plan": Verb(f"{_PACKAGE}.plan:plan", "Show what would run."),
    "compile": Verb(f"{_PACKAGE}.compile:compile_command", "Write the playbooks of a job into a folder."),
    "run": Verb(f"{_PACKAGE}.run:run", "Run a job."),
    "submit": Verb(f"{_PACKAGE}.submit:submit", "Hand a run to a scheduler."),
    "status": Verb(f"{_PACKAGE}.status:status", "Show how far a run is, or how it ended."),
    "logs": Verb(f"{_PACKAGE}.logs:logs", "Show what a run's steps and services printed."),
    "stop": Verb(f"{_PACKAGE}.stop:stop", "End a run in order."),
    "recover": Verb(f"{_PACKAGE}.recover:recover", "Finish what a dead controller left."),
    "nodes": Verb(f"{_PACKAGE}.nodes:nodes", "List the machines there are, and end leases."),
    "report": Verb(f"{_PACKAGE}.report:report", "Render a run's result again."),
    "history": Verb(f"{_PACKAGE}.history:history", "List past runs."),
    "compare": Verb(f"{_PACKAGE}.compare:compare", "Compare the results of runs."),
    "doctor": Verb(f"{_PACKAGE}.doctor:doctor", "Tell what works on this machine and what does not."),
    "schema": Verb(f"{_PACKAGE}.schema:schema", "Print the JSON Schema of a job, a result or a pool."),
}

#: What no user calls: not in the list of verbs.
_INTERNAL = {"begin": Verb(f"{_PACKAGE}.submit:begin", "Carry out a submitted run.")}


class VerbGroup(click.Group):
    """Loads a verb's module when the verb is called: a broken or slow one is nobody else's trouble."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the order of a user's day."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """The command of a verb; None when there is none of that name."""
        verb = VERBS.get(cmd_name) or _INTERNAL.get(cmd_name)
        if verb is None:
            return None
        module, name = verb.where.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The list of verbs, without loading any."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.does) for name, verb in VERBS.items()])


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("benchhub-ansible"), prog_name="benchhub")
def cli() -> None:
    r"""Run database benchmarks described in one job file, with Ansible.

    \b
    Example:
      benchhub init demo && benchhub run demo/job.yml
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Ends the process with the exit code of docs/reference/exit-codes.md; nothing else handles errors."""
    with lasting_streams():
        code = run_cli(arguments)
    sys.exit(code)


def run_cli(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command line; what went wrong is on stderr, never as a traceback."""
    try:
        result = cli.main(arguments, prog_name="benchhub", standalone_mode=False)
        sys.stdout.flush()
        if result is None:  # what such a verb prints is all it does; others have answered by their exit code
            _check_output()
    except BenchhubError as error:
        click.echo(error.render(), err=True)
        return int(error.exit_code)
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("benchhub: interrupted", err=True)
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last place: a defect of ours, told in one line
        return _defect(error)
    return result if isinstance(result, int) else int(ExitCode.SUCCESS)


def _check_output() -> None:
    cause = output_lost()
    if cause is not None:
        raise UsageError(f"the standard output cannot be written: {cause}")


def _defect(error: Exception) -> int:
    words = visible(" ".join(str(error).split())[:200])
    click.echo(f"benchhub: this is a defect of benchhub: {type(error).__name__}: {words}", err=True)
    try:
        descriptor, path = tempfile.mkstemp(prefix="benchhub-defect-", suffix=".txt")
        with os.fdopen(descriptor, "w") as file:
            traceback.print_exception(error, file=file)
    except OSError as cause:
        where = traceback.extract_tb(error.__traceback__)[-1]
        path = f"{where.filename}:{where.lineno} (a file for it cannot be written: {cause.strerror})"
    click.echo(f"      = hint: please report it with the traceback in {path}", err=True)
    return int(ExitCode.DEFECT)


if __name__ == "__main__":
    main()
