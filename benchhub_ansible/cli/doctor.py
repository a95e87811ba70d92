"""``benchhub doctor``: what works on this machine, what does not, and the mend."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import click

from benchhub_ansible import registry
from benchhub_ansible.cli.nodes import print_rows
from benchhub_ansible.cli.options import json_option, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.errors import BenchhubError

_EPILOG = """\b
Example:
  benchhub doctor"""


class Finding(NamedTuple):
    """One row. ``state``: ok, broken (something will not work), or note (something may not)."""

    what: str
    state: str
    says: str


@click.command(epilog=_EPILOG)
@runs_dir_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, runs_dir: Path | None, *, as_json: bool) -> None:
    """Tell what works on this machine and what does not, with the mend. Exit code 4 when something is broken."""
    findings = [*_programs(), *_plugins(), *_schedulers(), *_lost(runs_dir_of(runs_dir, settings_for()))]
    if as_json:
        click.echo(json.dumps({"version": 1, "findings": [f._asdict() for f in findings]}, indent=2))
    else:
        print_rows(("what", "state", "says"), [tuple(finding) for finding in findings])
    ctx.exit(4 if any(finding.state == "broken" for finding in findings) else 0)


def _programs() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} {sys.executable}")
    for name in ("ansible-core", "ansible-runner"):
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "broken", f"not installed; mend: pip install {name}")
    playbook = Path(sys.executable).parent / "ansible-playbook"
    found = str(playbook) if playbook.exists() else shutil.which("ansible-playbook")
    mend = "not on PATH; mend: pip install ansible-core"
    yield Finding("ansible-playbook", "ok" if found else "broken", found or mend)
    yield _ssh()


def _ssh() -> Finding:
    program = shutil.which("ssh")
    if program is None:
        return Finding("ssh", "note", "not on PATH: only --on local works; mend: install the OpenSSH client")
    done = subprocess.run([program, "-V"], capture_output=True, text=True, check=False, timeout=10)
    return Finding("ssh", "ok", (done.stderr or done.stdout).strip())


def _plugins() -> Iterator[Finding]:
    for state in registry.states():
        what = f"{state.kind} {state.name}"
        if state.problem:
            yield Finding(what, "broken", f"{state.distribution}: {state.problem}")
        else:
            yield Finding(what, "ok", state.distribution)


def _schedulers() -> Iterator[Finding]:
    """Whether each scheduler can work here; what it is to be given does not matter for that."""
    for name in registry.names("scheduler"):
        try:
            cls = registry.load("scheduler", name)
        except BenchhubError:
            continue  # told by its row as a plugin
        problem = cls.unusable()
        yield Finding(f"--on {name}", "note" if problem else "ok", problem or "can work here")


def _lost(runs_dir: Path) -> Iterator[Finding]:
    from benchhub_ansible.execution.runs import lost_runs  # noqa: PLC0415

    for folder in lost_runs(runs_dir):
        says = f"its controller died; mend: benchhub recover {folder.run_id}"
        yield Finding(f"run {folder.run_id}", "note", says)
