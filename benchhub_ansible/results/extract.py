"""Metric extractors, the plugins of the entry-point group ``benchhub.metrics``: from a task's output to one value."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any, Protocol

import regex

from benchhub_ansible.job.model import Metric
from benchhub_ansible.results.record import Reading

#: Seconds one regular expression may search one output; a pattern that backtracks for ever must not hang a report.
REGEX_SECONDS = 10.0
#: Bytes of a line that are looked at; the rest of a longer line is passed over.
LINE_LIMIT = 64 * 1024
#: Largest JSON document, in bytes, that is read.
JSON_LIMIT = 16 * 1024 * 1024

_SHOWN = 60


class Output(Protocol):
    """What a task wrote, without holding it in memory."""

    def lines(self, limit: int) -> Iterator[str]:
        """The lines without their ends, each cut to ``limit`` bytes, undecodable bytes as U+FFFD."""
        ...

    def text(self, limit: int) -> str | None:
        """All of it, or None when it is larger than ``limit`` bytes."""
        ...


class Extractor(Protocol):
    """A metric plugin: made without arguments, asked once per sample."""

    def extract(self, metric: Metric, output: Output) -> Reading:
        """The value that ``output`` holds for ``metric``, or the reason why there is none."""
        ...


def reading(found: Any) -> Reading:
    """The finite number that a text or a JSON value is, or why it is none."""
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return Reading(value=None, reason=f"found {_shown(found)}, which is not a number")
    try:
        value = float(found)
    except (ValueError, OverflowError):
        return Reading(value=None, reason=f"found {_shown(found)}, which is not a number")
    if not math.isfinite(value):
        return Reading(value=None, reason=f"found {_shown(found)}, which is not a finite number")
    return Reading(value=value)


def _shown(found: Any) -> str:
    if isinstance(found, dict | list):
        return "a JSON object" if isinstance(found, dict) else "a JSON list"
    if isinstance(found, int) and abs(found) > 2**63:  # decimal conversion of a huge integer is slow, or refused
        return "a number beyond all limits"
    shown = ascii(found)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


class RegexExtractor:
    """The first group (without groups: all) of the last match of ``regex`` in any line of the output."""

    def extract(self, metric: Metric, output: Output) -> Reading:
        """The last match counts: a tool that reports as it goes prints its result last."""
        try:
            pattern = regex.compile(metric.regex or "")
        except (regex.error, RecursionError) as cause:
            return Reading(value=None, reason=f"the regex cannot be used: {cause}")
        group = 1 if pattern.groups else 0
        deadline = time.monotonic() + REGEX_SECONDS
        last: str | None = None
        try:
            for line in output.lines(LINE_LIMIT):
                for match in pattern.finditer(line, timeout=max(0.001, deadline - time.monotonic())):
                    if match[group] is not None:
                        last = match[group]
        except TimeoutError:
            return Reading(value=None, reason=f"the regex was still searching after {REGEX_SECONDS:g} s")
        if last is None:
            return Reading(value=None, reason="the regex matches nothing in the output")
        return reading(last)


class JsonPathExtractor:
    """The one value that ``jsonpath`` (RFC 9535) finds in the output (JSON, or its last line that is)."""

    def extract(self, metric: Metric, output: Output) -> Reading:
        """None or several values are no sample; a text that holds a number is one."""
        import jsonpath  # noqa: PLC0415 - as slow to import as click and YAML together, and few jobs need it

        try:
            path = jsonpath.compile(metric.jsonpath or "")
        except (jsonpath.JSONPathError, RecursionError) as cause:
            return Reading(value=None, reason=f"the jsonpath cannot be used: {cause}")
        found, document = _document(output)
        if not found:
            return Reading(value=None, reason="the output holds no JSON")
        try:
            values = path.findall(document)
        except (jsonpath.JSONPathError, RecursionError, ValueError, TypeError) as cause:
            return Reading(value=None, reason=f"the jsonpath fails on the output: {_shown(str(cause))}")
        if len(values) != 1:
            told = "nothing" if not values else f"{len(values)} values, not one,"
            return Reading(value=None, reason=f"the jsonpath finds {told} in the output")
        return reading(values[0])


def _document(output: Output) -> tuple[bool, Any]:
    """(True, JSON) of the whole output, else of its last line that is a JSON object or list; else (False, None)."""
    whole = output.text(JSON_LIMIT)
    if whole is not None:
        found, document = _parsed(whole)
        if found:
            return True, document
    last: tuple[bool, Any] = (False, None)
    for line in output.lines(JSON_LIMIT):
        if line.lstrip()[:1] in ("{", "["):
            found, document = _parsed(line)
            last = (True, document) if found else last
    return last


def _parsed(text: str) -> tuple[bool, Any]:
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None
