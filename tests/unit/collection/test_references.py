"""The collection's copy of the text grammar means the same as the package's."""

from __future__ import annotations

import pytest
from ansible_collections.benchhub.bench.plugins.module_utils import references
from hypothesis import given
from hypothesis import strategies as st

from benchhub_ansible import values

ROWS = [
    {"slot": "db", "address": "10.0.0.1", "node": "db", "type": "database"},
    {"slot": "loader-1", "address": "10.0.0.2", "node": "loader", "type": "loader"},
    {"slot": "loader-2", "address": "10.0.0.3", "node": "loader", "type": "loader"},
]

TEXTS = [
    "",
    "plain",
    "${node.address}",
    "a${central}b${central}c",
    "$${central}",
    "$$${central}",
    "$$$${central}",
    "${HOME} ${x:-y} $HOME $$ $",
    "${a${b}}",
    "${\n}",
    "${",
    "$${",
    "${}",
    "{{ x }} {% raw %} {# c #}",
    "docker ps --format '{{.Names}}'",
    "${nodes.a[0].address}",
    "é ☃ ${run.id}",
]


def lookup(name: str) -> str | None:
    return f"<{name}>" if values.RUNTIME_REFERENCE.fullmatch(name) else None


@pytest.mark.parametrize("text", TEXTS)
def test_both_copies_expand_alike(text: str) -> None:
    assert references.expand(text, lookup) == values.expand(text, lookup)


@given(st.text(alphabet=st.sampled_from("$${}ab.[0]\nnodescentral "), max_size=40))
def test_both_copies_expand_any_text_alike(text: str) -> None:
    assert references.expand(text, lookup) == values.expand(text, lookup)


def test_both_copies_know_the_same_references() -> None:
    assert references.RUNTIME_REFERENCE.pattern == values.RUNTIME_REFERENCE.pattern


@pytest.mark.parametrize("text", TEXTS)
def test_an_escaped_text_arrives_byte_for_byte(text: str) -> None:
    assert references.expand(values.escape_literal(text), lambda _name: "changed") == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nodes.db.address", "10.0.0.1"),
        ("nodes.loader.address", "10.0.0.2"),
        ("nodes.loader[1].address", "10.0.0.3"),
        ("nodes.loader[1].name", "loader-2"),
        ("nodes.loader-2.address", "10.0.0.3"),
        ("types.loader.addresses", "10.0.0.2,10.0.0.3"),
        ("types.loader.names", "loader-1,loader-2"),
    ],
)
def test_nodes_and_types_are_found_in_slot_order(name: str, value: str) -> None:
    assert references.Slots(ROWS).resolve(name) == value


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nodes.loader[2].address", "there is no node loader[2] in the inventory (it has 2)"),
        ("nodes.cache.address", "there is no node cache[0] in the inventory (it has 0)"),
        ("types.cache.addresses", "there is no node of type cache in the inventory"),
    ],
)
def test_what_the_inventory_lacks_is_named(name: str, message: str) -> None:
    with pytest.raises(references.UnknownReferenceError) as error:
        references.Slots(ROWS).resolve(name)
    assert str(error.value) == message
