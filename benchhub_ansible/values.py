"""Small values that job files, plans and reports share: durations, sizes, slugs and texts with references."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration(text: str | float) -> float:
    """Seconds of ``90``, ``"500ms"``, ``"2m"``, ``"1h30m"``; ValueError when it is none of these or negative."""
    if isinstance(text, bool):
        raise ValueError("a duration is a number of seconds or a text such as 30s, 2m, 1h30m")
    if isinstance(text, int | float) or re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        seconds = float(text)
    elif _DURATION.fullmatch(text.strip()):
        seconds = sum(float(n) * _DURATION_UNITS[u] for n, u in _DURATION_PART.findall(text))
    else:
        raise ValueError("a duration is a number of seconds or a text such as 30s, 2m, 1h30m")
    if not 0 <= seconds < 10**9:
        raise ValueError("a duration lies between 0 and 30 years")
    return seconds


def format_duration(seconds: float) -> str:
    """``0.25`` → ``250ms``, ``90`` → ``1m30s``; parse_duration of it gives the same number of milliseconds."""
    total_ms = round(seconds * 1000)
    if total_ms == 0:
        return "0s"
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, total_ms = divmod(total_ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def clock(when: float) -> str:
    """The local time of day of an instant (epoch seconds), with the date when that is not today."""
    there = time.localtime(when)
    return time.strftime("%H:%M:%S" if there[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M", there)


def parse_size(text: str | int) -> int:
    """Bytes of ``8GiB``, ``500MB``, ``4096``; ValueError when it is not a size."""
    if isinstance(text, bool):
        raise ValueError("a size is a number of bytes or a text such as 512MiB, 8GiB")
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError("a size is a number of bytes or a text such as 512MiB, 8GiB")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def slug(text: str, *, limit: int = 48) -> str:
    """A name safe in file and process names: ``install Xephon-B`` → ``install-xephon-b``; never empty."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-")
    return cleaned or "x"


# -- texts with references ------------------------------------------------------------------------------------------
#
# A *text* is a string in which `${name}` may be a reference and `$${` stands for a literal `${`. Which names are
# references differs along the flow: in a job file also `vars` and matrix names, in a plan only what a node or the
# inventory knows (RUNTIME_REFERENCE). Everything that is not a reference is literal, `${HOME}` and `{{ x }}` too.

_TOKEN = re.compile(r"\$\$\{|\$\{([^${}\n]*)\}")

#: The references that are still open in a plan; the collection expands the same names on the way to the node.
RUNTIME_REFERENCE = re.compile(
    r"central"
    r"|node\.(?:address|name|index)"
    r"|nodes\.[A-Za-z0-9_-]+(?:\[\d+\])?\.(?:address|name)"
    r"|types\.[A-Za-z0-9_-]+\.(?:addresses|names)"
    r"|run\.(?:id|dir)"
    r"|secrets\.[A-Za-z_][A-Za-z0-9_]*"
)


@dataclass(frozen=True, kw_only=True)
class Literal:
    """Characters that reach the node as they are."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """``${name}``, with the offset of its ``$`` in the text it was read from."""

    name: str
    offset: int


def tokens(text: str) -> Iterator[Literal | Reference]:
    """The literals and the ``${…}`` of a text in order; ``$${`` comes out as the literal ``${``."""
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            yield Literal(text=text[end : match.start()])
        if match[0] == "$${":
            yield Literal(text="${")
        else:
            yield Reference(name=match[1], offset=match.start())
        end = match.end()
    if end < len(text):
        yield Literal(text=text[end:])


def has_secret(text: str) -> bool:
    """Whether a text names a secret."""
    return any(isinstance(token, Reference) and token.name.startswith("secrets.") for token in tokens(text))


def escape_literal(text: str) -> str:
    """A text that expands to exactly ``text``: a value put into a text never becomes a reference."""
    return text.replace("${", "$${")


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """The text with every reference that ``lookup`` knows replaced; a ``${x}`` it answers None for stays as it is."""
    parts = []
    for token in tokens(text):
        if isinstance(token, Literal):
            parts.append(token.text)
        else:
            value = lookup(token.name)
            parts.append("${" + token.name + "}" if value is None else value)
    return "".join(parts)


def substitute(text: str, values: Callable[[str], str | None]) -> str:
    """A *text* again, with the references that ``values`` knows replaced by their escaped value, all others kept."""
    parts = []
    for token in tokens(text):
        if isinstance(token, Literal):
            parts.append(escape_literal(token.text))
        else:
            value = values(token.name)
            parts.append("${" + token.name + "}" if value is None else escape_literal(value))
    return "".join(parts)
