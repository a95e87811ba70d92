from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.playbook.yaml_text import Unsafe, dump, literal


class _Loader(yaml.SafeLoader):
    """Reads the tag that Ansible gives a meaning."""


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    assert isinstance(node, yaml.ScalarNode)
    return str(loader.construct_scalar(node))


_Loader.add_constructor("!unsafe", _as_text)

AWKWARD = st.sampled_from(" \n\t#:-{}[]'\"%&*!|>ab01.,~\\\r\x00\x85\u2028\ufeff\x7f\x1b")
TEXTS = st.text(st.one_of(AWKWARD, st.characters(exclude_categories=["Cs"])), max_size=150)
SCALARS = st.one_of(
    TEXTS,
    TEXTS.map(Unsafe),
    st.booleans(),
    st.integers(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(DATA)
def test_what_is_written_is_read_back_as_it_was(data: Any) -> None:
    assert yaml.load(dump([data]), _Loader) == [data]  # noqa: S506 - a SafeLoader of our own


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "012", "0x1", "1e3", "~", "null", "2026-11-23", "1:30", "=", "<<", "y", ""]
)
def test_what_yaml_would_take_for_something_else_is_quoted(text: str) -> None:
    assert dump({"a": text}) == f'---\na: "{text}"\n'


def test_it_reads_as_a_person_writes() -> None:
    data = [
        {
            "name": "Load | xb",
            "shell": "a\nb\n",
            "open": "a\nb",
            "kept": "a\nb\n\n",
            "long": "word " * 30 + "end",
            "no": Unsafe("{{ x }}"),
            "empty": [],
            "none": {},
            "list": ["a", {"b": 1.5, "c": 60.0}],
        },
        {"name": "Second"},
    ]
    assert dump(data, header=("One.", "")) == (
        "---\n# One.\n#\n"
        "- name: Load | xb\n"
        "  shell: |\n    a\n    b\n"
        "  open: |-\n    a\n    b\n"
        "  kept: |+\n    a\n    b\n\n"
        "  long: >-\n    " + ("word " * 21).strip() + "\n    " + "word " * 9 + "end\n"
        '  "no": !unsafe "{{ x }}"  # noqa: jinja\n'
        "  empty: []\n  none: {}\n"
        "  list:\n    - a\n    - b: 1.5\n      c: 60\n"
        "\n- name: Second\n"
    )


def test_a_line_that_cannot_be_broken_is_told_to_the_linter() -> None:
    assert "# yamllint disable rule:line-length" in dump({"a": "x" * 200})
    assert "yamllint" not in dump({"a": "x y " * 100 + "z"})


def test_only_what_ansible_would_read_is_marked() -> None:
    assert type(literal("echo ${HOME} {a}")) is str
    assert all(isinstance(literal(text), Unsafe) for text in ("{{", "{%", "{#"))
