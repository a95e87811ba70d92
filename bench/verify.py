"""Did a contender really do the reference job? Judged by what its commands left, never by what it says of itself."""

import re
import socket
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

_LOADER = ("install-loader-1", "install-loader-2", "load", "clean")
_DATABASE = ("install-database-1", "install-database-2", "build-1", "build-2", "build-3", "clean")
_INSTALL = r"(install|build)-.*"
#: Each pattern's last line must come before the first line of the next: the job's pipeline.
_PIPELINE = (
    rf"{_INSTALL} (begin|end)",
    r"store begin",
    r"store up",
    r"api begin",
    r"api up",
    r"ping (begin|end)",
    r"load (begin|end)",
    r"api end",
    r"store end",
    r"clean (begin|end)",
)


def complaints(directory: Path, addresses: list[str], ports: list[int]) -> list[str]:
    """What is wrong, one line each; empty when every step ran where and when it should and nothing was left."""
    lines = (directory / "steps.log").read_text().splitlines()
    return [
        *_counts(lines, addresses),
        *_order(lines),
        *(f"port {port} is still open" for port in ports if _open(addresses[0], port)),
        *(f"not cleaned: {left}" for left in sorted([*directory.glob("nodes/*/*"), *directory.glob("node-dir/*")])),
    ]


def loads_overlapped(directory: Path, loaders: int) -> bool:
    """Whether there was a moment at which all loaders were loading."""
    lines = (directory / "steps.log").read_text().splitlines()
    loads = [line.split()[1] for line in lines if line.startswith("load ")]
    return loads[:loaders] == ["begin"] * loaders


def _counts(lines: list[str], addresses: list[str]) -> Iterator[str]:
    database, *loaders = addresses
    expected = Counter(f"{step} {what} {database}" for step in _DATABASE for what in ("begin", "end"))
    expected.update(f"{name} {what} {database}" for name in ("store", "api") for what in ("begin", "up", "end"))
    for address in loaders:
        expected.update(f"{step} {what} {address}" for step in _LOADER for what in ("begin", "end"))
        expected[f"ping end {address}"] = 1  # a ping may begin more than once: it is tried again
    found = Counter(line for line in lines if not line.startswith("ping begin "))
    for line in sorted(expected | found):
        if found[line] != expected[line]:
            yield f"'{line}' is there {found[line]} times, expected {expected[line]}"


def _order(lines: list[str]) -> Iterator[str]:
    spans = []
    for pattern in _PIPELINE:
        places = [place for place, line in enumerate(lines) if re.match(pattern, line)]
        if places:
            spans.append((pattern, places[0], places[-1]))
    for (before, _, last), (after, first, _) in pairwise(spans):
        if last > first:
            yield f"'{lines[first]}' ({after}) came before '{lines[last]}' ({before})"
    for name in ("install-loader", "install-database", "build"):
        for address in {line.split()[2] for line in lines}:
            steps = [line for line in lines if line.startswith(f"{name}-") and line.endswith(f" {address}")]
            if steps != sorted(steps):  # NAME-1 begin, NAME-1 end, NAME-2 begin, …
                yield f"the steps of {name} on {address} were not one after the other"


def _open(address: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((address, port)) == 0
