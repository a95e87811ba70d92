"""``benchhub nodes``: the machines there are."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from benchhub_ansible.cli.options import json_option, settings_for
from benchhub_ansible.shown import visible

_EPILOG = """\b
Examples:
  benchhub nodes
  benchhub nodes --on inventory:hosts.ini --json"""


@click.command(epilog=_EPILOG)
@click.option("--on", "where", metavar="WHERE", help="Where nodes come from (default: local).")
@json_option
def nodes(where: str | None, *, as_json: bool) -> None:
    """List the machines of WHERE: their type, their address, who has them until when."""
    from benchhub_ansible.schedulers.inventory import InventoryScheduler  # noqa: PLC0415
    from benchhub_ansible.schedulers.where import DEFAULT_WHERE, scheduler_for  # noqa: PLC0415

    settings = settings_for()
    scheduler = scheduler_for(where or settings.on or DEFAULT_WHERE)
    if isinstance(scheduler, InventoryScheduler):
        scheduler.arguments = settings.ansible_args or ()
    found = scheduler.nodes()
    if as_json:
        click.echo(json.dumps({"version": 1, "nodes": [asdict(node) for node in found]}, indent=2))
        return
    rows = [
        (node.name, node.type, node.address, _held(node.holder, node.until), _facts(dict(node.facts))) for node in found
    ]
    print_rows(("node", "type", "address", "held", "facts"), rows)


def _held(holder: str | None, until: float | None) -> str:
    if holder is None:
        return "free"
    return holder + (time.strftime(" until %H:%M:%S", time.localtime(until)) if until else "")


def _facts(facts: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in facts.items())


def print_rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A plain table, columns as wide as their widest cell; the last one is not padded."""
    table = [head, *rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo(visible("  ".join(cells).rstrip()))
