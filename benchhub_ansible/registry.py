"""Plugins by entry point: built-ins and others come the same way, and a broken one says who brought it and why."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from benchhub_ansible.errors import PluginError

#: kind → entry-point group
GROUPS = {
    "scheduler": "benchhub.schedulers",
    "driver": "benchhub.drivers",
    "metric": "benchhub.metrics",
    "report": "benchhub.reports",
}


@dataclass(frozen=True, kw_only=True)
class PluginState:
    """One row of ``doctor``: a plugin, who brought it, and why it does not load (None: it does)."""

    kind: str
    name: str
    distribution: str
    problem: str | None


@functools.cache  # reading every installed distribution's metadata takes 10 ms, and a plan asks once per task
def _points(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUPS[kind])}


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown distribution"


def names(kind: str) -> tuple[str, ...]:
    """The names of all plugins of a kind, sorted; nothing is loaded."""
    return tuple(sorted(_points(kind)))


def load(kind: str, name: str) -> Any:
    """The object a plugin's entry point names; PluginError when there is none or it does not load."""
    points = _points(kind)
    point = points.get(name)
    if point is None:
        close = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(points)) or 'none'}"
        raise PluginError(f"there is no {kind} named {name!r}", hint=hint)
    try:
        return point.load()
    except Exception as cause:  # a plugin may fail in any way; it must never take benchhub down with it
        raise PluginError(
            f"{kind} {name!r} of {_distribution(point)} does not load: {type(cause).__name__}: {cause}",
            hint="mend or uninstall that distribution; `benchhub doctor` lists every plugin",
        ) from cause


def states() -> Iterator[PluginState]:
    """Loads every plugin of every kind and tells the state of each."""
    for kind in GROUPS:
        for name, point in sorted(_points(kind).items()):
            problem = None
            try:
                point.load()
            except Exception as cause:  # noqa: BLE001 - reported as a row, whatever it is
                problem = f"{type(cause).__name__}: {cause}"
            yield PluginState(kind=kind, name=name, distribution=_distribution(point), problem=problem)
