"""What follows ``slurm:`` in WHERE, checked when it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from benchhub_ansible.errors import UsageError
from benchhub_ansible.schedulers.where import parse_options
from benchhub_ansible.values import parse_duration

#: How long a slurmctld that does not answer is waited for, in seconds.
PATIENCE = 600.0
_NAMES = ("partition", "account", "qos", "reservation")
_KEYS = (*_NAMES, "time", "connect", "patience")
_NAME = re.compile(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+:-]*")


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """How to ask Slurm; what is None is left to the cluster's defaults, or to the user's SBATCH_* variables."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    time: float | None = None  # seconds; None: what the plan may take
    connect: str = "ssh"  # ssh | srun
    patience: float = PATIENCE

    @classmethod
    def parse(cls, text: str) -> Self:
        """The options of ``k=v,k=v``; UsageError, saying what is valid, for anything else."""
        given = parse_options("slurm", text, _KEYS)
        for key in _NAMES:
            if key in given and not _NAME.fullmatch(given[key]):
                raise _bad(text, f"{key}={given[key]}", f"the name of a {key}")
        connect = given.get("connect", "ssh")
        if connect not in ("ssh", "srun"):
            raise _bad(text, f"connect={connect}", "connect=ssh or connect=srun")
        return cls(
            **{key: given[key] for key in _NAMES if key in given},
            time=_duration(text, "time", given["time"]) if "time" in given else None,
            connect=connect,
            patience=_duration(text, "patience", given["patience"]) if "patience" in given else PATIENCE,
        )

    def arguments(self) -> list[str]:
        """The options of sbatch that every part of a request has in common, the time not among them."""
        return [f"--{key}={value}" for key in _NAMES if (value := getattr(self, key)) is not None]


def _duration(text: str, key: str, value: str) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        seconds = 0.0
    if not seconds:
        raise _bad(text, f"{key}={value}", f"a duration such as {key}=30m or {key}=1h30m")
    return seconds


def _bad(text: str, what: str, wanted: str) -> UsageError:
    return UsageError(f"--on slurm:{text}: {what} is not possible", hint=f"wanted is {wanted}")
