"""Loading what ``convert`` writes gives the job it was written from, in both notations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.cli.init import job_text
from benchhub_ansible.errors import JobError
from benchhub_ansible.job.convert import to_brace, to_yaml
from benchhub_ansible.job.load import load_bytes, load_job
from benchhub_ansible.job.model import Job
from benchhub_ansible.source import Source
from tests.unit.job.equality import assert_same

BROKEN = Path(__file__).parents[2] / "golden" / "broken"


def load(text: str, name: str) -> Job:
    return load_job(Source(name=name, text=text)).job


def round_trip(job: Job) -> None:
    assert_same(job, load(to_yaml(job), "again.yml"))
    assert_same(job, load(to_brace(job), "again.job"))


def mended(name: str) -> Job:
    text = next((BROKEN / name).glob("job.*")).read_text(encoding="utf-8")
    return load(text.replace("install KairosDB", "build KairosDB"), name.replace("-v2-", "-v2."))


def test_init_and_the_reference_job() -> None:
    round_trip(load(job_text(), "job.yml"))
    round_trip(mended("job-v2-job"))
    assert_same(mended("job-v2-job"), mended("job-v2-md"))


def test_converting_twice_gives_the_same_text() -> None:
    job = mended("job-v2-job")
    text = to_yaml(job)
    assert to_yaml(load(text, "a.yml")) == text
    braces = to_brace(job)
    assert to_brace(load(braces, "a.job")) == braces


# -- any job ------------------------------------------------------------------------------------------------------

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")
AWKWARD = st.sampled_from(
    [
        "no",
        "012",
        "1.10",
        "null",
        "~",
        "1:30",
        "# x",
        "a # b",
        "a: b",
        "- x",
        "[x]",
        "{x}",
        "{{ x }}",
        "<<END",
        "END\n",
        "a\nb\n",
        " a",
        "a ",
        "a\\",
        "\\",
        '"',
        "'",
        '"a"',
        "= x",
        "${HOME}",
        "$${x}",
        "\t",
        "\x85x",
        "\u2028",
        "\ufeff",
        "true",
        "5",
        "a\n  b\n\n",
        "\n",
        "  a\nb\n",
        "END",
        "stage {",
        "}",
        "]",
        ",",
        "a,b",
        "x = [",
        "@x",
        "%x",
        "é",
        "a\r\nb\n",
        "2026-11-23",
    ]
)
TEXT = (st.text(CHARACTERS, min_size=1, max_size=12) | AWKWARD).filter(lambda text: "${" not in text.replace("$${", ""))
COMMAND = TEXT.filter(lambda text: bool(text.strip()))
SECONDS = st.sampled_from([0.25, 1, 1.5, 90, 3600, 0.001, 12345])
NUMBER = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
VALUE = st.recursive(
    TEXT | st.booleans() | st.none() | NUMBER,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAME = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"all", "localhost", "central", "node", "run"}
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


DRIVER = st.one_of(
    COMMAND.map(lambda text: {"shell": text}),
    st.tuples(COMMAND, TEXT).map(lambda pair: {"shell": {"run": pair[0], "executable": pair[1]}}),
    st.lists(TEXT, min_size=1, max_size=4).map(lambda argv: {"exec": argv}),
    st.tuples(TEXT, TEXT).map(lambda pair: {"copy": {"content": pair[0], "dest": pair[1], "mode": "0644"}}),
    st.dictionaries(TEXT, VALUE, max_size=3).map(
        lambda args: {"module": {"name": "ansible.builtin.ping", "args": args}}
    ),
    st.dictionaries(TEXT, VALUE, max_size=3).map(lambda values: {"role": {"name": "r", "vars": values}}),
    st.tuples(TEXT, TEXT, st.lists(TEXT, max_size=2)).map(
        lambda t: {"docker": {"run": t[0], "env": {t[1]: t[0]}, "args": t[2]}}
    ),
    TEXT.map(lambda path: {"fetch": path}),
)
METRICS = st.lists(
    st.tuples(NAME, optional(unit=TEXT, min=st.just(-1.5), max=NUMBER.map(abs), required=st.booleans(), file=TEXT)).map(
        lambda pair: {"name": pair[0], "regex": "x=([0-9.]+) [a-z]", **pair[1]}
    ),
    max_size=2,
    unique_by=lambda metric: str(metric["name"]),
)
COMMON = optional(
    name=COMMAND,
    env=st.dictionaries(TEXT, TEXT, max_size=3),
    chdir=TEXT,
    become=st.booleans(),
    user=TEXT,
    timeout=SECONDS,
    retry=st.integers(0, 5) | st.fixed_dictionaries({"count": st.integers(0, 5), "delay": SECONDS}),
    when=TEXT,
    metrics=METRICS,
    collect=st.lists(TEXT, max_size=2),
)
TASK = st.tuples(DRIVER, COMMON).map(lambda pair: {**pair[0], **pair[1]})
SERVICE = st.tuples(
    COMMAND.map(lambda text: {"shell": text}),
    st.sampled_from(
        [{"tcp": "localhost:1"}, {"http": "http://x/", "status": [200, 204], "body": "[a]"}, {"file": "/x"}]
    ),
    optional(
        grace=SECONDS, shutdown=st.tuples(COMMAND, SECONDS).map(lambda pair: {"shell": pair[0], "timeout": pair[1]})
    ),
).map(lambda parts: {**parts[0], "name": "service", "type": "long", "ready": {**parts[1], "timeout": 5}, **parts[2]})


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(COMMAND, min_size=1, max_size=3, unique=True))
    stages: list[dict[str, Any]] = [
        {
            "name": name,
            "nodes": draw(st.sampled_from(["all", "loader", {"type": "loader"}, {"name": ["l"]}, ["l", "db"]])),
        }
        | {"tasks": draw(st.lists(TASK, min_size=1, max_size=3))}
        for name in names
    ]
    stages[0]["tasks"] = [*stages[0]["tasks"], *draw(st.lists(SERVICE, max_size=1))]
    matrix = draw(st.dictionaries(NAME, st.lists(TEXT, min_size=1, max_size=3, unique=True), max_size=2))
    block = {"repeat": draw(st.integers(1, 3)), "matrix": matrix, "stages": [[name] for name in names]}
    return {
        "name": draw(TEXT),
        **draw(optional(reason=TEXT, workload=TEXT, vars=st.dictionaries(NAME, TEXT, max_size=3), timeout=SECONDS)),
        "secrets": draw(st.dictionaries(NAME, st.sampled_from([{"env": "X"}, {"file": "/x y"}]), max_size=1)),
        "nodes": {
            "l": {"type": "loader", "count": draw(st.integers(1, 3))},
            "db": {"type": "database", "memory": "8GiB"},
        },
        "stages": stages,
        "pipeline": [names, block],
    }


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=jobs())
def test_any_job(data: dict[str, Any]) -> None:
    try:
        job = load_bytes(yaml_text(data).encode(), name="job.yml").job
    except JobError as error:
        pytest.fail(error.render())
    round_trip(job)


def yaml_text(data: Any) -> str:
    """The data in an independent writer's YAML: flow style, every text in double quotes."""
    if isinstance(data, dict):
        return "{" + ", ".join(f"{yaml_text(key)}: {yaml_text(value)}" for key, value in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(yaml_text(item) for item in data) + "]"
    if isinstance(data, str):
        return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in data) + '"'
    return "null" if data is None else str(data).lower()
