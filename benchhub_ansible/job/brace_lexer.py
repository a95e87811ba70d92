"""Brace notation: text → tokens.

What a line means depends on the block it stands in: in a task a line that begins with no known key is its command,
and a command is taken as it stands, braces, quotes and `#` included. That is why the lexer is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lark import Token
from lark.lexer import Lexer

from benchhub_ansible.job.tree import MAX_DEPTH

#: Keys of a task that take one line: a command may not begin with one of these words (write `shell timeout 5 …`).
LINE_KEYS = frozenset(
    {
        "name",
        "type",
        "driver",
        "shell",
        "chdir",
        "become",
        "user",
        "timeout",
        "retry",
        "when",
        "grace",
        "collect",
        "executable",
    }
)
#: Keys of a task only when `{` or `[` follows: `docker start …`, `env A=1 …` and `exec …` are commands.
BLOCK_KEYS = frozenset(
    {
        "env",
        "ready",
        "live",
        "shutdown",
        "metric",
        "metrics",
        "exec",
        "docker",
        "copy",
        "template",
        "fetch",
        "module",
        "role",
    }
)
#: Keys whose value is always a text, also when it begins with `[` or `{`.
TEXT_KEYS = frozenset(
    {
        "name",
        "reason",
        "workload",
        "database",
        "shell",
        "when",
        "regex",
        "jsonpath",
        "body",
        "log",
        "content",
        "central",
    }
)
#: Blocks in which a line that begins with no known key is a command.
COMMAND_BLOCKS = frozenset({"task", "shutdown"})
#: Blocks whose values are all texts.
TEXT_BLOCKS = frozenset({"vars", "env"})
#: What an unnamed block is that stands in a list: `tasks = [{ … }]`.
_ITEM_BLOCKS = {"tasks": "task", "metrics": "metric", "stages": "stage"}

_BLANK = re.compile(r"[ \t\r\f\v]*")
_SPACE = re.compile(r"(?:[\s,]|(?<![^\s,])#[^\n]*)*")
_LINES_SPACE = re.compile(r"(?:\s|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_HEREDOC = re.compile(r"<<([A-Za-z_]\w*)[ \t\r]*(?=\n|$)")
_WORD = re.compile(r"(?:\$\{[^{}\n]*\}|\{[^{}\s]*\}|[^\s{},])+")
_ITEM = re.compile(r"(?:\$\{[^{}\n]*\}|[^,\[\]\n])+")
_REST = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?=\n|$)")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\", "'": "'", "/": "/"}


class BraceSyntaxError(Exception):
    """Where and why the text is not brace notation; the reader makes a diagnostic of it."""

    def __init__(self, message: str, *, start: int, end: int, hint: str | None = None, code: str = "syntax") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint
        self.code = code


@dataclass(frozen=True, kw_only=True)
class _Context:
    """A block or list that is open: how its inside is read, and its name."""

    kind: str  # lines | inline | list
    name: str
    start: int


class BraceLexer(Lexer):
    """lark's lexer interface over ``lex``."""

    __future_interface__ = 0

    def __init__(self, lexer_conf: Any) -> None:
        del lexer_conf

    def lex(self, data: Any, parser_state: Any = None) -> Iterator[Token]:
        """The tokens of a Scanner."""
        del parser_state
        scanner: Scanner = data
        return scanner.tokens()


