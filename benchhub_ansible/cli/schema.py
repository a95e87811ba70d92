"""`benchhub schema`: the JSON Schema of job files, results or lab files."""

from __future__ import annotations

import click

from benchhub_ansible.resources import schema as schema_file


@click.command(epilog="Example: benchhub schema job > job.schema.json")
@click.argument("what", type=click.Choice(["job", "result", "pool"]))
def schema(what: str) -> None:
    """Print the JSON Schema of job files, of results, or of the lab files of pools."""
    click.echo(schema_file(what).read_text(encoding="utf-8"), nl=False)
