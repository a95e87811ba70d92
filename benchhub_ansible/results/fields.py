"""Typed reading of JSON that a node or a dead controller wrote: what does not fit is absent, never an exception."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Longest text that is taken from a node's JSON into a result; a log belongs in a file.
TEXT_LIMIT = 4000
#: Most lines of output that a result repeats.
LINES_LIMIT = 40


def number(value: Any) -> float | None:
    """A finite float, or None; true and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def integer(value: Any) -> int | None:
    """A whole number below 2**63, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def text(value: Any) -> str | None:
    """A string cut to TEXT_LIMIT, or None; lone surrogates become U+FFFD so that it can always be encoded."""
    if not isinstance(value, str):
        return None
    return value[:TEXT_LIMIT].encode("utf-8", "replace").decode("utf-8")


def flag(value: Any) -> bool | None:
    """True, False, or None when it is neither."""
    return value if isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping with string keys, or an empty one."""
    return {key: item for key, item in value.items() if isinstance(key, str)} if isinstance(value, Mapping) else {}


def sequence(value: Any) -> tuple[Any, ...]:
    """The items of a list, or none."""
    return tuple(value) if isinstance(value, list | tuple) else ()


def lines(value: Any) -> tuple[str, ...]:
    """The last LINES_LIMIT lines of a list of strings or of one string."""
    parts = value.split("\n") if isinstance(value, str) else sequence(value)
    found = (text(part) for part in parts[-LINES_LIMIT:])
    return tuple(part for part in found if part is not None)


def scalars(value: Any) -> dict[str, str | float | int | bool | None]:
    """A flat mapping of plain values, e.g. the facts of a node; everything nested is shown as text."""
    result: dict[str, str | float | int | bool | None] = {}
    for key, item in mapping(value).items():
        name = text(key) or ""
        if item is None or isinstance(item, bool):
            result[name] = item
        elif isinstance(item, int):
            result[name] = integer(item)
        elif isinstance(item, float):
            result[name] = number(item)
        else:
            result[name] = text(item if isinstance(item, str) else repr(item))
    return result
