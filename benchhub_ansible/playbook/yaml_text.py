"""Plain data → YAML as a careful person writes it: blocks for scripts, lists indented below their key, no anchors.

A writer of our own because the C emitter of libyaml cannot indent lists, and the one in Python takes seconds for a
thousand stages. Every scalar is written so that a YAML 1.1 or 1.2 reader gives the same value back.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

#: Longest line ansible-lint takes; what cannot be broken below it is told to the linter.
_LINE = 160
#: A text longer than this is folded where it can be.
_LONG = 110

_STRING_TAG = "tag:yaml.org,2002:str"
_PLAIN = re.compile(r"[A-Za-z0-9_./$][A-Za-z0-9_./$ ,=+@%^()<>;|&!?*~\\'\"`:{}\[\]#-]*", re.ASCII)
_NOT_PLAIN = re.compile(r": |:$| #| $|[{}\[\]]$|\{\{|\{%|\{#")
#: Outside these a character is escaped: control characters, line separators, the byte-order mark, lone surrogates.
_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
#: What a reader of YAML 1.2 takes for a number and PyYAML does not.
_NUMBER = re.compile(r"[\d._]+([eE][-+]?\d+)?|0o[0-7]+", re.ASCII)
_FOLDABLE = re.compile(r"[^\s](?:[^\s]| (?=[^\s]))*")


#: ansible-lint reads a text as a template although its tag says that it is none.
_NOT_A_TEMPLATE = "  # noqa: jinja"


class Unsafe(str):
    """A text that Ansible must take as it is, written with the tag ``!unsafe``."""

    __slots__ = ()


def literal(text: str) -> str:
    """The text, marked so that Ansible reads no expression into it."""
    return Unsafe(text) if any(mark in text for mark in ("{{", "{%", "{#")) else text


def _quoted(text: str) -> str:
    """A double-quoted scalar; JSON's escapes are YAML's."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def _is_block(text: str) -> bool:
    """Whether a literal block holds the text as it is: no leading space to be taken for indent, no invisible end."""
    return (
        "\n" in text.rstrip("\n")
        and text[0] not in " \t\n"
        and not _UNPRINTABLE.search(text)
        and not re.search(r"[ \t]$", text, re.MULTILINE)
    )


def _block(text: str, indent: str) -> Iterator[str]:
    ends = len(text) - len(text.rstrip("\n"))
    yield "|" + {0: "-", 1: ""}.get(ends, "+")
    lines = text.split("\n") if ends == 0 else text.split("\n")[:-1]
    yield from (f"{indent}{line}" if line else "" for line in lines)


def _resolves_to_text(text: str) -> bool:
    tag: str = _RESOLVER.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag == _STRING_TAG


def _is_plain(text: str) -> bool:
    return (
        _PLAIN.fullmatch(text) is not None
        and _NOT_PLAIN.search(text) is None
        and _resolves_to_text(text)
        and text.lower() not in {"y", "n"}  # YAML 1.1 readers other than PyYAML
        and not _NUMBER.fullmatch(text)
    )


def _scalar(value: Any, indent: str) -> list[str]:
    """The lines of a scalar: the first stands after its key, the others below at ``indent``."""
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int | float):
        return [_number(value)]
    text = str(value)
    tag, note = ("!unsafe ", _NOT_A_TEMPLATE) if isinstance(value, Unsafe) else ("", "")
    if _is_block(text):
        first, *rest = _block(text, indent)
        return [tag + first + note, *rest]
    if len(text) > _LONG and _FOLDABLE.fullmatch(text) and not _UNPRINTABLE.search(text):
        width = max(40, _LONG - len(indent))
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        return [f"{tag}>-{note}", *(indent + line for line in lines)]
    return [tag + _quoted(text) + note if tag else _flow(text)]


def _flow(text: str) -> str:
    return text if _is_plain(text) else _quoted(text)


def _number(value: float) -> str:
    """Whole seconds without a point: ``3600``, ``0.1``."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 10**15):
        return str(int(value))
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


def _lines(value: Any, indent: str) -> Iterator[str]:
    """The lines of a block mapping or list, each with its indent."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{_flow(str(key))}:", item, indent + "  ")
        return
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _lines(item, indent + "  ")
            yield f"{indent}- {first.lstrip(' ')}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", item, indent + "  ")


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    """A key or dash with its value."""
    if isinstance(item, Mapping | list | tuple):
        if item:
            yield head
            yield from _lines(item, indent)
        else:
            yield f"{head} {'{}' if isinstance(item, Mapping) else '[]'}"
        return
    first, *rest = _scalar(item, indent)
    yield f"{head} {first}"
    yield from rest


_RESOLVER = Resolver()


def dump(data: Any, *, header: Iterable[str] = ()) -> str:
    """A YAML document: ``---``, the header as comments, the data; a list of plays has a blank line between two."""
    documents = [list(_lines([item], "")) for item in data] if isinstance(data, list) else [list(_lines(data, ""))]
    notes = [f"# {line}".rstrip() for line in header]
    if any(len(line) > _LINE for lines in documents for line in lines):
        notes.append("# yamllint disable rule:line-length")
    return "\n".join(["---", *notes, "\n\n".join("\n".join(lines) for lines in documents)]) + "\n"
