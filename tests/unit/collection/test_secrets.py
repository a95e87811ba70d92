"""Where secrets come from, and that they are hidden everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.benchhub.bench.plugins.plugin_utils.secrets import MissingSecretError, Secrets, masked


def test_a_secret_comes_from_the_controller_first(tmp_path: Path) -> None:
    given = tmp_path / "secrets.json"
    given.write_text(json.dumps({"A": "from the controller"}))
    secrets = Secrets({"A": {"env": "A"}, "B": {"env": "B"}}, {"BENCHHUB_SECRETS": str(given), "A": "env", "B": "b"})
    assert secrets.value("A") == "from the controller"
    assert secrets.value("B") == "b"


def test_a_secret_comes_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hunter2\n")
    assert Secrets({"A": {"file": str(tmp_path / "s")}}, {}).value("A") == "hunter2"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "the job names no secret A"),
        ({"A": {"env": "NOPE"}}, "secret A has no value: set the environment variable NOPE"),
        ({"A": {"file": "/nonexistent/s"}}, "secret A has no value: /nonexistent/s cannot be read"),
    ],
)
def test_a_missing_secret_says_how_to_give_it(spec: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(MissingSecretError) as error:
        Secrets(spec, {}).value("A")
    assert str(error.value) == message


def test_a_file_of_the_controller_that_is_gone_is_told_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(MissingSecretError, match="FileNotFoundError"):
        Secrets({}, {"BENCHHUB_SECRETS": str(tmp_path / "gone")}).value("A")


def test_masks_hold_every_value_there_is_longest_first() -> None:
    spec = {"A": {"env": "A"}, "B": {"env": "B"}, "C": {"env": "C"}, "D": {"env": "D"}}
    assert Secrets(spec, {"A": "ab", "B": "abcd", "D": ""}).masks() == ["abcd", "ab"]
    several = Secrets({"A": {"env": "A"}}, {"A": "-----BEGIN-----\nabcd\n xy\n"})
    assert several.masks() == ["-----BEGIN-----\nabcd\n xy\n", "-----BEGIN-----", "abcd"]


def test_each_line_of_a_secret_is_masked_too() -> None:
    key = "-----BEGIN KEY-----\n  MIIEpAIBAAKC \r\n}\nabc\n-----END KEY-----\n"
    masks = Secrets({"A": {"env": "A"}}, {"A": key}).masks()
    assert masks == [key, "-----BEGIN KEY-----", "-----END KEY-----", "MIIEpAIBAAKC"]
    assert masked("got\n    MIIEpAIBAAKC\n    }", masks) == "got\n    ***\n    }"


def test_nothing_that_is_returned_holds_a_secret() -> None:
    value = {"a": ["x hunter2 y", {"hunter2": 1}], "n": 5, "t": ("hunter2",), "none": None}
    assert masked(value, ["hunter2"]) == {"a": ["x *** y", {"***": 1}], "n": 5, "t": ["***"], "none": None}
