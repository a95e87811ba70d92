"""What a reader makes of a text: scalars, sequences and mappings, each with the place it stood at.

Both notations become the same tree, so the schema, the builder and every check exist once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchhub_ansible.errors import Diagnostic, JobError, Severity
from benchhub_ansible.source import Source, Span

#: How deep values may nest. A job needs ten levels; the limit keeps hostile input from exhausting the stack.
MAX_DEPTH = 64

#: How many values a job may hold once its aliases are expanded: room for far more than 1,000 stages, too few to hurt.
MAX_NODES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """One value. ``text`` is what the user wrote, ``value`` what it is where a number or a boolean is asked for."""

    value: str | int | float | bool | None
    text: str
    span: Span
    start: int  # offsets in the source's text
    end: int
    surprise: str | None = None  # what YAML takes it for, when that is not the text the user sees


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceNode:
    """Values in order."""

    items: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingNode:
    """Keys and values in the order of the file; a key stands there once."""

    keys: Mapping[str, Scalar]
    values: Mapping[str, Node]
    span: Span

    def get(self, key: str) -> Node | None:
        """The value of ``key``, None when it is not there."""
        return self.values.get(key)

    def entries(self) -> Iterator[tuple[str, Scalar, Node]]:
        """Each key's text, the key and the value."""
        for name, key in self.keys.items():
            yield name, key, self.values[name]


Node = Scalar | SequenceNode | MappingNode


@dataclass(frozen=True)
class Places:
    """Turns offsets of a text into spans."""

    text: str

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        position = self.text.find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = self.text.find("\n", position + 1)
        return starts

    def span(self, start: int, end: int) -> Span:
        """The span of ``text[start:end]``; its length ends with the first line."""
        start = min(max(start, 0), len(self.text))
        line = bisect_right(self._starts, start)
        line_start = self._starts[line - 1]
        line_end = self._starts[line] - 1 if line < len(self._starts) else len(self.text)
        return Span(line=line, column=start - line_start + 1, length=max(0, min(end, line_end) - start))


def mapping(
    pairs: Sequence[tuple[Scalar, Node]], *, span: Span, source: Source, found: list[Diagnostic]
) -> MappingNode:
    """The mapping of ``pairs``; a key that stands there twice is told and its first value kept."""
    keys: dict[str, Scalar] = {}
    values: dict[str, Node] = {}
    for key, value in pairs:
        first = keys.get(key.text)
        if first is not None:
            found.append(
                Diagnostic(
                    code="duplicate-key",
                    message=f"`{key.text}` stands here a second time",
                    source=source,
                    span=key.span,
                    hint=f"the first one is in line {first.span.line}; keep one of them",
                )
            )
            continue
        keys[key.text] = key
        values[key.text] = value
    return MappingNode(keys=keys, values=values, span=span)


def plain(node: Node) -> Any:
    """The tree as dicts, lists and scalars, for the schema."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return {name: plain(value) for name, value in node.values.items()}


def scalars(node: Node) -> Iterator[Scalar]:
    """Every value in the tree, in the order of the file; keys are not among them."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, SequenceNode):
        for item in node.items:
            yield from scalars(item)
    else:
        for value in node.values.values():
            yield from scalars(value)


def syntax_error(
    source: Source, span: Span | None, message: str, *, code: str = "syntax", hint: str | None = None
) -> JobError:
    """The error that ends reading: text after it has no meaning any more."""
    return JobError(
        Diagnostic(code=code, message=message, severity=Severity.ERROR, source=source, span=span, hint=hint)
    )
