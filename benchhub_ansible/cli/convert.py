"""`benchhub convert`: a job in the other notation."""

from __future__ import annotations

from pathlib import Path

import click

from benchhub_ansible.cli.validate import load_named, print_warnings
from benchhub_ansible.errors import UsageError
from benchhub_ansible.job.convert import to_brace, to_yaml


@click.command(epilog="Example: benchhub convert job-v2.job -o job.yml")
@click.argument("job", metavar="JOB", type=click.Path(allow_dash=True))
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write here, not to the standard output."
)
def convert(job: str, output: Path | None) -> None:
    """Write a job in the other notation.

    Brace notation becomes YAML, YAML becomes brace notation; an output FILE that ends in .job, .yml or .yaml
    decides instead. Both give the same plan. Comments are not carried over. An existing FILE is not overwritten.
    """
    loaded = load_named(job)
    print_warnings(loaded.warnings)
    ending = output.suffix.lower() if output is not None else ""
    to_braces = ending == ".job" or (ending not in {".yml", ".yaml"} and loaded.job.notation == "yaml")
    text = to_brace(loaded.job) if to_braces else to_yaml(loaded.job)
    if output is None:
        click.echo(text, nl=False)
        return
    write_new(output, text)
    click.echo(f"wrote {output}")


def write_new(path: Path, text: str) -> None:
    """Writes a file that is not there yet; UsageError when it is, or when it cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint="name another file, or remove it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path} cannot be written: {reason}") from None
