"""How a run's nodes are reached: keys made for the run, in a folder of its own that goes with the nodes."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from benchhub_ansible.errors import SchedulerError

#: Where a node finds what `card` brings.
NODE_DIR = "benchhub"
#: The authorities that this machine trusts: behind a proxy with one of its own, its nodes need it as well.
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_NODE_SCRIPT = Path(__file__).with_name("node.sh")
_KEY_TYPE = "ed25519"
_LOCK = "in-use"

# The control socket as in every run; a node that is cut off is noticed in seconds, not after a minute.
_SSH_ARGUMENTS = (
    "-o ControlMaster=auto -o ControlPersist=120s -o ConnectTimeout=3 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
)


def directory(run_id: str) -> Path:
    """The folder of a run's keys: known without asking, so that `recover` finds it."""
    return Path(tempfile.gettempdir()) / f"benchhub-docker-{run_id}"


@dataclass(frozen=True, kw_only=True)
class Access:
    """The keys of a run: one to log in with, and one by which its nodes are known."""

    path: Path
    lock: IO[str]  # held while this process lives

    @classmethod
    def make(cls, run_id: str) -> Self:
        """New keys in a new folder that only this user can read; SchedulerError when they cannot be made."""
        path = directory(run_id)
        try:
            path.mkdir(mode=0o700)
            lock = (path / _LOCK).open("w")
        except OSError as error:
            raise SchedulerError(f"{path}: the folder for the keys cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name in ("id", "host_key"):
                _make_key(path / name, run_id)
        except BaseException:
            lock.close()
            raise
        return cls(path=path, lock=lock)

    def know(self, addresses: Sequence[str]) -> None:
        """Writes who the nodes are: every one has the run's host key."""
        kind, key, *_ = (self.path / "host_key.pub").read_text().split()
        (self.path / "known_hosts").write_text("".join(f"{address} {kind} {key}\n" for address in addresses))

    def card(self) -> bytes:
        """A tar archive for the root of a node: who may log in, who it is, and its first program."""
        content = {
            f"{NODE_DIR}/authorized_keys": (0o600, (self.path / "id.pub").read_bytes()),
            f"{NODE_DIR}/host_key": (0o600, (self.path / "host_key").read_bytes()),
            f"{NODE_DIR}/node.sh": (0o755, _NODE_SCRIPT.read_bytes()),
        }
        with contextlib.suppress(OSError):
            content[str(_AUTHORITIES.relative_to("/"))] = (0o644, _AUTHORITIES.read_bytes())
        return _archive(content)

    def variables(self, address: str) -> Mapping[str, Any]:
        """Ansible's connection variables for a node."""
        return {
            "ansible_host": address,
            "ansible_port": 22,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.path / "id"),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_args": _SSH_ARGUMENTS,
            # two readers unquote this: Ansible splits the arguments, then ssh splits the option's value
            "ansible_ssh_common_args": (f"""-o IdentitiesOnly=yes -o 'UserKnownHostsFile="{self.path}/known_hosts"'"""),
        }


def _make_key(path: Path, run_id: str) -> None:
    command = ["ssh-keygen", "-q", "-t", _KEY_TYPE, "-N", "", "-C", f"benchhub {run_id}", "-f", str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
        )
    except FileNotFoundError:
        raise SchedulerError("ssh-keygen is missing; mend: install the OpenSSH client") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SchedulerError(f"{path}: the key cannot be made: {error}") from None
    if done.returncode != 0:
        raise SchedulerError(f"{path}: ssh-keygen cannot make the key: {done.stderr.strip()}")


def _archive(content: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A tar archive of files, by path, with their modes; folders come with them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folders = {str(parent) for path in content for parent in Path(path).parents} - {"."}
        for name in sorted(folders):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, (mode, data) in content.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def in_use(run_id: str) -> bool:
    """Whether the process that made the keys of a run lives."""
    try:
        with (directory(run_id) / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove(path: Path, run_id: str) -> None:
    """Removes a run's folder of keys, if that is what it is; it may be gone already."""
    if path.name == directory(run_id).name and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            raise SchedulerError(f"{path} cannot be removed; it holds the keys of the run", hint=f"rm -r {path}")


def problem() -> str | None:
    """Why no node could be reached, with the mend."""
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name, path=os.environ.get("PATH")) is None]
    return f"{' and '.join(missing)} not on PATH; mend: install the OpenSSH client" if missing else None
