"""The one family of errors, the diagnostics they carry, and the exit codes they end with."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchhub_ansible.shown import visible_lines
from benchhub_ansible.source import Source, Span, excerpt


class ExitCode(enum.IntEnum):
    """What the process ends with; the numbers are an interface (docs/reference/exit-codes.md)."""

    SUCCESS = 0
    BENCHMARK = 1
    USAGE = 2
    JOB = 3
    PLUGIN = 4
    SCHEDULER = 5
    NODES = 6
    RESULT = 7
    DEFECT = 70
    INTERRUPTED = 130


class Severity(enum.StrEnum):
    """How bad a diagnostic is: only an error stops the job."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One finding: what is wrong, where it stands, and the next step to take."""

    code: str
    message: str
    severity: Severity = Severity.ERROR
    source: Source | None = None
    span: Span | None = None
    hint: str | None = None

    @property
    def headline(self) -> str:
        """``job.yml:14:5: error[unknown-stage]: …`` in one line."""
        where = ""
        if self.source is not None:
            where = f"{self.source.name}:"
            if self.span is not None:
                where += f"{self.span.line}:{self.span.column}:"
            where += " "
        return f"{where}{self.severity}[{self.code}]: {self.message}"

    def render(self) -> str:
        """The headline, the line it stands on with a caret, and the hint, as a terminal may get them."""
        parts = [visible_lines(self.headline)]
        if self.source is not None and self.span is not None:
            parts.append(excerpt(self.source, self.span))
        if self.hint:
            parts.append(f"      = hint: {visible_lines(self.hint)}")
        return "\n".join(parts)


class BenchhubError(Exception):
    """Anything a user can cause or has to know; carries diagnostics and the exit code of the process."""

    exit_code = ExitCode.DEFECT
    code = "error"

    def __init__(self, *diagnostics: Diagnostic | str, hint: str | None = None) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(
            item if isinstance(item, Diagnostic) else Diagnostic(code=self.code, message=item, hint=hint)
            for item in diagnostics
        )
        super().__init__("\n".join(item.headline for item in self.diagnostics))

    def render(self) -> str:
        """Every diagnostic as a user reads it."""
        return "\n".join(item.render() for item in self.diagnostics)


class UsageError(BenchhubError):
    """The command line asks for what does not exist or does not go together."""

    exit_code = ExitCode.USAGE
    code = "usage"


class JobError(BenchhubError):
    """The job file or the settings cannot be used; all findings at once."""

    exit_code = ExitCode.JOB
    code = "job"


class PluginError(BenchhubError):
    """A scheduler, driver, metric or report plugin is missing or does not load."""

    exit_code = ExitCode.PLUGIN
    code = "plugin"


class SchedulerError(BenchhubError):
    """No allocation could be had, or it was lost."""

    exit_code = ExitCode.SCHEDULER
    code = "scheduler"


class NodesError(BenchhubError):
    """Ansible or a node failed in a way that says nothing of the benchmark."""

    exit_code = ExitCode.NODES
    code = "nodes"


class ResultError(BenchhubError):
    """A result or run folder cannot be read, or shows a regression."""

    exit_code = ExitCode.RESULT
    code = "result"


class Diagnostics:
    """Collects findings so that all of them are told at once."""

    def __init__(self) -> None:
        self._items: list[Diagnostic] = []

    def add(self, diagnostic: Diagnostic) -> None:
        """Keeps one finding."""
        self._items.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keeps several findings."""
        self._items.extend(diagnostics)

    @property
    def items(self) -> Sequence[Diagnostic]:
        """All findings in the order of the file, errors and warnings mixed as they stand there."""
        return sorted(self._items, key=lambda item: (item.span is not None, item.span or Span(line=0, column=0)))

    @property
    def has_errors(self) -> bool:
        """Whether any finding stops the job."""
        return any(item.severity is Severity.ERROR for item in self._items)

    def raise_if_errors(self, error: type[BenchhubError] = JobError) -> None:
        """Raises ``error`` with every finding, warnings too, when one of them is an error."""
        if self.has_errors:
            raise error(*self.items)
