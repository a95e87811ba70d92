"""YAML text → tree.

Built from libyaml's events, not from its constructor: positions, duplicate keys and plain scalars are still there, a
deeply nested or self-multiplying file is refused before it is built, and no tag makes an object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from benchhub_ansible.errors import Diagnostic, JobError
from benchhub_ansible.job.tree import (
    MAX_DEPTH,
    MAX_NODES,
    MappingNode,
    Node,
    Places,
    Scalar,
    SequenceNode,
    mapping,
    syntax_error,
)
from benchhub_ansible.job.yaml_scalars import resolve
from benchhub_ansible.source import Source, Span

#: libyaml's parser where PyYAML was built with it: ten times faster, same events.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STR_TAG = "tag:yaml.org,2002:str"

_QUOTE_HINT = "put the value in quotes, or write it as a block after `|`"

#: A part of libyaml's message, then how it is told: message, hint.
_REWORDED = (
    (
        "cannot start any token",
        "a reserved character stands where a value begins",
        "a value that begins with @, ` or % needs quotes",
    ),
    ("mapping values are not allowed", "`: ` inside a value that is not quoted", _QUOTE_HINT),
    (
        "could not find expected ':'",
        "this line is neither `key: value` nor part of the value above",
        "check the indentation, and that `key:` is followed by a blank",
    ),
    (
        "did not find expected '-' indicator",
        "this line is not indented as the list items above",
        "items of one list begin in the same column",
    ),
    (
        "did not find expected key",
        "this line is not indented as the keys above, or a quote or bracket before it is not closed",
        "keys of one mapping begin in the same column; a value with quotes inside needs quotes around it",
    ),
    (
        "block sequence entries are not allowed",
        "a list item cannot stand here",
        "put the `-` on a line of its own below the key",
    ),
    ("while scanning a quoted scalar", "a quote is opened here and never closed", "end the text with the same quote"),
    (
        "did not find expected ',' or ']'",
        "a list `[…]` is not closed, or a comma is missing",
        "texts with brackets or commas inside need quotes",
    ),
    (
        "did not find expected ',' or '}'",
        "a mapping `{…}` is not closed, or a comma is missing",
        "texts with braces or commas inside need quotes",
    ),
    ("undefined alias", "`*name` refers to an anchor that does not exist", "a value that begins with * needs quotes"),
    ("while scanning an alias", "a value begins with *", "a value that begins with * needs quotes"),
    ("while scanning an anchor", "a value begins with &", "a value that begins with & needs quotes"),
    (
        "undefined tag handle",
        "a value begins with ! and names no tag YAML knows",
        "a value that begins with ! needs quotes",
    ),
    ("while scanning a directive", "a line begins with %", "a value that begins with % needs quotes"),
    (
        "found unknown escape character",
        "a backslash in double quotes begins no escape that YAML knows",
        "write \\\\ for a backslash, or use single quotes",
    ),
)

#: What libyaml says of a limit of its own on nesting. Its scanner reads ahead, so it may stop before our limit is told.
_LIBYAML_DEPTH = ("exceeded maximum nesting depth", "exceeded maximum depth", "exceeded max depth")
_TOO_DEEP = f"values nest more than {MAX_DEPTH} levels deep"


@dataclass(kw_only=True)
class _Open:
    """A sequence or mapping whose end has not been read yet."""

    is_mapping: bool
    start: int
    anchor: str | None
    nodes: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(kw_only=True)
class _Builder:
    """Puts events together; ``found`` collects what does not stop the reading."""

    source: Source
    places: Places
    found: list[Diagnostic]
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int] | None] = field(default_factory=dict)
    root: Node | None = None
    documents: int = 0
    total: int = 0

    def stop(self, event: Any, message: str, *, code: str = "syntax", hint: str | None = None) -> JobError:
        """The error at the place of an event."""
        span = self.places.span(event.start_mark.index, event.end_mark.index)
        return syntax_error(self.source, span, message, code=code, hint=hint)

    def feed(self, event: Any) -> None:
        """Takes the next event."""
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.stop(
                    event, "a second YAML document begins here", hint="a job is one document; remove the `---`"
                )
        elif isinstance(event, yaml.ScalarEvent):
            self.add(self.scalar(event), anchor=event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self.open(event)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self.close(event)

    def scalar(self, event: Any) -> Scalar:
        """The value of a scalar event: a plain one is resolved, a quoted one is its text."""
        start, end = event.start_mark.index, event.end_mark.index
        if event.tag is not None and event.tag not in {_STR_TAG, "!"}:
            raise self.stop(
                event,
                f"the tag {event.tag} is not allowed",
                hint="a job holds plain values; put a text that begins with ! in quotes",
            )
        value, surprise = (
            resolve(event.value) if event.style in {None, ""} and event.tag is None else (event.value, None)
        )
        return Scalar(
            value=value, text=event.value, span=self.places.span(start, end), start=start, end=end, surprise=surprise
        )

    def add(self, node: Node, *, anchor: str | None, size: int = 1) -> None:
        """Puts a finished value where it belongs."""
        self.total += size
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        if self.stack:
            self.stack[-1].nodes.append(node)
            self.stack[-1].size += size
        else:
            self.root = node

    def alias(self, event: Any) -> None:
        """Puts a value named by ``*name`` again, unless that multiplies without end."""
        known = self.anchors.get(event.anchor)
        if known is None:
            raise self.stop(
                event,
                f"`*{event.anchor}` refers to itself or to an anchor that does not exist",
                hint="a value that begins with * needs quotes",
            )
        node, size = known
        if self.total + size > MAX_NODES:
            raise self.stop(event, "the aliases of this file expand to too many values", code="too-large")
        self.add(node, anchor=None, size=size)

    def open(self, event: Any) -> None:
        """Begins a sequence or a mapping."""
        if len(self.stack) >= MAX_DEPTH:
            raise self.stop(event, _TOO_DEEP, code="too-deep")
        if event.tag is not None and event.tag not in {"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}:
            raise self.stop(event, f"the tag {event.tag} is not allowed", hint="a job holds plain values")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.stack.append(_Open(is_mapping=is_mapping, start=event.start_mark.index, anchor=event.anchor))

    def close(self, event: Any) -> None:
        """Ends the innermost sequence or mapping."""
        done = self.stack.pop()
        span = self.places.span(done.start, event.end_mark.index)
        node: Node = self.pairs(done, span) if done.is_mapping else SequenceNode(items=tuple(done.nodes), span=span)
        if self.stack and self.stack[-1].is_mapping and len(self.stack[-1].nodes) % 2 == 0:
            raise syntax_error(
                self.source,
                span,
                "a key of a mapping is a text",
                hint="a value that begins with { or [ needs quotes: '{{ x }}'",
            )
        self.add(node, anchor=done.anchor, size=done.size)

    def pairs(self, done: _Open, span: Span) -> MappingNode:
        """The mapping of the keys and values read, merge keys (``<<``) taken in."""
        pairs: list[tuple[Scalar, Node]] = []
        merged: list[tuple[Scalar, Node]] = []
        for key, value in zip(done.nodes[::2], done.nodes[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise syntax_error(self.source, key.span, "a key of a mapping is a text")
            if key.text == "<<" and key.value == "<<":
                merged.extend(self.merge(value))
            else:
                self.check_key(key)
                pairs.append((key, value))
        own = {key.text for key, _ in pairs}
        inherited = {key.text: (key, value) for key, value in reversed(merged) if key.text not in own}
        return mapping([*pairs, *inherited.values()], span=span, source=self.source, found=self.found)

    def merge(self, value: Node) -> list[tuple[Scalar, Node]]:
        """The entries that ``<<: value`` takes in."""
        parts = value.items if isinstance(value, SequenceNode) else (value,)
        entries: list[tuple[Scalar, Node]] = []
        for part in parts:
            if not isinstance(part, MappingNode):
                raise syntax_error(self.source, part.span, "`<<` takes a mapping, or a list of mappings")
            entries.extend((key, item) for _, key, item in part.entries())
        return entries

    def check_key(self, key: Scalar) -> None:
        """Tells a key that YAML does not take for the text it looks like."""
        if not isinstance(key.value, str) and key.surprise is not None:
            self.found.append(surprise(self.source, key))


def surprise(source: Source, scalar: Scalar) -> Diagnostic:
    """The finding that a plain scalar is not the text it looks like."""
    return Diagnostic(
        code="yaml-surprise",
        message=f"YAML takes `{scalar.text}` for {scalar.surprise}" if scalar.text else "a value is missing here",
        source=source,
        span=scalar.span,
        hint=f'put it in quotes when the text is meant: "{scalar.text}"'
        if scalar.text
        else "write a value, or remove the key",
    )


def read_yaml(source: Source, text: str, found: list[Diagnostic]) -> Node:
    """The tree of ``text`` (the source's own, or a part of it at the same positions); JobError when it is not YAML."""
    places = Places(text)
    builder = _Builder(source=source, places=places, found=found)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.feed(event)
    except yaml.YAMLError as error:
        raise _reworded(source, places, error) from None
    if builder.root is None:
        raise syntax_error(
            source, None, "the file is empty", code="empty", hint="`benchhub init` writes a small job to begin with"
        )
    return builder.root


def _reworded(source: Source, places: Places, error: yaml.YAMLError) -> JobError:
    problem = getattr(error, "problem", None)
    context = getattr(error, "context", None)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if context == "while scanning a quoted scalar" and problem == "found unexpected end of stream":
        mark = getattr(error, "context_mark", None) or mark
    span = places.span(mark.index, mark.index + 1) if mark is not None else None
    if mark is not None and places.text[mark.index : mark.index + 1] == "\t":
        return syntax_error(source, span, "a tab cannot indent YAML", hint="indent with blanks")
    said = f"{context or ''} {problem or error}"
    if any(words in said.lower() for words in _LIBYAML_DEPTH):
        return syntax_error(source, span, _TOO_DEEP, code="too-deep")
    for part, message, hint in _REWORDED:
        if part in said:
            return syntax_error(source, span, message, hint=hint)
    reason = " ".join(str(problem or error).split())
    return syntax_error(source, span, f"this is not YAML: {reason[:200]}")
