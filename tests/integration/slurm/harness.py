"""``benchhub`` on a real Slurm: how tests start it, wait for what they need, and see that nothing is left."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchhub_ansible.testing.leftovers import leftovers
from benchhub_ansible.testing.slurm import SlurmFarm

JOB = """\
version: 2
name: small
vars: {go: /dev/null, seen: /dev/null}
nodes:
  db: {type: database, features: [ssd]}
  loader: {type: loader, count: 2}
stages:
  - name: serve
    nodes: {type: database}
    tasks:
      - name: server
        shell: echo up; exec sleep 1000
        type: long
        ready: {log: up, timeout: 60s}
  - name: load
    nodes: {type: loader}
    tasks:
      - shell: |
          echo "rate=7"
          echo '${node.name}' >> '${seen}'
          until [ -e '${go}' ]; do sleep 0.1; done
        timeout: 10m
        metrics: [{name: rate, regex: 'rate=([0-9.]+)'}]
pipeline: [[serve], [load]]
"""


@dataclass
class OnSlurm:
    """``benchhub`` on a farm, a small job, and what has to hold afterwards."""

    farm: SlurmFarm
    benchhub: Any

    @property
    def job(self) -> Path:
        path: Path = self.benchhub.folder / "job.yml"
        path.write_text(JOB)
        return path

    @property
    def go(self) -> Path:
        """The file whose coming ends the load."""
        path: Path = self.benchhub.folder / "go"
        return path

    @property
    def seen(self) -> Path:
        """The file into which loaders write that they have begun."""
        path: Path = self.benchhub.folder / "seen"
        return path

    def start(self, where: str) -> subprocess.Popen[str]:
        """A run that loads until ``go`` is there."""
        given = ("--var", f"go={self.go}", "--var", f"seen={self.seen}")
        process: subprocess.Popen[str] = self.benchhub.start("run", self.job, "--on", where, *given)
        return process

    def occupy(self) -> str:
        """A Slurm job of somebody that has every node."""
        script = ["--wrap", "exec sleep 3600"]
        ident = self.farm.call("sbatch", "--parsable", "--exclusive", "--nodes=4", "--output=/dev/null", *script)
        self.farm.until(lambda: self.state(ident) == "RUNNING", "somebody has every node")
        return ident.strip()

    def program(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Another program, as a user calls it in his folder."""
        return subprocess.run(
            command,
            cwd=self.benchhub.folder,
            env=self.benchhub.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )

    def state(self, ident: str) -> str:
        return self.farm.call("squeue", "--noheader", f"--jobs={ident.strip()}", "--states=all", "--format=%T").strip()

    def in_queue(self) -> dict[str, Any]:
        """The event of a run that has been told its place in Slurm's queue."""
        event: dict[str, Any] = self.benchhub.wait_for(
            lambda event: event["event"] == "waiting" and "position" in event["text"]
        )
        return event

    def loading(self) -> str:
        """The Slurm job of a run whose loaders have both begun; see ``start``."""
        self.farm.until(lambda: self.seen.exists() and len(self.seen.read_text().split()) == 2, "both loaders load")
        return self.slurm_job()

    def slurm_job(self) -> str:
        allocation = self.benchhub.wait_for(lambda event: event["event"] == "acquired")["allocation"]
        return str(allocation["data"]["job"])

    def told(self, text: str) -> None:
        self.benchhub.wait_for(lambda event: event["event"] == "waiting" and text in event["text"])

    def gone(self, *ports: int, files: bool = True) -> None:
        """Nothing is left of the run: no Slurm job, no process, and no file unless Slurm took the way to it away."""
        run_id = self.benchhub.run_folder().name
        self.farm.until(lambda: not any(run_id in job for job in self.farm.jobs()), "the run's Slurm job has ended")
        left = leftovers(run_id, *ports, patience=30)
        assert [item for item in left if files or not item.startswith("file ")] == []


def ended(process: subprocess.Popen[str], limit: float = 120) -> tuple[int, str]:
    """The exit code of a run and what it printed."""
    output, _ = process.communicate(timeout=limit)
    assert "Traceback" not in output, output
    return process.returncode, output
