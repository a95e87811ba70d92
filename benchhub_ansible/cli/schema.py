"""`benchhub schema`: the JSON Schema of job files or results."""

from __future__ import annotations

import click

from benchhub_ansible.resources import schema as schema_file


@click.command(epilog="Example: benchhub schema job > job.schema.json")
@click.argument("what", type=click.Choice(["job", "result"]))
def schema(what: str) -> None:
    """Print the JSON Schema of job files or of results."""
    click.echo(schema_file(what).read_text(encoding="utf-8"), nl=False)
