"""``benchhub logs``: what the steps and services of a run printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from benchhub_ansible.cli.options import run_argument, runs_dir_of, runs_dir_option, settings_for
from benchhub_ansible.errors import UsageError
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.shown import visible_lines, without_colours

_EPILOG = """\b
Examples:
  benchhub logs                          all outputs of the latest run
  benchhub logs latest --slot loader-1 --unit load
  benchhub logs latest --ansible --follow"""

_CHUNK = 65536


@click.command(epilog=_EPILOG)
@run_argument
@click.option("--slot", help="Only of this slot.")
@click.option("--unit", help="Only of this stage or service.")
@click.option("--ansible", is_flag=True, help="What ansible-playbook printed.")
@click.option("--follow", "-f", is_flag=True, help="Go on as long as the run does (what Ansible prints).")
@click.option("--list", "only_list", is_flag=True, help="Print the files' paths instead.")
@runs_dir_option
def logs(run: str | None, runs_dir: Path | None, **given: bool | str | None) -> None:
    """Show what the steps and services of RUN (default: the latest) printed."""
    from benchhub_ansible.execution.runs import find_run  # noqa: PLC0415

    folder = find_run(runs_dir_of(runs_dir, settings_for()), run)
    ansible = bool(given["ansible"] or given["follow"])
    paths = _ansible_outputs(folder) if ansible else list(_outputs(folder, given["slot"], given["unit"]))
    if given["only_list"]:
        for path in paths:
            click.echo(str(path))
        return
    if not paths and not given["follow"]:
        hint = "outputs come back when the run ends; --ansible shows what Ansible printed so far"
        raise UsageError(f"run {folder.run_id} has no such outputs", hint=hint if folder.alive() else None)
    out = sys.stdout.buffer
    for path in paths:
        if not ansible:
            out.write(f"==> {path.relative_to(folder.collected)} <==\n".encode())
        _copy(path, out)
    out.flush()
    if given["follow"]:
        _follow(folder, paths[-1] if paths else None, out)


def _outputs(folder: RunFolder, slot: object, unit: object) -> Iterator[Path]:
    for path in sorted(folder.collected.glob("*/units/*/*")):
        if path.suffix not in (".out", ".err") or path.is_symlink() or not path.stat().st_size:
            continue
        of_slot, _, of_unit = path.relative_to(folder.collected).parts[:3]
        if slot in (None, of_slot) and (unit is None or of_unit == unit or of_unit.startswith(f"{unit}.")):
            yield path


def _ansible_outputs(folder: RunFolder) -> list[Path]:
    return sorted(folder.artifacts.glob("*/stdout"), key=lambda path: path.stat().st_mtime)


def _copy(path: Path, out: BinaryIO, start: int = 0) -> int:
    """Copies a file from ``start`` on, however large it is, and returns where it ended.

    A terminal gets it line by line, with escapes for what it would obey; a file or a pipe gets the bytes.
    """
    terminal = out.isatty()
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.readline(_CHUNK) if terminal else file.read(_CHUNK):
            out.write(_harmless(chunk) if terminal else chunk)
        return file.tell()


def _harmless(line: bytes) -> bytes:
    return visible_lines(without_colours(line.decode("utf-8", "backslashreplace"))).encode()


def _follow(folder: RunFolder, path: Path | None, out: BinaryIO) -> None:
    """Prints what is added to the newest output until the controller ends."""
    position = path.stat().st_size if path else 0
    while True:
        alive = folder.alive()
        newest = next(reversed(_ansible_outputs(folder)), None)
        if newest is not None:
            if newest != path:
                path, position = newest, 0
            position = _copy(newest, out, position)
            out.flush()
        if not alive:
            return
        time.sleep(0.2)
