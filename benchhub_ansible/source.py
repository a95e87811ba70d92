"""Where a value stood: sources, positions in them, and the excerpt that a diagnostic shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text and the name a user knows it by (a path, or ``<stdin>``)."""

    name: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        r"""The lines of the text without their ends; only ``\n`` and ``\r\n`` end a line, as in an editor."""
        return tuple(line.removesuffix("\r") for line in self.text.split("\n"))

    def line(self, number: int) -> str:
        """Line ``number`` (1-based), or the empty string when there is none."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, kw_only=True, order=True)
class Span:
    """A place in a source: 1-based line and column, and how many characters it covers on that line (0: unknown)."""

    line: int
    column: int
    length: int = 0


#: Longest line an excerpt shows; beyond that it is cut around the span, so hostile input cannot flood a terminal.
EXCERPT_WIDTH = 120


def excerpt(source: Source, span: Span) -> str:
    """The line a span stands on with a caret line below it; control characters are shown as spaces."""
    line = source.line(span.line)
    start = max(0, span.column - 1)
    offset = max(0, start - EXCERPT_WIDTH // 2) if len(line) > EXCERPT_WIDTH else 0
    shown = "".join(c if c.isprintable() else " " for c in line[offset : offset + EXCERPT_WIDTH])
    width = max(1, min(span.length or 1, len(shown) - (start - offset)))
    gutter = f"{span.line:>5} | "
    return f"{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {' ' * (start - offset)}{'^' * width}"
