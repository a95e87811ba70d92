"""One squeue for all runs of a user on this machine: who asks finds what another has just been told.

Answers lie in a folder of the user's own, one file a question, under a lock that is held while Slurm is asked. While
slurmctld does not answer, it is asked less and less often.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.slurm.client import SlurmClient, SlurmctldAwayError
from benchhub_ansible.schedulers.slurm.jobs import FORMAT, SlurmJob, parse_jobs

#: Seconds between two questions, and the most that silence makes of it.
INTERVAL = 5.0
LONGEST = 40.0

#: Every Slurm job of the user, those that ended some minutes ago among them.
MINE = ("--me", "--states=all")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What squeue said and when (epoch seconds); ``silence``: how often in a row slurmctld has not answered."""

    at: float = 0.0
    text: str = ""
    silence: int = 0
    problem: str = ""

    @property
    def known(self) -> bool:
        """Whether slurmctld answered."""
        return not self.silence

    @property
    def jobs(self) -> tuple[SlurmJob, ...]:
        """The Slurm jobs it told of."""
        return parse_jobs(self.text)

    def serves(self, now: float, newer_than: float) -> bool:
        """Whether it may be given again instead of asking Slurm."""
        age = now - self.at
        if self.silence:
            return 0 <= age < min(INTERVAL * 2.0 ** (self.silence - 1), LONGEST)
        return 0 <= age < INTERVAL and self.at >= newer_than


class SharedQueue:
    """Asks squeue, for this run and whoever else asks the same of the same cluster."""

    def __init__(self, client: SlurmClient, folder: Path | None = None) -> None:
        self._client = client
        self._folder = folder

    def ask(self, question: tuple[str, ...] = MINE, *, newer_than: float = 0.0) -> Answer:
        """The answer to a squeue with these arguments, not older than ``newer_than`` when slurmctld answers.

        SchedulerError when squeue refuses the question or the file cannot be used; that slurmctld is away is an answer.
        """
        folder = self._folder = self._folder or _own_folder()
        cluster = self._client.environ.get("SLURM_CONF", ""), self._client.environ.get("SLURM_CLUSTERS", "")
        path = folder / hashlib.sha256(json.dumps([*cluster, *question]).encode()).hexdigest()[:24]
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # released with the file
                before = _read(file.read())
                if before.serves(time.time(), newer_than):
                    return before
                answer = self._squeue(question, before)
                file.seek(0)
                file.truncate()
                json.dump(asdict(answer), file)
        except OSError as error:
            raise SchedulerError(f"{path} cannot be used: {error.strerror}", hint="set TMPDIR") from None
        return answer

    def _squeue(self, question: tuple[str, ...], before: Answer) -> Answer:
        at = time.time()
        try:
            text, _ = self._client.call("squeue", "--noheader", f"--format={FORMAT}", *question)
        except SlurmctldAwayError as error:
            return replace(before, at=time.time(), text="", silence=before.silence + 1, problem=str(error))
        return Answer(at=at, text=text)


def _read(text: str) -> Answer:
    """The answer in a file; one that never serves when a dead process left the file torn."""
    try:
        data = json.loads(text)
        if isinstance(data, Mapping):
            return Answer(**data)
    except (ValueError, TypeError):
        pass
    return Answer()


def _own_folder() -> Path:
    """A folder of the user's own on this machine; SchedulerError when somebody else made it first."""
    folder = Path(tempfile.gettempdir()) / f"benchhub-slurm-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise SchedulerError(f"{folder} cannot be made: {error.strerror}", hint="set TMPDIR") from None
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise SchedulerError(f"{folder} is not this user's own folder", hint="remove it, or set TMPDIR")
    return folder
