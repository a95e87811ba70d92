"""``benchhub nodes``: the machines there are, who has them and who waits; ``nodes release`` ends a lease."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from benchhub_ansible.cli.options import json_option, settings_for
from benchhub_ansible.shown import visible
from benchhub_ansible.values import clock

if TYPE_CHECKING:
    from benchhub_ansible.schedulers.base import NodeState, Scheduler, Waiting

_EPILOG = """\b
Examples:
  benchhub nodes
  benchhub nodes --on inventory:hosts.ini --json
  benchhub nodes --on pool:lab.yml
  benchhub nodes release 20261123-193012-kairosdb-7f3a --on pool:lab.yml"""

_on_option = click.option("--on", "where", metavar="WHERE", help="Where nodes come from (default: local).")


@click.group(epilog=_EPILOG, invoke_without_command=True, subcommand_metavar="[release LEASE]")
@_on_option
@json_option
@click.pass_context
def nodes(ctx: click.Context, where: str | None, *, as_json: bool) -> None:
    """List the machines of WHERE: their type, their address, who has them until when; and who waits for them."""
    ctx.obj = where
    if ctx.invoked_subcommand is not None:
        return
    scheduler = _scheduler(where)
    found, queue = scheduler.nodes(), scheduler.waiting()
    if as_json:
        data = {"version": 1, "nodes": [asdict(n) for n in found], "waiting": [asdict(w) for w in queue]}
        click.echo(json.dumps(data, indent=2))
        return
    print_rows(("node", "type", "address", "held", "facts"), [_row(node) for node in found])
    if queue:
        click.echo()
        rows = [_queued(number, waiting) for number, waiting in enumerate(queue, 1)]
        print_rows(("queue", "run", "holder", "waits since", "for", "because"), rows)


@nodes.command(epilog="Example: benchhub nodes release 20261123-193012-kairosdb-7f3a --on pool:lab.yml")
@click.argument("lease")
@_on_option
@click.option("--force", is_flag=True, help="Also when its run is under way, which then ends with that reason.")
@click.pass_context
def release(ctx: click.Context, lease: str, where: str | None, *, force: bool) -> None:
    """End LEASE (what `nodes` shows, or a unique part of it): of a run whose controller died, say."""
    _scheduler(where or ctx.obj).end(lease, force=force)
    click.echo(f"ended: {visible(lease)}")


def _scheduler(where: str | None) -> Scheduler:
    from benchhub_ansible.schedulers.where import DEFAULT_WHERE, usable_scheduler  # noqa: PLC0415

    settings = settings_for()
    return usable_scheduler(where or settings.on or DEFAULT_WHERE, settings.ansible_args or ())


def _row(node: NodeState) -> tuple[str, ...]:
    facts = " ".join(f"{key}={value}" for key, value in node.facts.items())
    return (node.name, node.type, node.address, _held(node), facts)


def _held(node: NodeState) -> str:
    if node.holder is None:
        return "free"
    words = [node.holder, f"for {node.lease}" if node.lease else "", f"until {clock(node.until)}" if node.until else ""]
    return " ".join(filter(None, words))


def _queued(number: int, waiting: Waiting) -> tuple[str, ...]:
    since = clock(waiting.since)
    return (str(number), waiting.run_id, waiting.holder, since, waiting.needs, waiting.reason)


def print_rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A plain table, columns as wide as their widest cell; the last one is not padded."""
    table = [head, *rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo(visible("  ".join(cells).rstrip()))
