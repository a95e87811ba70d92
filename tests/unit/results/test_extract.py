from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.job.model import Metric
from benchhub_ansible.results import extract
from benchhub_ansible.results.extract import JsonPathExtractor, RegexExtractor, reading
from benchhub_ansible.results.folder import FileOutput
from benchhub_ansible.source import Span

SPAN = Span(line=1, column=1)


def by_regex(path: Path, content: bytes, pattern: str) -> tuple[float | None, str | None]:
    path.write_bytes(content)
    found = RegexExtractor().extract(Metric(name="m", regex=pattern, span=SPAN), FileOutput(path=path))
    return found.value, found.reason


def by_jsonpath(path: Path, content: bytes, query: str) -> tuple[float | None, str | None]:
    path.write_bytes(content)
    found = JsonPathExtractor().extract(Metric(name="m", jsonpath=query, span=SPAN), FileOutput(path=path))
    return found.value, found.reason


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "01.out"


@pytest.mark.parametrize(
    ("content", "pattern", "value"),
    [
        (b"tps = 1234.5 (without initial connection time)\n", r"tps = ([0-9.]+)", 1234.5),
        (b"latency average = 0.8 ms\r\n", r"latency average = ([0-9.]+) ms$", 0.8),
        (b"wps=1\nwps=2\nwps=3", r"wps=([0-9.]+)", 3.0),  # the last line
        (b"wps=1 wps=2\nend\n", r"wps=([0-9.]+)", 2.0),  # the last match of a line
        (b"42\n", r"\d+", 42.0),  # no group: all of it
        (b"\xff\xfe x=7 \x00\n", r"x=(\d)", 7.0),
        (b"x=1e3\n", r"x=(\S+)", 1000.0),
        (b"a=1\nb=2\n", r"a=(\d)|b=\d", 1.0),  # a match whose group took no part says nothing
        (b"y" * 10 * 2**20 + b"x=5\nx=6\n", r"x=(\d)", 6.0),  # beyond the cut of a line
    ],
)
def test_regex(out: Path, content: bytes, pattern: str, value: float) -> None:
    assert by_regex(out, content, pattern) == (value, None)


@pytest.mark.parametrize(
    ("content", "pattern", "reason"),
    [
        (b"", r"tps=(\d+)", "the regex matches nothing in the output"),
        (b"y" * 2**20 + b"x=5\n", r"x=(\d)", "the regex matches nothing in the output"),
        (b"x=1,234\n", r"x=(\S+)", "found '1,234', which is not a number"),
        (b"x=nan\n", r"x=(\S+)", "found 'nan', which is not a finite number"),
        (b"x=1e999\n", r"x=(\S+)", "found '1e999', which is not a finite number"),
        (b"x=\x1b[31m\n", r"x=(\S+)", r"found '\x1b[31m', which is not a number"),
        (b"x", "(", "the regex cannot be used: missing ) at position 1"),
    ],
)
def test_regex_finds_no_number(out: Path, content: bytes, pattern: str, reason: str) -> None:
    assert by_regex(out, content, pattern) == (None, reason)


def test_regex_that_backtracks_for_ever_ends(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "REGEX_SECONDS", 0.3)
    value, reason = by_regex(out, (b"a" * 5000 + b"!\n") * 20, r"((a+)+)+$")
    assert (value, reason) == (None, "the regex was still searching after 0.3 s")


@pytest.mark.parametrize(
    ("content", "query", "value"),
    [
        (b'{"a": {"b": [1, 2.5]}}', "$.a.b[1]", 2.5),
        (b'{\n "a": 3\n}\n', "$.a", 3.0),  # a document over several lines
        (b'starting\n{"a": 1}\nprogress 5\n{"a": 2}\ndone\n', "$.a", 2.0),  # the last line that is JSON
        (b'starting\n{"a": 1}\n{torn', "$.a", 1.0),
        (b'{"a": "7.5"}', "$.a", 7.5),
        (b"12", "$", 12.0),
        (b'[{"n": "x", "v": 1}, {"n": "y", "v": 2}]', "$[?@.n == 'y'].v", 2.0),
    ],
)
def test_jsonpath(out: Path, content: bytes, query: str, value: float) -> None:
    assert by_jsonpath(out, content, query) == (value, None)


@pytest.mark.parametrize(
    ("content", "query", "reason"),
    [
        (b"", "$.a", "the output holds no JSON"),
        (b"[" * 100_000, "$.a", "the output holds no JSON"),
        (b'{"a": 1}', "$.b", "the jsonpath finds nothing in the output"),
        (b'{"a": [1, 2]}', "$.a[*]", "the jsonpath finds 2 values, not one, in the output"),
        (b'{"a": true}', "$.a", "found True, which is not a number"),
        (b'{"a": null}', "$.a", "found None, which is not a number"),
        (b'{"a": {}}', "$.a", "found a JSON object, which is not a number"),
        (b'{"a": []}', "$.a", "found a JSON list, which is not a number"),
        (b'{"a": NaN}', "$.a", "found nan, which is not a finite number"),
        (b'{"a": 1' + b"0" * 400 + b"}", "$.a", "found a number beyond all limits, which is not a number"),
        (json.dumps({"a": "x" * 99}).encode(), "$.a", f"found '{'x' * 59}…, which is not a number"),
    ],
)
def test_jsonpath_finds_no_number(out: Path, content: bytes, query: str, reason: str) -> None:
    assert by_jsonpath(out, content, query) == (None, reason)


def test_jsonpath_that_is_none(out: Path) -> None:
    value, reason = by_jsonpath(out, b"{}", "$.[")
    assert value is None
    assert reason is not None
    assert reason.startswith("the jsonpath cannot be used")


def test_jsonpath_on_a_document_as_deep_as_the_parser_takes(out: Path) -> None:
    value, reason = by_jsonpath(out, b"[" * 900 + b"]" * 900, "$..x")
    assert value is None
    assert reason is not None


def test_document_beyond_the_limit_is_read_by_lines(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "JSON_LIMIT", 100)
    assert by_jsonpath(out, b'{"a": 1}\n' + b"x" * 500 + b'\n{"a": 2}\n', "$.a") == (2.0, None)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=400))
def test_no_output_breaks_an_extractor(out: Path, content: bytes) -> None:
    for value, reason in (
        by_regex(out, content, r"([-+.0-9eE]+)"),
        by_jsonpath(out, content, "$..*"),
        by_jsonpath(out, content, "$"),
    ):
        assert (value is None) is (reason is not None)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    noise=st.text(alphabet=st.characters(exclude_characters="=", codec="utf-8")),
)
def test_the_last_number_that_was_printed_is_found(out: Path, values: list[float], noise: str) -> None:
    text = "".join(f"v={value!r}\n{noise}\n" for value in values)
    assert by_regex(out, text.encode(), r"^v=(\S+)") == (values[-1], None)


@given(document=st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_every_json_value_is_a_number_or_a_reason(document: object) -> None:
    found = reading(document)
    assert (found.value is None) is (found.reason is not None)


@given(st.lists(st.binary(max_size=60)), st.integers(min_value=2, max_value=20))
def test_lines_are_cut_and_none_is_lost(parts: list[bytes], limit: int) -> None:
    import tempfile  # noqa: PLC0415

    lines = [part.replace(b"\n", b"").replace(b"\r", b"") for part in parts]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "o"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        found = list(FileOutput(path=path).lines(limit))
    assert found == [line[:limit].decode("utf-8", "replace") for line in lines]
