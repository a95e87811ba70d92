"""Durations, sizes, slugs and texts with references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchhub_ansible.values import (
    RUNTIME_REFERENCE,
    Literal,
    Reference,
    escape_literal,
    expand,
    format_duration,
    parse_duration,
    parse_size,
    slug,
    substitute,
    tokens,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), (2, 2), (0.25, 0.25), ("500ms", 0.5), ("2m", 120), ("1h30m", 5400), (" 3s ", 3)],
)
def test_a_duration_is_read_as_seconds(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1x", "1s 2", True, -3, "1e99", 10**10])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_formatted_duration_reads_as_the_same_milliseconds(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 * 2**30), ("500MB", 500 * 10**6), (4096, 4096), ("1.5KiB", 1536), ("12 B", 12)]
)
def test_a_size_is_read_as_bytes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "8Gib", "-1", True, "1 2"])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse_size(text)


@given(st.text())
def test_a_slug_is_a_safe_name(text: str) -> None:
    name = slug(text)
    assert name
    assert len(name) <= 48
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_references_and_literals_come_in_order() -> None:
    assert list(tokens("a ${b} $${c} ${d e} {{ x }}")) == [
        Literal(text="a "),
        Reference(name="b", offset=2),
        Literal(text=" "),
        Literal(text="${"),
        Literal(text="c} "),
        Reference(name="d e", offset=13),
        Literal(text=" {{ x }}"),
    ]


@given(st.text())
def test_an_escaped_literal_expands_to_itself(text: str) -> None:
    assert expand(escape_literal(text), lambda _: "REPLACED") == text


@given(st.text(alphabet="${}ab "))
def test_a_value_never_becomes_a_reference(value: str) -> None:
    text = substitute("x ${v} ${HOME}", lambda name: value if name == "v" else None)
    assert expand(text, lambda _: None) == f"x {value} ${{HOME}}"


def test_an_unknown_reference_stays_as_it_is() -> None:
    assert expand("${HOME} ${a}", {"a": "1"}.get) == "${HOME} 1"


@pytest.mark.parametrize(
    "name", ["central", "node.address", "nodes.db-1[2].address", "types.loader.addresses", "run.dir"]
)
def test_names_only_a_node_knows(name: str) -> None:
    assert RUNTIME_REFERENCE.fullmatch(name)


@pytest.mark.parametrize("name", ["HOME", "node", "nodes.db", "central.address", "node.addressx", "secrets.1"])
def test_other_names_are_not_for_the_node(name: str) -> None:
    assert RUNTIME_REFERENCE.fullmatch(name) is None