class Scanner:
    """Reads one text from start to end."""

    def __init__(self, text: str, *, drivers: frozenset[str]) -> None:
        self._text = text
        self._at = 0
        self._drivers = drivers
        self._stack = [_Context(kind="lines", name="", start=0)]

    def tokens(self) -> Iterator[Token]:
        """All tokens; BraceSyntaxError where the text makes none."""
        readers = {"lines": self._entry, "inline": self._entry, "list": self._item}
        while self._skip():
            yield from readers[self._stack[-1].kind]()
        if len(self._stack) > 1:
            context = self._stack[-1]
            opened = "[" if context.kind == "list" else "{"
            raise BraceSyntaxError(f"`{opened}` is never closed", start=context.start, end=context.start + 1)

    # -- moving --------------------------------------------------------------------------------------------------

    def _skip(self) -> bool:
        """Moves to the next character that means something; False at the end."""
        pattern = _SPACE if self._stack[-1].kind == "inline" else _LINES_SPACE
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at < len(self._text)

    def _blanks(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _token(self, kind: str, value: str, start: int, end: int) -> Token:
        self._at = end
        return Token(kind, value, start_pos=start, end_pos=end)

    def _error(self, message: str, *, hint: str | None = None, code: str = "syntax") -> BraceSyntaxError:
        return BraceSyntaxError(message, start=self._at, end=self._at + 1, hint=hint, code=code)

    def _open(self, bracket: str, name: str) -> Token:
        start = self._at
        if len(self._stack) > MAX_DEPTH:
            raise self._error(f"blocks nest more than {MAX_DEPTH} levels deep", code="too-deep")
        kind = "list"
        if bracket == "{":
            kind = "lines" if _COMMENT.match(self._text, start + 1) else "inline"
        self._stack.append(_Context(kind=kind, name=name, start=start))
        return self._token("LBRACE" if bracket == "{" else "LBRACK", bracket, start, start + 1)

    def _close(self, bracket: str) -> Token:
        if len(self._stack) == 1 or (self._stack[-1].kind == "list") != (bracket == "]"):
            raise self._error(f"`{bracket}` closes nothing that is open here")
        self._stack.pop()
        return self._token("RBRACE" if bracket == "}" else "RBRACK", bracket, self._at, self._at + 1)

    # -- entries -------------------------------------------------------------------------------------------------

    def _entry(self) -> Iterator[Token]:
        if self._peek() == "}":
            yield self._close("}")
            return
        context = self._stack[-1]
        if context.name in COMMAND_BLOCKS and not self._is_task_key():
            yield self._command("COMMAND")
            return
        key, value, start, end = self._key()
        yield self._token("KEY", value, start, end)
        if self._peek() == ":":
            message = f"`{value}:` is YAML, and this is the brace notation"
            raise self._error(message, hint=f"write `{value} = …`; the name of a YAML file ends in .yml")
        self._blanks()
        if self._peek() == "=":
            self._at += 1
            self._blanks()
        yield from self._value(key, context)

    def _key(self) -> tuple[str, str, int, int]:
        """The key's name as far as it matters for reading, its text, and where it stands."""
        start = self._at
        match = _KEY.match(self._text, start)
        if match is not None:
            return match[0], match[0], start, match.end()
        match = _STRING.match(self._text, start)
        if match is not None:
            return "", _unquote(match[0], start), start, match.end()
        hint = "a text of several words needs a line of its own or quotes" if self._stack[-1].kind == "inline" else None
        raise self._error(f"a key is expected here, not `{self._peek()}`", hint=hint)

    def _is_task_key(self) -> bool:
        match = _KEY.match(self._text, self._at)
        if match is None:
            return False
        after = re.compile(r"[ \t]*=?[ \t]*").match(self._text, match.end())
        follows = self._text[after.end() : after.end() + 1] if after else ""
        assigned = "=" in after[0] if after else False
        if match[0] in LINE_KEYS:
            return assigned or follows in {"{", "\n", "\r", ""} or self._text[match.end()] in " \t"
        return (match[0] in BLOCK_KEYS or match[0] in self._drivers) and follows in {"{", "["}

    def _value(self, key: str, context: _Context) -> Iterator[Token]:
        is_text = (
            key in TEXT_KEYS and context.name not in {"args", "nodes", "matrix", "secrets"}
        ) or context.name in TEXT_BLOCKS
        first = self._peek()
        if first in {"{", "["} and not is_text:
            yield self._open(first, self._block_name(key, context))
        elif first == "<" and (heredoc := _HEREDOC.match(self._text, self._at)) is not None:
            yield self._heredoc(heredoc, "STRING")
        elif context.kind == "inline":
            yield self._inline_value(key, context)
        else:
            yield self._line_value(key, context)

    def _block_name(self, key: str, context: _Context) -> str:
        if context.name == "args" or (context.name == "role" and key == "vars"):
            return "args"  # values for Ansible: any shape, no names of ours
        if context.name in {"matrix", "nodes", "secrets"}:
            return context.name
        return key

    def _line_value(self, key: str, context: _Context) -> Token:
        start = self._at
        match = _REST.match(self._text, start)
        rest = match[0].rstrip() if match else ""
        if not rest:
            raise BraceSyntaxError(
                f"`{key}` has no value",
                start=max(0, start - 1),
                end=start,
                hint='write it on the same line; "" is the empty text',
            )
        quoted = _STRING.match(self._text, start)
        if quoted is not None and _COMMENT.match(self._text, quoted.end()):
            return self._token("STRING", _unquote(quoted[0], start), start, quoted.end())
        if key == "shell" and context.name in COMMAND_BLOCKS:
            return self._command("TEXT")
        return self._token("TEXT", rest, start, start + len(rest))

    def _inline_value(self, key: str, context: _Context) -> Token:
        start = self._at
        quoted = _STRING.match(self._text, start)
        if key == "shell" and context.name in COMMAND_BLOCKS and quoted is None:
            return self._command("TEXT")
        if quoted is not None:
            return self._token("STRING", _unquote(quoted[0], start), start, quoted.end())
        match = _WORD.match(self._text, start)
        if match is None:
            raise self._error(f"`{key}` has no value", hint='write one after it; "" is the empty text')
        return self._token("TEXT", match[0], start, match.end())

    def _command(self, kind: str) -> Token:
        """The rest of the line, and the next one where a backslash ends it; inside `{ … }` up to that brace."""
        start = self._at
        heredoc = _HEREDOC.match(self._text, start)
        if heredoc is not None:
            return self._heredoc(heredoc, kind if kind == "COMMAND" else "STRING")
        if self._stack[-1].kind == "inline":
            end = self._inline_end(start)
        else:
            end = self._text.find("\n", start)
            while end > 0 and self._text[start:end].rstrip("\r").endswith("\\"):
                end = self._text.find("\n", end + 1)
            end = len(self._text) if end < 0 else end
        text = self._text[start:end].rstrip()
        return self._token(kind, text.replace("\r\n", "\n"), start, start + len(text))

    def _inline_end(self, start: int) -> int:
        depth = 0
        for position in range(start, len(self._text)):
            character = self._text[position]
            if character == "\n":
                break
            depth += (character == "{") - (character == "}")
            if depth < 0:
                return position
        raise self._error(
            "this block has no `}` on its line",
            hint="braces of a command must balance here; else give it lines of its own",
        )

    def _heredoc(self, opening: re.Match[str], kind: str) -> Token:
        """The lines up to the one that holds only the marker, less that line's indentation."""
        start = opening.start()
        lines: list[str] = []
        position = opening.end() + 1
        while position <= len(self._text):
            match = _REST.match(self._text, position)
            line = match[0] if match else ""
            if line.strip() == opening[1]:
                indent = line[: len(line) - len(line.lstrip())]
                body = "".join(f"{item.removeprefix(indent)}\n" for item in lines)
                return self._token(kind, body, start, position + len(line))
            lines.append(line.removesuffix("\r"))
            position += len(line) + 1
        raise self._error(
            f"the text `<<{opening[1]}` is never ended", hint=f"a line that holds only {opening[1]} ends it"
        )

    # -- lists ---------------------------------------------------------------------------------------------------

    def _item(self) -> Iterator[Token]:
        first = self._peek()
        context = self._stack[-1]
        if first == "]":
            yield self._close("]")
        elif first == ",":
            yield self._token("COMMA", ",", self._at, self._at + 1)
        elif first in {"[", "{"}:
            yield self._open(first, _ITEM_BLOCKS.get(context.name, context.name) if first == "{" else context.name)
        elif (quoted := _STRING.match(self._text, self._at)) is not None:
            yield self._token("STRING", _unquote(quoted[0], self._at), self._at, quoted.end())
        else:
            match = _ITEM.match(self._text, self._at)
            text = match[0].rstrip() if match else self._peek()
            yield self._token("TEXT", text, self._at, self._at + len(text))


def _unquote(text: str, start: int) -> str:
    """The text between the quotes: as it is between single ones, with escapes between double ones."""
    if text[0] == "'":
        return text[1:-1]

    def replaced(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is not None:
            number = int(code, 16)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise BraceSyntaxError(
                    f"`{match[0]}` is no character", start=start + 1 + match.start(), end=start + 1 + match.end()
                )
            return chr(number)
        if match[4] not in _ESCAPED:
            raise BraceSyntaxError(
                f"`{match[0]}` is no escape",
                start=start + 1 + match.start(),
                end=start + 1 + match.end(),
                hint="write \\\\ for a backslash, or use single quotes",
            )
        return _ESCAPED[match[4]]

    return _ESCAPE.sub(replaced, text[1:-1])
