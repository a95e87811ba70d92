"""A real Slurm on this machine: munged, slurmctld and a slurmd for each node, with sshd nodes at the same addresses."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchhub_ansible.testing.sshd import SshFarm

_START_LIMIT = 120.0

#: slurmctld answers on loopback only. A slurmd listens everywhere (it would bind to what this machine's name resolves
#: to otherwise, and so could not be at the address of its node) and takes nothing without a credential of our munged.
_CONFIG = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
CommunicationParameters=NoCtldInAddrAny
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool/%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.%n.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
MessageTimeout=10
KillWait=5
EnforcePartLimits=ALL
MinJobAge=300
InactiveLimit=0
"""


class MissingSlurmError(RuntimeError):
    """A program of Slurm is not installed; the message says what to install."""


class SlurmFarm:
    """Context manager: a cluster of ``count`` nodes, ``node1``…, in a folder of its own, with an ssh node for each.

    The partition ``main`` has all nodes; ``node1`` has the feature ``ssd``. ``environment`` is what a process needs to
    use it. Leaving the context ends the daemons it started, what they ran, and nothing else. Only root can start it.
    """

    def __init__(self, count: int = 4) -> None:
        # Slurm's configuration knows no quoting and a socket's path is short: a folder of its own, whatever TMPDIR is
        self.directory = Path(tempfile.mkdtemp(prefix="bh-slurm-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.ssh = SshFarm(self.directory / "ssh", count)
        self.names = tuple(f"node{number}" for number in range(1, count + 1))
        self.config = self.directory / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for whoever uses the farm: where Slurm's configuration is, and how ssh reaches its nodes."""
        options = (
            f"-p {self.ssh.port} -i {self.ssh.key} -o IdentitiesOnly=yes"
            f" -o UserKnownHostsFile={self.ssh.directory}/known_hosts"
        )
        return {"SLURM_CONF": str(self.config), "ANSIBLE_SSH_COMMON_ARGS": options}

    def __enter__(self) -> Self:
        try:
            self.ssh.__enter__()
            self._configure()
            self._start_munge()
            self.start_slurmctld()
            for name in self.names:
                self.start_node(name)
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def call(self, *command: str) -> str:
        """The standard output of one Slurm command against this cluster; RuntimeError with its words when it fails."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def jobs(self) -> list[str]:
        """The Slurm jobs that have not ended, an ``id name state`` each."""
        lines = self.call("squeue", "--noheader", "--format=%i %j %T").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def reset(self, limit: float = 120.0) -> None:
        """Starts what a test has stopped, cancels every Slurm job and waits for their ends: as good as new."""
        self.start_slurmctld()
        for name in self.names:
            self.start_node(name)
        self.until(self._answers, "slurmctld answers")
        self.call("scancel", "--user=root")
        self.until(lambda: not self.jobs(), "Slurm jobs end", limit)
        self._wait()

    def start_slurmctld(self) -> None:
        """Starts slurmctld unless it runs."""
        self._start(self.directory / "slurmctld.pid", ["slurmctld", "-f", str(self.config)])

    def stop_slurmctld(self) -> None:
        """Ends slurmctld in order, so that it saves what it knows, and returns when it has ended."""
        self._end(self.directory / "slurmctld.pid", signal.SIGTERM)

    def start_node(self, name: str) -> None:
        """Starts the slurmd of a node unless it runs."""
        self._start(self.directory / f"slurmd.{name}.pid", ["slurmd", "-N", name, "-f", str(self.config)])

    def kill_node(self, name: str) -> None:
        """Kills the slurmd of a node and returns when it has ended; what it started runs on."""
        self._kill(self.directory / f"slurmd.{name}.pid")

    def stop(self) -> None:
        """Ends everything; doing it twice does no harm."""
        for path in (*self.directory.glob("slurmd.*.pid"), *self.directory.glob("slurmctld.pid")):
            self._kill(path)
        for process in psutil.process_iter():  # slurmstepd and what it runs carry the path of our configuration
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == str(self.config) and process.pid not in _ourselves():
                    process.kill()
        self._kill(self.directory / "munged.pid")
        self.ssh.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            self.call("scontrol", "ping")
        except RuntimeError:
            return False
        return True

    def _configure(self) -> None:
        (self.directory / "state").mkdir(exist_ok=True)
        (self.directory / "spool").mkdir(exist_ok=True)
        port, *ports = _free_ports(1 + len(self.names))
        lines = [_CONFIG.format(dir=self.directory, host=platform.node(), port=port)]
        for number, name in enumerate(self.names):
            address = self.ssh.addresses[number]
            feature = " Feature=ssd" if number == 0 else ""
            lines.append(
                f"NodeName={name} NodeHostname={address} NodeAddr={address} Port={ports[number]}"
                f" CPUs=4 RealMemory=1000{feature} State=UNKNOWN\n"
            )
        lines.append("PartitionName=main Nodes=ALL Default=YES MaxTime=300 DefaultTime=5 State=UP\n")
        self.config.write_text("".join(lines))

    def _start_munge(self) -> None:
        key = self.directory / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        command = [
            _program("munged"),
            "--force",  # it runs as root, in a folder that is not the system's
            "--num-threads=2",
            f"--key-file={key}",
            f"--log-file={self.directory}/munged.log",
            f"--socket={self.directory}/munge.socket",
            f"--pid-file={self.directory}/munged.pid",
            f"--seed-file={self.directory}/munged.seed",
        ]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=_START_LIMIT)

    def _start(self, pid_file: Path, command: list[str]) -> None:
        if _pid(pid_file) is not None:
            return
        program = _program(command[0])
        environment = {**os.environ, "SLURM_CONF": str(self.config)}
        log = (self.directory / "start.log").open("ab")
        with log:
            subprocess.run(
                [program, *command[1:]],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                timeout=_START_LIMIT,
            )
        self.until(lambda: _pid(pid_file) is not None, f"{command[0]} starts")

    def _kill(self, pid_file: Path) -> None:
        self._end(pid_file, signal.SIGKILL)

    def _end(self, pid_file: Path, number: signal.Signals) -> None:
        pid = _pid(pid_file)
        if pid is not None:
            os.kill(pid, number)
            self.until(lambda: _pid(pid_file) is None, f"{pid_file.name} ends")

    def _wait(self) -> None:
        idle = ["sinfo", "--noheader", "--states=idle", "--responding", "--format=%D"]

        def ready() -> bool:
            try:
                return self.call(*idle).split() == [str(len(self.names))]
            except RuntimeError:
                return False

        self.until(ready, "all nodes are idle")

    def until(self, true: Callable[[], bool], what: str, limit: float = 120.0) -> None:
        """Returns when something has become true; RuntimeError, with the end of Slurm's logs, when it has not."""
        deadline = time.monotonic() + limit
        while not true():
            if time.monotonic() > deadline:
                logs = "".join(path.read_text(errors="replace")[-2000:] for path in self.directory.glob("slurm*.log"))
                raise RuntimeError(f"waited {limit:.0f} s until {what}:\n{logs}")
            time.sleep(0.05)


def _pid(path: Path) -> int | None:
    """The process of a pid file, None when it has ended."""
    try:
        pid = int(path.read_text())
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE and process.name() in ("slurmctld", "slurmd", "munged")
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if alive else None


def _ourselves() -> set[int]:
    """Our own process and those above it: a test may have the farm's variables in its own environment."""
    process = psutil.Process()
    return {process.pid, *(parent.pid for parent in process.parents())}


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingSlurmError(f"{name} is missing: install it with `apt-get install slurmctld slurmd slurm-client`")
    return found


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the kernel gives to whoever connects."""
    found: list[int] = []
    while len(found) < count:
        port = secrets.SystemRandom().randrange(20000, 32000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("0.0.0.0", port))  # noqa: S104 - only to find a number
            if port not in found:
                found.append(port)
    return found
