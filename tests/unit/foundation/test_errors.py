"""Diagnostics: where, what, the line, the caret and the hint."""

import pytest

from benchhub_ansible.errors import Diagnostic, Diagnostics, ExitCode, JobError, Severity
from benchhub_ansible.source import EXCERPT_WIDTH, Source, Span, excerpt

SOURCE = Source(name="job.yml", text="version: 2\r\npipeline: [nope]\n")


def test_a_diagnostic_shows_the_line_a_caret_and_the_hint() -> None:
    finding = Diagnostic(
        code="unknown-stage",
        message="no such stage",
        source=SOURCE,
        span=Span(line=2, column=12, length=4),
        hint="did you mean `none`?",
    )
    assert finding.render() == (
        "job.yml:2:12: error[unknown-stage]: no such stage\n"
        "    2 | pipeline: [nope]\n"
        "      |            ^^^^\n"
        "      = hint: did you mean `none`?"
    )


def test_findings_are_told_at_once_in_the_order_of_the_file() -> None:
    findings = Diagnostics()
    for line in (9, 2):
        findings.add(Diagnostic(code="x", message=f"line {line}", source=SOURCE, span=Span(line=line, column=1)))
    findings.add(Diagnostic(code="w", message="whole file", severity=Severity.WARNING))
    with pytest.raises(JobError) as caught:
        findings.raise_if_errors()
    assert [item.message for item in caught.value.diagnostics] == ["whole file", "line 2", "line 9"]
    assert caught.value.exit_code is ExitCode.JOB


def test_warnings_alone_stop_nothing() -> None:
    findings = Diagnostics()
    findings.add(Diagnostic(code="w", message="look", severity=Severity.WARNING))
    findings.raise_if_errors()
    assert not findings.has_errors


@pytest.mark.parametrize("column", [1, 60, 5000, 9999])
def test_a_hostile_line_cannot_flood_the_terminal(column: int) -> None:
    source = Source(name="x", text="\x1b[31m" + "a" * 10_000)
    shown = excerpt(source, Span(line=1, column=column, length=3))
    assert "\x1b" not in shown
    assert all(len(line) <= EXCERPT_WIDTH + 12 for line in shown.splitlines())
    assert shown.splitlines()[1].rstrip().endswith("^")
