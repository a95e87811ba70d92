"""`benchhub validate`: every finding of every job file; exit 3 if one is an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from benchhub_ansible.errors import Diagnostic, ExitCode, JobError, Severity
from benchhub_ansible.job.load import MAX_BYTES, LoadedJob, load_bytes, load_file
from benchhub_ansible.shown import visible


def load_named(name: str) -> LoadedJob:
    """The job of a file, or of the standard input when the name is ``-``; JobError as from ``load_file``."""
    if name == "-":
        return load_bytes(sys.stdin.buffer.read(MAX_BYTES + 1), name="<stdin>")
    return load_file(Path(name))


def as_data(diagnostic: Diagnostic) -> dict[str, Any]:
    """A finding for machines."""
    span = diagnostic.span
    return {
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "file": diagnostic.source.name if diagnostic.source is not None else None,
        "line": span.line if span is not None else None,
        "column": span.column if span is not None else None,
        "length": span.length if span is not None else None,
    }


@click.command(epilog="Example: benchhub validate job.yml")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def validate(context: click.Context, jobs: tuple[str, ...], *, as_json: bool) -> None:
    """Tell everything that is wrong with job files.

    Nothing is run. Ends with 3 when a finding is an error, with 0 when there are only warnings. `-` is the
    standard input.
    """
    found: list[Diagnostic] = []
    valid: list[tuple[str, LoadedJob]] = []
    for name in jobs:
        try:
            loaded = load_named(name)
        except JobError as error:
            found.extend(error.diagnostics)
        else:
            valid.append((name, loaded))
            found.extend(loaded.warnings)
    failed = any(item.severity is Severity.ERROR for item in found)
    if as_json:
        click.echo(json.dumps({"valid": not failed, "findings": [as_data(item) for item in found]}, indent=2))
        context.exit(ExitCode.JOB if failed else ExitCode.SUCCESS)
    if failed:
        raise JobError(*found)
    print_warnings(found)
    for name, loaded in valid:
        job = loaded.job
        click.echo(
            visible(
                f"{name}: valid ({job.name}: {len(job.stages)} stages, {sum(node.count for node in job.nodes)} nodes)"
            )
        )


def print_warnings(warnings: Iterable[Diagnostic]) -> None:
    """Prints warnings where they do not mix with output."""
    for warning in warnings:
        click.echo(warning.render(), err=True)
