"""A dockerd with everything of its own in one folder: started, ended, and swept away when it was killed.

What dockerd does not take with it when it is killed stays in the kernel: containers, mounts, and bridges with addresses
that a later engine gives to another network, which then cannot be reached. Its folder names all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

#: Where engines have their folders: short, as the path of a socket has to be.
ROOT = Path("/tmp")  # noqa: S108 - mkdtemp makes them
_PREFIX = "benchhub-dockerd-"
_START_LIMIT = 60.0
_STOP_LIMIT = 30.0
_KILL_LIMIT = 10.0
_COMMAND_LIMIT = 60.0
#: The file of libnetwork's store, a bolt database, and how dockerd names the bridges of the networks in it.
_NETWORKS = Path("data/network/files/local-kv.db")
_BRIDGE = re.compile(rb"br-[0-9a-f]{12}")
_PROGRAMS = ("dockerd", "containerd", "docker-proxy")
#: A link in an engine's folder to the file that its users hold a shared lock on.
_USERS = "users"


class MissingEngineError(RuntimeError):
    """An engine is not there and cannot be started; the message says what to install."""


def socket_of(folder: Path) -> Path:
    """Where the engine of a folder listens."""
    return folder / "docker.sock"


def start(users: Path, root: Path = ROOT) -> Path:
    """The folder of a new engine that answers; it may outlive this process.

    ``users`` is a file that who uses the engine holds a shared lock on: when nobody does any more, `sweep` ends it.
    """
    dockerd = shutil.which("dockerd", path=_path())
    if dockerd is None or shutil.which("docker") is None:
        raise MissingEngineError("no docker engine answers: install one with `apt-get install docker.io iptables`")
    if os.geteuid() != 0:
        raise MissingEngineError("no docker engine answers, and only root can start one: start it, then come again")
    with _alone(root):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        (folder / _USERS).symlink_to(users)
        own = [f"--{key}={folder / name}" for key, name in (("data-root", "data"), ("exec-root", "exec"))]
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen(
                [dockerd, *own, f"--pidfile={folder / 'pid'}", f"--host=unix://{socket_of(folder)}"],
                env={**os.environ, "PATH": _path()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    deadline = time.monotonic() + _START_LIMIT
    while not answers(folder):
        if process.poll() is not None or time.monotonic() > deadline:
            log = (folder / "log").read_text()[-2000:]
            process.kill()
            process.wait()
            _remove(folder)
            raise MissingEngineError(f"dockerd does not answer; it says: {log}")
        time.sleep(0.1)
    process.returncode = 0  # who uses it last ends it, by its pid
    return folder


def stop(folder: Path) -> None:
    """Ends the engine of a folder in order, removes what it left, and the folder."""
    deadline = time.monotonic() + _STOP_LIMIT
    while (pid := _dockerd(folder)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # another test process may be its parent
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.2)
    _remove(folder)


def sweep(root: Path = ROOT) -> None:
    """Removes engines that were killed with all they left, and ends those that nobody uses any more."""
    if os.geteuid() != 0:  # only root starts engines
        return
    with _alone(root):
        for folder in sorted(root.glob(f"{_PREFIX}*")):
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == 0:
                with _left(folder) as left:
                    if left:
                        stop(folder)


def answers(folder: Path) -> bool:
    """Whether an engine serves from a folder."""
    command = ["docker", "--host", f"unix://{socket_of(folder)}", "info"]
    return subprocess.run(command, capture_output=True, check=False, timeout=_COMMAND_LIMIT).returncode == 0


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """While entered, no other process looks for what is left, or has a folder whose engine does not run yet."""
    with (root / f"{_PREFIX}lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _left(folder: Path) -> Iterator[bool]:
    """Whether an engine was killed or nobody uses it; while entered, nobody begins to."""
    killed, link = _dockerd(folder) is None, folder / _USERS
    try:
        with link.open() as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
    except BlockingIOError:
        yield killed
    except FileNotFoundError:
        yield killed or link.is_symlink()


def _processes(folder: Path) -> list[psutil.Process]:
    """The engine of a folder, its containerd, and the parents of its containers: all name the folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            words = process.cmdline()  # of a zombie: none
            if any(f"{folder}/" in word for word in words) and Path(words[0]).name.startswith(_PROGRAMS):
                found.append(process)
    return found


def _dockerd(folder: Path) -> int | None:
    """The process that serves from a folder."""
    served = (p.pid for p in _processes(folder) if Path(p.cmdline()[0]).name == "dockerd")
    return next(served, None)


def _remove(folder: Path) -> None:
    """Removes what an engine left that does not run any more: processes, mounts, bridges, its folder."""
    _kill(_processes(folder))
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        mounted = line.split()[4]
        if mounted.startswith(f"{folder}/"):
            _call("umount", "--lazy", mounted)
    with contextlib.suppress(FileNotFoundError):
        _remove_bridges({found.decode() for found in _BRIDGE.findall((folder / _NETWORKS).read_bytes())})
    shutil.rmtree(folder, ignore_errors=True)


def _kill(processes: list[psutil.Process]) -> None:
    victims = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            victims += process.children(recursive=True)
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=_KILL_LIMIT)


def _remove_bridges(names: set[str]) -> None:
    """Removes bridges, which may be gone already, and the rules of the packet filter that name them."""
    for table in ("filter", "nat"):
        for rule in _call("iptables", "--wait", "--table", table, "--list-rules").splitlines():
            words = shlex.split(rule)
            if words[0] == "-A" and not names.isdisjoint(words):
                _call("iptables", "--wait", "--table", table, "-D", *words[1:])
    for name in names:
        _call("ip", "link", "delete", name)


def _call(*command: str) -> str:
    """What a command prints, whatever it ends with."""
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": _path()},
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_LIMIT,
    )
    return done.stdout
