"""``connect=srun``: the Slurm step on each node that keeps what a run starts there.

Slurm ends whatever a step has started when the step ends, so a supervisor cannot outlive the srun that brings it. One
long step per component (the *holder*) therefore starts every command of the connection plugin
``benchhub.bench.srun``; the plugin's own short steps only hand it the command. See its ``srun_agent.py``.
"""

from __future__ import annotations

import runpy
import subprocess
from collections.abc import Iterable

from benchhub_ansible import resources
from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.slurm.client import SlurmClient

_AGENT = "ansible_collections/benchhub/bench/plugins/module_utils/srun_agent.py"
_ENDS_WITHIN = 30.0

#: A command on a node gets an environment like that of a login over ssh, not that of the controller and its secrets.
EXPORT = "HOME,USER,LOGNAME,SHELL,LANG,PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def holder_name(run_id: str) -> str:
    """The name of a run's holder: of its step, and of the socket on each node."""
    return f"benchhub-{run_id}-holder"


class Holders:
    """The srun processes, on this machine, of the holders that this process has started."""

    def __init__(self, client: SlurmClient) -> None:
        self._client = client
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, ident: str, run_id: str, components: Iterable[int], *, heterogeneous: bool) -> None:
        """Starts a holder on every node of a Slurm job, and waits for none: who first calls one does."""
        path = resources.collections() / _AGENT
        agent, launch = path.read_bytes(), str(runpy.run_path(str(path))["LAUNCH"])
        for number, nodes in enumerate(components):
            command = [
                "srun",
                f"--jobid={ident}",
                *([f"--het-group={number}"] if heterogeneous else []),
                "--overlap",
                "--whole",
                "--mem=0",
                "--quiet",
                f"--nodes={nodes}",
                f"--ntasks={nodes}",
                "--ntasks-per-node=1",
                "--mpi=none",
                "--chdir=/",
                f"--job-name={holder_name(run_id)}",
                f"--export={EXPORT}",
                "/bin/sh",
                "-c",
                launch,
                "sh",
                str(len(agent)),
                "hold",
                holder_name(run_id),
            ]
            self._start(command, agent)

    def _start(self, command: list[str], agent: bytes) -> None:
        try:
            process = subprocess.Popen(
                command,
                env=self._client.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # it outlives this process: `recover` still needs what it holds
            )
        except OSError as error:
            raise SchedulerError(f"srun cannot be started: {error.strerror}") from None
        if process.stdin is not None:
            try:
                process.stdin.write(agent)
                process.stdin.close()
            except BrokenPipeError:  # srun ended at once; the first connection says what is wrong
                pass
        self._started.append(process)

    def stop(self) -> None:
        """Waits until the srun processes have ended, which they do when their step is cancelled; then ends them."""
        for process in self._started:
            try:
                process.wait(timeout=_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()

    def cancel_steps(self, ident: str, run_id: str) -> None:
        """Ends the holders of a run in a Slurm job that goes on."""
        out, _ = self._client.call("squeue", "--steps", f"--jobs={ident}", "--noheader", "--format=%i|%j")
        for line in out.splitlines():
            step, _, name = line.strip().partition("|")
            if name == holder_name(run_id):
                self._client.cancel(step)
