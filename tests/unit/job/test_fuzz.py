"""Whatever the text, reading it ends with a job or a JobError."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.cli.init import job_text
from benchhub_ansible.errors import JobError
from benchhub_ansible.job.convert import to_brace, to_yaml
from benchhub_ansible.job.load import load_bytes, load_job
from benchhub_ansible.source import Source

NAMES = ("fuzz.yml", "fuzz.job", "fuzz.md", "<stdin>")
BROKEN = Path(__file__).parents[2] / "golden" / "broken"
SEEDS = [job_text(), to_brace(load_job(Source(name="a.yml", text=job_text())).job)] + [
    path.read_text(encoding="utf-8") for path in sorted(BROKEN.glob("*/job.*"))
]
PIECES = [
    "{",
    "}",
    "[",
    "]",
    "<<END",
    "\n",
    "\t",
    '"',
    "'",
    "\\",
    ": ",
    "- ",
    "#",
    "&a ",
    "*a",
    "!x ",
    "|",
    "${",
    "=",
    ",",
]
RELAXED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def findings(name: str, data: bytes) -> str | None:
    """The findings as a user reads them, None for a job; anything but a JobError fails the test."""
    try:
        load_bytes(data, name=name)
    except JobError as error:
        return error.render()
    return None


def attempt(name: str, text: str) -> None:
    assert findings(name, text.encode("utf-8", "surrogatepass")) != ""


@pytest.mark.parametrize("name", NAMES)
@RELAXED
@given(text=st.text())
def test_any_text(name: str, text: str) -> None:
    attempt(name, text)


@pytest.mark.parametrize("name", NAMES)
@RELAXED
@given(
    text=st.lists(st.sampled_from([*PIECES, "stage", "task", "name", "tasks", "pipeline", "shell", "x", "\ud800"])).map(
        " ".join
    )
)
def test_any_tokens(name: str, text: str) -> None:
    attempt(name, text)


@RELAXED
@given(data=st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for name in NAMES:
        assert findings(name, data) != ""


@RELAXED
@given(
    seed=st.sampled_from(SEEDS),
    name=st.sampled_from(NAMES),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.text(max_size=6)), max_size=4
    ),
)
def test_mutated_jobs(seed: str, name: str, edits: list[tuple[float, int, str]]) -> None:
    text = seed
    for where, removed, added in edits:
        at = int(where * len(text))
        text = text[:at] + added + text[at + removed :]
    attempt(name, text)


def test_the_seeds_are_both_notations() -> None:
    job = load_job(Source(name="a.yml", text=SEEDS[0])).job
    assert to_yaml(job)
    assert load_job(Source(name="a.job", text=SEEDS[1])).job.notation == "brace"
