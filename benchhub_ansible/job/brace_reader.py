"""Brace notation → the tree that YAML would have given: lexer, grammar, then shape."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedToken

from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.job.brace_lexer import BraceLexer, BraceSyntaxError, Scanner
from benchhub_ansible.job.brace_shape import Block, Entry, List, shape
from benchhub_ansible.job.tree import Node, Places, Scalar, syntax_error
from benchhub_ansible.source import Source, Span

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")
_CONSTANTS = {"true": True, "false": False, "null": None}


class _Tree(Transformer[Token, Any]):
    """The parser's tree with values and places; the lexer has bounded its depth."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self._places = places

    def _scalar(self, token: Token, value: str | float | bool | None) -> Scalar:
        start, end = token.start_pos or 0, token.end_pos or 0
        return Scalar(value=value, text=str(token), span=self._places.span(start, end), start=start, end=end)

    def plain(self, children: list[Token]) -> Scalar:
        text = str(children[0])
        return self._scalar(children[0], _plain_value(text))

    def quoted(self, children: list[Token]) -> Scalar:
        return self._scalar(children[0], str(children[0]))

    def pair(self, children: list[Any]) -> Entry:
        return Entry(key=self._scalar(children[0], str(children[0])), value=children[1])

    def command(self, children: list[Token]) -> Entry:
        return Entry(key=None, value=self._scalar(children[0], str(children[0])))

    def _around(self, children: list[Any]) -> Span:
        return self._places.span(children[0].start_pos, children[-1].end_pos)

    def block(self, children: list[Any]) -> Block:
        return Block(entries=tuple(children[1:-1]), span=self._around(children))

    def list_(self, children: list[Any]) -> List:
        items = tuple(child for child in children[1:-1] if not isinstance(child, Token))
        return List(items=items, span=self._around(children))

    def start(self, children: list[Entry]) -> Block:
        return Block(entries=tuple(children), span=Span(line=1, column=1))


def _plain_value(text: str) -> str | float | bool | None:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    return float(text) if match[1] else int(text)


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("brace.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer=BraceLexer)


def read_brace(source: Source, text: str, found: list[Diagnostic], *, drivers: Iterable[str]) -> Node:
    """The tree of ``text`` (the source's, or a part at the same positions); JobError when it is not this notation."""
    places = Places(text)
    try:
        tree = _parser().parse(Scanner(text, drivers=frozenset(drivers)))
        block: Block = _Tree(places).transform(tree)
    except BraceSyntaxError as error:
        raise syntax_error(
            source, places.span(error.start, error.end), error.message, code=error.code, hint=error.hint
        ) from None
    except UnexpectedToken as error:
        raise _unexpected(source, places, error) from None
    if not block.entries:
        raise syntax_error(
            source, None, "the file is empty", code="empty", hint="`benchhub init` writes a small job to begin with"
        )
    return shape(block, source=source, found=found, drivers=frozenset(drivers))


def _unexpected(source: Source, places: Places, error: UnexpectedToken) -> Exception:
    token = error.token
    start = token.start_pos if token.start_pos is not None else len(places.text)
    end = token.end_pos if token.end_pos is not None else start
    span = places.span(start, end)
    if "COMMA" in error.accepts | error.expected and token.type in {"TEXT", "STRING", "LBRACK", "LBRACE"}:
        return syntax_error(
            source,
            span,
            "a comma is missing before this",
            hint="a text with a comma, a bracket or a line break inside needs quotes",
        )
    return syntax_error(source, span, f"`{str(token)[:40]}` is not expected here")
