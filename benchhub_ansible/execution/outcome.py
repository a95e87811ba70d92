"""What comes of a run: its result and its report, written into the run folder."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from benchhub_ansible import registry
from benchhub_ansible.errors import ExitCode
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.options import RunOutcome
from benchhub_ansible.results.record import Ending

if TYPE_CHECKING:
    from benchhub_ansible.results.model import Result

#: Modules that only the end of a run needs: they are imported while Ansible starts, when this process is idle.
_NEEDED_AT_THE_END = (
    "benchhub_ansible.results.build",
    "benchhub_ansible.results.store",
    "benchhub_ansible.reports.markdown",
    "benchhub_ansible.reports.console",
)


def import_what_the_end_needs() -> None:
    """Imports it; a module that does not import is told where it is used."""
    for name in _NEEDED_AT_THE_END:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def result_of(folder: RunFolder, ending: Ending) -> Result:
    """The result of a run that ends like this."""
    from benchhub_ansible.results.build import build_result  # noqa: PLC0415 - see _NEEDED_AT_THE_END

    return build_result(folder.path, ending=ending)


def write_outcome(folder: RunFolder, result: Result, *, kept_until: float | None = None) -> RunOutcome:
    """The outcome, with ``result.json`` and ``report.md`` written; ResultError where they cannot be."""
    from benchhub_ansible.results.store import write_result  # noqa: PLC0415 - see _NEEDED_AT_THE_END

    write_result(result, folder.path)
    markdown = registry.load("report", "markdown")().render(result, color=False, width=120)
    folder.write(folder.report, markdown)
    verdict = result.verdict
    return RunOutcome(
        folder=folder,
        result=result,
        status=verdict.status,
        exit_code=int(ExitCode.DEFECT if verdict.exit_code is None else verdict.exit_code),
        reason=verdict.reason,
        kept_until=kept_until,
    )
