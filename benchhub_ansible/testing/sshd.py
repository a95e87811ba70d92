"""Real sshd nodes on loopback: each has an address of its own (127.0.1.1, 127.0.1.2, …), all are this machine."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

#: sshd refuses more ListenAddress lines than this (MAX_LISTEN_SOCKS in its sources).
_LISTEN_LIMIT = 16
_START_LIMIT = 15.0

_CONFIG = """\
Port {port}
HostKey "{dir}/host_key"
PidFile "{dir}/{name}.pid"
AuthorizedKeysFile "{dir}/authorized_keys"
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxStartups 500:30:1000
MaxSessions 100
Subsystem sftp internal-sftp
# bash run by sshd sources ~/.bashrc only at SHLVL<2, and a developer's may be slow
SetEnv SHLVL=1
"""


class MissingSshdError(RuntimeError):
    """sshd is not installed; the message says what to install."""


class SshFarm:
    """Context manager: ``count`` ssh nodes with keys, known hosts and an Ansible inventory, all inside ``directory``.

    The first host is in group ``database``, the others are in ``loader``; with a single host it is in both. Leaving
    the context ends the sshd processes it started, their sessions, and nothing else.
    """

    def __init__(self, directory: Path, count: int, *, port: int | None = None) -> None:
        self.directory = directory.resolve()
        self.hosts = tuple(f"h{number:03d}" for number in range(1, count + 1))
        self.addresses = tuple(f"127.0.1.{number}" for number in range(1, count + 1))
        self.port = port or _free_port()
        self.inventory = self.directory / "inventory.ini"
        self.key = self.directory / "id"
        self._masters: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_keys()
        self._write_inventory()
        try:
            for first in range(0, len(self.hosts), _LISTEN_LIMIT):
                self._start(first)
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """The sshd masters: everything that runs on the nodes over ssh descends from them."""
        return tuple(master.pid for master in self._masters)

    def stop(self) -> None:
        """Ends the masters and the sessions they still have; doing it twice does no harm."""
        for master in self._masters:
            for child in _children(master.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, 15)
            master.terminate()
        for master in self._masters:
            master.wait(timeout=10)
        self._masters.clear()

    def _write_keys(self) -> None:
        for name in ("host_key", "id"):
            if not (self.directory / name).exists():
                keygen = [_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / name)]
                subprocess.run(keygen, check=True)
        shutil.copyfile(self.directory / "id.pub", self.directory / "authorized_keys")
        public = " ".join((self.directory / "host_key.pub").read_text().split()[:2])
        lines = [f"[{address}]:{self.port} {public}\n" for address in self.addresses]
        (self.directory / "known_hosts").write_text("".join(lines))

    def _write_inventory(self) -> None:
        rows = [f"{h} ansible_host={a}" for h, a in zip(self.hosts, self.addresses, strict=True)]
        loaders = self.hosts[1:] or self.hosts
        text = "\n".join(
            [
                "[database]",
                rows[0],
                "[loader]",
                *(row for row in rows if row.split()[0] in loaders),
                "[all:vars]",
                f"ansible_port={self.port}",
                f"ansible_user={getpass.getuser()}",
                f'ansible_ssh_private_key_file="{self.key}"',
                f"ansible_python_interpreter={_system_python()}",
                # two readers unquote this: Ansible splits the arguments, then ssh splits the option's value
                f"""ansible_ssh_common_args=-o 'UserKnownHostsFile="{self.directory}/known_hosts"'""",
                "",
            ]
        )
        self.inventory.write_text(text)

    def _start(self, first: int) -> None:
        sshd = _program("sshd")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation wants it
        name = f"sshd-{first}"
        listen = "".join(f"ListenAddress {a}:{self.port}\n" for a in self.addresses[first : first + _LISTEN_LIMIT])
        config = self.directory / f"{name}.conf"
        config.write_text(_CONFIG.format(port=self.port, dir=self.directory, name=name) + listen)
        log = (self.directory / f"{name}.log").open("ab")
        with log:
            self._masters.append(
                subprocess.Popen(
                    [sshd, "-D", "-e", "-f", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C of a test must not end the nodes before the test has looked
                )
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_LIMIT
        for address in self.addresses:
            while not _answers(address, self.port):
                if time.monotonic() > deadline or any(master.poll() is not None for master in self._masters):
                    logs = "".join(path.read_text() for path in sorted(self.directory.glob("sshd-*.log")))
                    raise RuntimeError(f"sshd does not answer on {address}:{self.port}:\n{logs[-2000:]}")
                time.sleep(0.02)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingSshdError(f"{name} is missing: install it with `apt-get install openssh-server openssh-client`")
    return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.1.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1) as sock:
            return sock.recv(4) == b"SSH-"
    except OSError:
        return False


def _system_python() -> str:
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
