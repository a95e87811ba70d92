from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchhub_ansible.reports import text
from benchhub_ansible.reports.console import ConsoleReport
from benchhub_ansible.reports.markdown import MarkdownReport
from benchhub_ansible.results.model import (
    Aggregate,
    Failure,
    JobInfo,
    Node,
    Result,
    Sample,
    Service,
    StageRun,
    Step,
    Summary,
    Verdict,
)

HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 | <script>alert(1)</script>"
    " ![x](http://e) `a` ``` \u202e @you \x00 # _x_ **b**"
)


def result(hostile: str, *, many: int = 1) -> Result:
    """A result in which every text that a node or a job can choose is ``hostile``."""
    failure = Failure(
        kind="step",
        message=hostile,
        source=hostile,
        line=3,
        command=hostile,
        last_lines=(hostile, "```", hostile),
        stdout=hostile,
        signal=9,
        exit_code=1,
        time=1e9,
        slot=hostile,
    )
    step = Step(task="s.01", name=hostile, slot="a", state=hostile)
    stages = tuple(
        StageRun(
            id=f"s{n}",
            name=hostile,
            title=hostile,
            status="failed",
            line=1,
            slots=("a",),
            steps=(step,),
            start=1e9,
            duration=1.0,
        )
        for n in range(many)
    )
    sample = Sample(
        metric=hostile, stage="s0", task="t", slot=hostile, value=7.0, valid=False, why=hostile, unit=hostile
    )
    total = Aggregate(metric=hostile, stage="s0", task="t", function="sum", value=None, why=hostile)
    summary = Summary(
        metric=hostile,
        stage=hostile,
        task=hostile,
        values={hostile: hostile},
        slot=hostile,
        function=None,
        n=0,
        unusable=2,
    )
    service = Service(name=hostile, stage="s0", task="t", slot=hostile, state=hostile, log=hostile, exit_code=1)
    return Result(
        run_id=hostile,
        job=JobInfo(name=hostile, reason=hostile),
        profile=hostile,
        versions={hostile: hostile},
        where=hostile,
        scheduler=None,
        allocation={hostile: hostile},
        started=1e9,
        ended=1e9 + 5,
        nodes=tuple(
            Node(slot="a" if n == 0 else hostile, node="a", type=hostile, address=hostile, facts={hostile: hostile})
            for n in range(many)
        ),
        verdict=Verdict(status="failed", reason=hostile, exit_code=1, failure=failure),
        stages=stages,
        services=(service,) * many,
        samples=(sample,) * many,
        aggregates=(total,),
        summaries=(summary,),
        failures=(failure,) * many,
        warnings=(hostile,),
    )


def assert_harmless(rendered: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rendered)
    rendered.encode()  # no lone surrogates


def test_hostile_text_in_reports() -> None:
    console = ConsoleReport().render(result(HOSTILE), color=False, width=100)
    assert_harmless(console)
    markdown = MarkdownReport().render(result(HOSTILE), color=False, width=100)
    assert_harmless(markdown)
    outside = re.sub(r"(?s)(`{3,})text\n.*?\n\1|(`+)[^`\n].*?\2", "", markdown)
    assert "<script" not in outside.replace("\\<", "")
    assert "![" not in outside.replace("\\!", "").replace("\\[", "")


@given(st.text(max_size=200))
def test_any_text_is_harmless(hostile: str) -> None:
    assert_harmless(ConsoleReport().render(result(hostile), color=False, width=80))
    markdown = MarkdownReport().render(result(hostile), color=False, width=80)
    assert_harmless(markdown)
    for line in markdown.splitlines():
        if line.startswith("| ") and line.endswith(" |") and " (2 unusable) " in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 10  # no cell breaks out of its row


def test_colour_only_where_it_was_asked_for() -> None:
    assert "\x1b[" in ConsoleReport().render(result("x"), color=True, width=100)
    assert "\x1b" not in ConsoleReport().render(result("x"), color=False, width=100)


def test_large_results_are_cut_and_say_so() -> None:
    console = ConsoleReport().render(result("x", many=300), color=False, width=100)
    assert "… and 260 more rows" in console
    assert "… and 295 more failures" in console
    markdown = MarkdownReport().render(result("x", many=300), color=False, width=100)
    assert "… and 100 more rows" in markdown
    assert "… and 290 more" in markdown
    assert "… and 288 more nodes" in markdown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "ms", "missing"),
        (0.0, None, "0"),
        (1234.5, "tx/s", "1234.5 tx/s"),
        (225600.0, None, "225600"),
        (1549500.0, None, "1549500"),
        (45011.3421, None, "45011.3"),
        (1e-9, "s", "1e-09 s"),
        (1e30, None, "1e+30"),
    ],
)
def test_number(value: float | None, unit: str | None, shown: str) -> None:
    assert text.number(value, unit) == shown


def test_an_invalid_number_does_not_look_like_a_result() -> None:
    sample = Sample(metric="m", stage="s", task="t", slot="a", value=7.0, valid=False, why="above its max of 0")
    assert text.value_of(sample) == "(7)"
    assert text.validity(sample) == "INVALID: above its max of 0"
    missing = Sample(metric="m", stage="s", task="t", slot="a", value=None, valid=False, why="no match")
    assert (text.value_of(missing), text.validity(missing)) == ("missing", "missing: no match")
    warm = Sample(metric="m", stage="s", task="t", slot="a", value=1.0, valid=True, warmup=True)
    assert text.validity(warm) == "warm-up"


def test_small_texts() -> None:
    assert text.plain("a" * 300).endswith("…")
    assert text.code("") == "`  `"
    assert text.code("`a`") == "`` `a` ``"
    assert text.code("a|b") == "`a¦b`"
    assert text.fenced(("````",)) == "`````text\n````\n`````"
    assert (text.seconds(None), text.milliseconds(None), text.instant(None), text.instant(1e12)) == ("-",) * 4
    assert text.instant(0.0) == "1970-01-01 00:00:00 UTC"
    assert text.escaped("https://x_y.com_ www.a.b") == r"https\://x_y.com\_ www\.a.b"
