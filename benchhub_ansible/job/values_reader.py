"""Typed values out of the tree: each accessor gives the value or tells what is wrong with it and gives none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from benchhub_ansible.errors import Diagnostic, Severity
from benchhub_ansible.job.tree import MappingNode, Node, Scalar, SequenceNode
from benchhub_ansible.job.yaml_reader import surprise
from benchhub_ansible.source import Source, Span
from benchhub_ansible.values import Reference, parse_duration, parse_size, tokens

_T = TypeVar("_T")

_PORT = re.compile(r"\d{1,5}")
_HOST = re.compile(r"\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+")


@dataclass(frozen=True, kw_only=True)
class ValuesReader:
    """Reads values of nodes that have passed the schema; those in ``bad`` have not and count as absent."""

    source: Source
    found: list[Diagnostic]
    bad: frozenset[int]

    def tell(self, code: str, message: str, span: Span, hint: str | None = None, *, warning: bool = False) -> None:
        """Keeps a finding."""
        severity = Severity.WARNING if warning else Severity.ERROR
        self.found.append(
            Diagnostic(code=code, message=message, severity=severity, source=self.source, span=span, hint=hint)
        )

    def get(self, node: MappingNode, key: str) -> Node | None:
        """The value of ``key`` unless it is absent or bad."""
        value = node.get(key)
        return None if value is None or id(value) in self.bad else value

    def child(self, node: MappingNode, key: str) -> MappingNode | None:
        """The mapping under ``key``."""
        value = self.get(node, key)
        return value if isinstance(value, MappingNode) else None

    def items(self, node: MappingNode, key: str) -> tuple[Node, ...]:
        """The good items of the list under ``key``; a single value counts as a list of one."""
        value = self.get(node, key)
        if value is None:
            return ()
        found = value.items if isinstance(value, SequenceNode) else (value,)
        return tuple(item for item in found if id(item) not in self.bad)

    def scalar(self, node: MappingNode, key: str) -> Scalar | None:
        """The scalar under ``key``."""
        value = self.get(node, key)
        return value if isinstance(value, Scalar) else None

    def as_text(self, scalar: Scalar) -> str:
        """The text of a scalar as it is written; told when YAML takes it for something else."""
        if scalar.surprise is not None:
            self.found.append(surprise(self.source, scalar))
        return scalar.text

    def text(self, node: MappingNode, key: str) -> str | None:
        """The text under ``key``."""
        scalar = self.scalar(node, key)
        return None if scalar is None else self.as_text(scalar)

    def texts(self, node: MappingNode, key: str) -> tuple[str, ...]:
        """The texts of the list under ``key``."""
        return tuple(self.as_text(item) for item in self.items(node, key) if isinstance(item, Scalar))

    def text_map(self, node: MappingNode, key: str) -> dict[str, str]:
        """Names and texts of the mapping under ``key``."""
        child = self.child(node, key)
        if child is None:
            return {}
        return {
            name: self.as_text(value)
            for name, _, value in child.entries()
            if isinstance(value, Scalar) and id(value) not in self.bad
        }

    def _parsed(self, node: MappingNode, key: str, code: str, parse: Callable[[str], _T]) -> _T | None:
        scalar = self.scalar(node, key)
        if scalar is None:
            return None
        if scalar.surprise is not None:
            self.found.append(surprise(self.source, scalar))
            return None
        try:
            return parse(scalar.text)
        except ValueError as error:
            self.tell(code, f"`{scalar.text[:40]}`: {error}", scalar.span)
            return None

    def duration(self, node: MappingNode, key: str) -> float | None:
        """Seconds of the duration under ``key``."""
        return self._parsed(node, key, "bad-duration", parse_duration)

    def size(self, node: MappingNode, key: str) -> int | None:
        """Bytes of the size under ``key``."""
        return self._parsed(node, key, "bad-size", parse_size)

    def integer(self, node: MappingNode, key: str) -> int | None:
        """The whole number under ``key``."""
        return self._parsed(node, key, "wrong-type", lambda text: int(float(text)))

    def number(self, node: MappingNode, key: str) -> float | None:
        """The number under ``key``; how it is written does not matter."""
        scalar = self.scalar(node, key)
        return float(scalar.value) if scalar is not None and isinstance(scalar.value, int | float) else None

    def boolean(self, node: MappingNode, key: str) -> bool:
        """Whether ``key`` is true; `yes` and `on` mean the same in both readings of YAML."""
        scalar = self.scalar(node, key)
        return scalar is not None and scalar.value is True

    def regex(self, node: MappingNode, key: str, *, groups: int = 0) -> str | None:
        """The regular expression under ``key``, with at least so many groups."""
        text = self.text(node, key)
        scalar = self.scalar(node, key)
        if text is None or scalar is None:
            return text
        try:
            pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            self.tell("bad-regex", f"this is not a regular expression: {error}", scalar.span)
            return text
        if pattern.groups < groups:
            self.tell(
                "bad-regex", "the regular expression has no group", scalar.span, "put ( ) around the value to read"
            )
        return text

    def host_port(self, node: MappingNode, key: str) -> str | None:
        """``HOST:PORT`` under ``key``; either part may hold references."""
        text = self.text(node, key)
        scalar = self.scalar(node, key)
        if text is None or scalar is None:
            return text
        shown = "".join("1" if isinstance(token, Reference) else token.text for token in tokens(text))
        host, _, port = shown.rpartition(":")
        if _HOST.fullmatch(host) is None or _PORT.fullmatch(port) is None or not 0 < int(port) < 65536:
            self.tell("bad-host-port", f"`{text[:60]}` is not HOST:PORT", scalar.span, "for example localhost:9042")
        return text

    def url(self, node: MappingNode, key: str) -> str | None:
        """The http or https URL under ``key``."""
        text = self.text(node, key)
        scalar = self.scalar(node, key)
        if text is not None and scalar is not None and re.match(r"(?:https?://|\$\{)\S+\Z", text) is None:
            self.tell(
                "bad-url",
                f"`{text[:60]}` is not an http or https URL",
                scalar.span,
                "for example http://localhost:8080/",
            )
        return text

    def value(self, node: Node) -> Any:
        """A value of any shape, for Ansible: `yes` and `no` are booleans there, other surprises are told."""
        if isinstance(node, MappingNode):
            return {name: self.value(item) for name, _, item in node.entries()}
        if isinstance(node, SequenceNode):
            return [self.value(item) for item in node.items]
        if node.surprise is not None and not isinstance(node.value, bool) and node.value is not None:
            self.found.append(surprise(self.source, node))
        return node.value
