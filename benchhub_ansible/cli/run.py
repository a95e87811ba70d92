"""``benchhub run``: the whole road, watched."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchhub_ansible.cli.options import Command, json_option, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.cli.streams import output_lost
from benchhub_ansible.errors import UsageError
from benchhub_ansible.settings import with_absolute_paths
from benchhub_ansible.values import format_duration, parse_duration

if TYPE_CHECKING:
    from benchhub_ansible.execution.options import RunOptions

_EPILOG = """\b
Examples:
  benchhub run job.yml
  benchhub run job.yml --on inventory:hosts.ini --var threads=8
  benchhub run job.yml --keep-on-failure --keep-for 30m"""


class Duration(click.ParamType[float]):
    """``90``, ``30m``, ``1h30m`` as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; a usage error when it is no duration."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Assignment(click.ParamType[tuple[str, str]]):
    """``NAME=VALUE``."""

    name = "k=v"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Name and value; a usage error without the equals sign."""
        if isinstance(value, tuple):
            return value
        name, equals, rest = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, rest


def absolute(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The path on the nodes; a usage error when it is not absolute: nobody knows from where it would be taken there."""
    if value is not None and not value.startswith("/"):
        raise click.BadParameter(f"{value!r} is not absolute: name a folder on the nodes, such as /var/tmp")
    return value


def not_empty(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments; a usage error when one is empty, which Ansible would take for a playbook."""
    if "" in value:
        raise click.BadParameter("it is empty")
    return value


def job_options(command: Command) -> Command:
    """Adds JOB and every option that says how it is run."""
    for decorate in reversed(_JOB_OPTIONS):
        command = decorate(command)
    return command


_JOB_OPTIONS = (
    click.argument("job", type=click.Path(path_type=Path, exists=True, dir_okay=False)),
    click.option("--on", "where", metavar="WHERE", help="Where nodes come from: local, inventory:PATH, or a plugin."),
    click.option("--var", "variables", type=Assignment(), multiple=True, help="Set a variable of the job."),
    click.option("--profile", type=click.Choice(["default", "portable"]), help="Which playbooks are compiled."),
    click.option("--from", "from_stage", metavar="STAGE", help="Leave out the stages before this one."),
    click.option("--only", metavar="STAGE", help="Run this stage alone."),
    click.option("--keep", is_flag=True, help="Leave nodes and services up afterwards."),
    click.option("--keep-on-failure", is_flag=True, help="The same, when the run failed."),
    click.option("--keep-for", type=Duration(), help="How long they are kept at most (default: 2h)."),
    click.option("--node-dir", callback=absolute, help="Folder on the nodes for our files (default: /tmp)."),
    click.option(
        "--ansible-arg",
        "ansible_args",
        multiple=True,
        callback=not_empty,
        help="One more argument of ansible-playbook.",
    ),
)


#: Options of ansible-playbook for which it would ask somebody at a terminal.
_ASKING = frozenset(
    {"-k", "--ask-pass", "-K", "--ask-become-pass", "-J", "--ask-vault-password", "--ask-vault-pass", "--step"}
)


def refuse_questions(arguments: Sequence[str]) -> None:
    """Raises UsageError where ansible-playbook would ask something with these arguments: nobody could answer."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        vault = argument if before == "--vault-id" else argument.removeprefix("--vault-id=")
        if (
            argument in _ASKING
            or vault.endswith("@prompt")
            or (vault == "prompt" and "--vault-id" in before + argument)
        ):
            raise UsageError(
                f"--ansible-arg {argument}: Ansible would wait for an answer, and nobody is asked in a run",
                hint="keep the password in a file: --ansible-arg=--vault-password-file --ansible-arg=FILE"
                " (likewise --connection-password-file, --become-password-file)",
            )


def run_options(job: Path, given: Mapping[str, Any]) -> RunOptions:
    """What a run is given: the command line, else the settings, else the defaults."""
    from benchhub_ansible.execution.options import KEEP_FOR, NODE_DIR, RunOptions  # noqa: PLC0415
    from benchhub_ansible.schedulers.where import DEFAULT_WHERE  # noqa: PLC0415

    settings = settings_for(job)
    ansible_args = (*(settings.ansible_args or ()), *with_absolute_paths(given["ansible_args"], Path.cwd()))
    refuse_questions(ansible_args)
    return RunOptions(
        runs_dir=runs_dir_of(given["runs_dir"], settings),
        where=given["where"] or settings.on or DEFAULT_WHERE,
        variables=dict(given["variables"]),
        profile=given["profile"] or settings.profile or "default",
        from_stage=given["from_stage"],
        only=given["only"],
        keep=given["keep"],
        keep_on_failure=given["keep_on_failure"],
        keep_for=given["keep_for"] or settings.keep_for or KEEP_FOR,
        node_dir=given["node_dir"] or settings.node_dir or NODE_DIR,
        ansible_args=ansible_args,
        pass_env=settings.pass_env or (),
    )


@click.command(epilog=_EPILOG)
@job_options
@runs_dir_option
@json_option
@click.pass_context
def run(ctx: click.Context, /, job: Path, **given: Any) -> None:
    """Run JOB on nodes and report what came of it."""
    # What the road needs takes a fifth of a second to import: help and completion do without.
    from benchhub_ansible.schedulers.where import usable_scheduler  # noqa: PLC0415

    options = run_options(job, given)
    scheduler = usable_scheduler(options.where, options.ansible_args)  # warms up while the rest is imported

    from benchhub_ansible import session  # noqa: PLC0415
    from benchhub_ansible.execution.runs import lost_runs  # noqa: PLC0415

    for lost in lost_runs(options.runs_dir):
        click.echo(f"note: run {lost.run_id} lost its controller; end it: benchhub recover {lost.run_id}", err=True)
    with watch() as observer:
        outcome = session.run(job, options, observer, scheduler=scheduler)
    show_outcome(outcome, as_json=given["as_json"])
    ctx.exit(outcome.exit_code)


def watch() -> Any:
    """The watch for this stderr: a live table on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        from benchhub_ansible.cli.watch import PlainWatch  # noqa: PLC0415

        return PlainWatch(sys.stderr)
    from rich.console import Console  # noqa: PLC0415 - rich takes 60 ms to import

    from benchhub_ansible.cli.live import LiveWatch  # noqa: PLC0415

    return LiveWatch(Console(stderr=True, highlight=False))


def show_outcome(outcome: Any, *, as_json: bool) -> None:
    """The result on stdout, and where all of it lies; when nobody can read that, it is told on stderr."""
    _print_outcome(outcome, as_json=as_json)
    sys.stdout.flush()
    cause = output_lost()
    if cause is not None:
        click.echo(f"note: the standard output cannot be written ({cause}); see {outcome.folder.report}", err=True)


def _print_outcome(outcome: Any, *, as_json: bool) -> None:
    from benchhub_ansible import registry  # noqa: PLC0415
    from benchhub_ansible.results.model import result_to_data  # noqa: PLC0415

    if as_json:
        click.echo(json.dumps(result_to_data(outcome.result), indent=2))
        return
    color = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    click.echo(registry.load("report", "console")().render(outcome.result, color=color, width=width), nl=False)
    click.echo(f"\nreport: {outcome.folder.report}")
    if outcome.kept_until is not None:
        left = format_duration(max(0, round(outcome.kept_until - time.time())))
        click.echo(f"kept:   nodes and services stay up for {left}; end them with: benchhub stop {outcome.run_id}")
