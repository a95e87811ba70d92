"""What a run is given, who watches it, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.journal import Event
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.schedulers.where import DEFAULT_WHERE

if TYPE_CHECKING:
    from benchhub_ansible.results.model import Result

#: How long nodes are kept unless the user says otherwise, in seconds.
KEEP_FOR = 7200.0
#: Where our files go on the nodes; what is made below it is checked to be ours.
NODE_DIR = "/tmp"  # noqa: S108


class Observer(Protocol):
    """Who watches a run: the live table, plain lines, a test."""

    def warning(self, diagnostic: Diagnostic) -> None:
        """The job may not mean what its author thinks."""
        ...

    def begin(self, plan: Plan, folder: RunFolder) -> None:
        """The run has its folder; events follow."""
        ...

    def event(self, entry: Event) -> None:
        """One event of the journal, secrets masked."""
        ...

    def notice(self, text: str) -> None:
        """What is being waited for, or what the user should know now."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a job is run; times in seconds."""

    runs_dir: Path = Path("runs")
    where: str = DEFAULT_WHERE
    variables: Mapping[str, str] = field(default_factory=dict)
    profile: str = "default"
    from_stage: str | None = None
    only: str | None = None
    keep: bool = False
    keep_on_failure: bool = False
    keep_for: float = KEEP_FOR
    node_dir: str = NODE_DIR
    ansible_args: tuple[str, ...] = ()
    pass_env: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended, and where all of it lies. ``kept_until``: epoch seconds when nodes were kept."""

    folder: RunFolder
    result: Result
    status: str
    exit_code: int
    reason: str | None
    kept_until: float | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.run_id
