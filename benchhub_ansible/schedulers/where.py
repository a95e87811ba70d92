"""WHERE: a scheduler and what it is given: ``local``, ``inventory:PATH``, ``slurm:partition=main``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchhub_ansible import registry
from benchhub_ansible.errors import PluginError, SchedulerError, UsageError
from benchhub_ansible.schedulers.base import Scheduler
from benchhub_ansible.schedulers.inventory import InventoryScheduler

#: Where a job runs unless the command line or the settings say otherwise.
DEFAULT_WHERE = "local"


def scheduler_for(where: str) -> Scheduler:
    """The scheduler that WHERE names; UsageError when there is none, PluginError when it does not load."""
    name, _, rest = where.partition(":")
    if name not in registry.names("scheduler"):
        try:
            registry.load("scheduler", name)
        except PluginError as error:
            there_are = ", ".join(registry.names("scheduler")) or "none"
            hint = error.diagnostics[0].hint or ""
            hint = hint if hint.startswith("there are") else f"{hint} (there are: {there_are})"
            raise UsageError(f"--on {where!r}: no scheduler is called {name!r}", hint=hint) from None
    scheduler: Scheduler = registry.load("scheduler", name).from_where(rest)
    return scheduler


def usable_scheduler(where: str, ansible_args: Sequence[str] = ()) -> Scheduler:
    """The scheduler that WHERE names, already warming up; SchedulerError when it cannot work on this machine."""
    scheduler = scheduler_for(where)
    if isinstance(scheduler, InventoryScheduler):
        scheduler.arguments = tuple(ansible_args)
    problem = scheduler.unusable()
    if problem is not None:
        raise SchedulerError(f"the scheduler {scheduler.name!r} cannot work here: {problem}")
    scheduler.warm_up()
    return scheduler


def absolute_where(where: str) -> str:
    """WHERE as it means the same in every folder: the path of an inventory or a pool made absolute."""
    name, colon, rest = where.partition(":")
    named = name in ("inventory", "pool") and rest
    return f"{name}{colon}{Path(rest).expanduser().absolute()}" if named else where


def parse_options(scheduler: str, text: str, valid: tuple[str, ...]) -> dict[str, str]:
    """``k=v,k=v`` as a mapping; UsageError, listing what is valid, for an unknown, repeated or valueless key."""
    options: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in valid or key in options:
            what = f"{key!r} is given twice" if key in options else f"{part!r} is not an option of it"
            listed = ", ".join(f"{option}=…" for option in valid) or "none"
            raise UsageError(f"--on {scheduler}:{text}: {what}", hint=f"valid options: {listed}")
        options[key] = value
    return options
