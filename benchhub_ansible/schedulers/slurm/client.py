"""Slurm's own commands: the only way in which Slurm is asked anything."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence

from benchhub_ansible.errors import SchedulerError

#: What must be on PATH.
PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
#: A command waits up to MessageTimeout (10 s unless the cluster says otherwise) for slurmctld, some of them twice.
_LIMIT = 60.0
#: How Slurm's commands say that slurmctld did not answer (slurm/slurm_errno.h, in words).
_AWAY = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Connection refused",
    "Communication connection failure",
    "Communication shutdown failure",
    "controller in standby mode",
    "Unable to establish controller machine",
)
#: The environment of the commands: no SLURM_JOB_ID and the like, which would make them speak of another Slurm job.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "SLURM_CONF", "SLURM_CLUSTERS", "LD_LIBRARY_PATH", "TMPDIR")
_KEPT_PREFIXES = ("SBATCH_",)
_LAST_LINES = 6


class SlurmctldAwayError(SchedulerError):
    """slurmctld did not answer; what was asked for may have happened all the same."""


class SlurmClient:
    """Calls Slurm's commands. Every method raises SchedulerError with Slurm's own words, or SlurmctldAwayError."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        kept = {key: value for key, value in environ.items() if key in _KEPT or key.startswith(_KEPT_PREFIXES)}
        self.environ = {**kept, "SLURM_TIME_FORMAT": "%s"}  # times as epoch seconds

    def call(
        self, program: str, *arguments: str, data: str = "", environ: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """What a command prints, (standard output, standard error), when it succeeds."""
        try:
            done = subprocess.run(
                [program, *arguments],
                input=data,
                env={**self.environ, **(environ or {})},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT,
                check=False,
                start_new_session=True,  # Ctrl-C is for us, who then cancel what was asked for
            )
        except FileNotFoundError:
            raise SchedulerError(f"{program} is not on PATH", hint=missing()) from None
        except OSError as error:
            raise SchedulerError(f"{program} cannot be started: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise SlurmctldAwayError(f"{program} had no answer within {_LIMIT:.0f} s") from None
        if done.returncode != 0:
            raise _error(program, done.stderr or done.stdout)
        return done.stdout, done.stderr

    def submit(self, arguments: Sequence[str], script: str, environ: Mapping[str, str] | None = None) -> str:
        """The id of a new Slurm job that runs a script on its first node."""
        out, _ = self.call("sbatch", "--parsable", *arguments, data=script, environ=environ)
        return out.strip().split(";")[0]  # "12", or "12;cluster" in a federation

    def try_out(self, arguments: Sequence[str]) -> None:
        """Returns when Slurm would take such a Slurm job; nothing is submitted."""
        self.call("sbatch", "--test-only", *arguments, data="#!/bin/sh\n")

    def cancel(self, *what: str) -> None:
        """Cancels Slurm jobs or steps; one that has ended is no error."""
        self.call("scancel", "--quiet", *what)

    def hosts(self, nodes: str) -> list[str]:
        """The names in a list of nodes such as ``node[1-3]``."""
        return self.call("scontrol", "show", "hostnames", nodes)[0].split() if nodes else []

    def node_rows(self, nodes: str = "") -> list[dict[str, str]]:
        """``scontrol show node``, a mapping a node."""
        out, _ = self.call("scontrol", "--oneliner", "show", "node", *([nodes] if nodes else []))
        return [_pairs(line) for line in out.splitlines() if line.startswith("NodeName=")]

    def partitions(self) -> list[str]:
        """The names of the partitions."""
        return self.call("sinfo", "--noheader", "--format=%R")[0].split()


def missing() -> str | None:
    """The mend when a command of Slurm is missing; None when all are on PATH."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if not absent:
        return None
    return (
        f"not on PATH: {', '.join(absent)}; mend: run benchhub where Slurm jobs are submitted from, or install Slurm's"
        " commands (Debian: apt-get install slurm-client)"
    )


def _error(program: str, output: str) -> SchedulerError:
    lines = [_bare(program, line) for line in output.strip().splitlines()]
    words = "; ".join(dict.fromkeys(filter(None, lines[-_LAST_LINES:]))) or f"{program} failed and said nothing"
    kind = SlurmctldAwayError if any(text in output for text in _AWAY) else SchedulerError
    return kind(words)


def _bare(program: str, line: str) -> str:
    """What Slurm says, without who says it."""
    for prefix in (f"{program}: ", "error: ", "allocation failure: ", "Batch job submission failed: "):
        line = line.strip().removeprefix(prefix)
    return line


def _pairs(line: str) -> dict[str, str]:
    """``A=1 B=two words C=3``: a word without an equals sign belongs to the value before it."""
    found: dict[str, str] = {}
    last = ""
    for word in line.split():
        key, equals, value = word.partition("=")
        if equals and key.isidentifier():
            found[key], last = value, key
        elif last:
            found[last] += f" {word}"
    return found
