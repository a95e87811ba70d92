"""What a plain YAML scalar is, and where YAML 1.1 and the reader of the file would disagree about it."""

from __future__ import annotations

import math
import re

Value = str | int | float | bool | None

_WORDS: dict[str, tuple[Value, str | None]] = {
    **dict.fromkeys(("true", "True", "TRUE"), (True, None)),
    **dict.fromkeys(("false", "False", "FALSE"), (False, None)),
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), (True, "the boolean true")),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), (False, "the boolean false")),
    **{word: (word, "the boolean true by some of its readers") for word in ("y", "Y")},
    **{word: (word, "the boolean false by some of its readers") for word in ("n", "N")},
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (None, "no value at all")),
}

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_OCTAL = re.compile(r"[-+]?0o?[0-7_]+")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_BINARY = re.compile(r"[-+]?0b[01_]+")
_GROUPED = re.compile(r"[-+]?[1-9][0-9]*(?:_[0-9]+)+_*")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?")

_SPECIAL = (
    (_SEXAGESIMAL, "a number to base 60"),
    (_NOT_FINITE, "a number that is not finite"),
    (_FLOAT, "a number too large to hold"),
    (_DATE, "a date"),
)

#: Python refuses to convert longer digit strings, and no number in a job is longer.
_MAX_DIGITS = 40


def resolve(text: str) -> tuple[Value, str | None]:
    """The value of a plain scalar, and what YAML takes it for when a text is wanted and the two differ."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS or text[0] not in "+-.0123456789":
        return text, None
    if _INTEGER.fullmatch(text):
        number = int(text)
        return number, None if str(number) == text else f"the number {number}"
    if _FLOAT.fullmatch(text):
        real = float(text)
        if not math.isinf(real):
            return real, None if str(real) == text else f"the number {real!r}"
    return text, _other_number(text)


def _other_number(text: str) -> str | None:
    """What YAML 1.1 makes of a text that is no plain decimal number; None when that is a text too."""
    for pattern, base, kind in ((_OCTAL, 8, "octal"), (_HEX, 16, "hexadecimal"), (_BINARY, 2, "binary")):
        if pattern.fullmatch(text):
            digits = re.sub(r"(?i)0[xbo]|_", "", text)
            return f"the {kind} number {int(digits or '0', base)}"
    if _GROUPED.fullmatch(text):
        return f"the number {int(text.replace('_', ''))}"
    return next((kind for pattern, kind in _SPECIAL if pattern.fullmatch(text)), None)
