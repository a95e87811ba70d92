"""A real container engine for tests: the docker that answers, else Debian's dockerd started here; and podman.

A dockerd that this starts has its own data, socket and pid file, and is shared by all test processes of a session: the
last one that leaves ends it, by its pid. A podman gets storage and networks of its own, so that it sees only its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_START_LIMIT = 60.0
_STOP_LIMIT = 30.0
_COMMAND_LIMIT = 300.0
#: An image of one static program: made in a moment, and of nothing but a Debian package.
TINY_IMAGE = "benchhub-test/busybox:1"
_APPLETS = [
    "sh",
    "cat",
    "dd",
    "echo",
    "env",
    "false",
    "grep",
    "httpd",
    "id",
    "kill",
    "ls",
    "nc",
    "sleep",
    "tail",
    "true",
]
_BUSYBOX = "/bin/busybox"


class MissingEngineError(RuntimeError):
    """An engine is not there and cannot be started; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The command line of an engine that answers, with the variables it needs (``DOCKER_HOST``, …)."""

    name: str  # docker or podman
    variables: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process with what the engine needs."""
        return {**os.environ, **self.variables}

    def call(self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        """The engine's command line, whatever it ends with."""
        command = [self.name, *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_LIMIT,
        )

    def __call__(self, *arguments: str) -> str:
        """What the command line prints; RuntimeError with its own words when it fails."""
        done = self.call(*arguments)
        if done.returncode:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def answers(self) -> bool:
        """Whether the engine is there and serves."""
        return shutil.which(self.name) is not None and self.call("info").returncode == 0

    def of_run(self, run_id: str) -> list[str]:
        """Containers, networks and volumes with the label of a run, e.g. ``container kv``."""
        label = f"label=benchhub.run={run_id}"
        found = [
            ("container", self("ps", "--all", "--filter", label, "--format", "{{.Names}}")),
            ("network", self("network", "ls", "--filter", label, "--format", "{{.Name}}")),
            ("volume", self("volume", "ls", "--filter", label, "--format", "{{.Name}}")),
        ]
        return [f"{kind} {name}" for kind, names in found for name in names.split()]

    def volumes(self) -> set[str]:
        """The names of all volumes."""
        return set(self("volume", "ls", "--format", "{{.Name}}").split())

    def make_tiny_image(self) -> str:
        """The name of an image that holds busybox and nothing else; made when it is not there."""
        if self.call("image", "inspect", TINY_IMAGE).returncode:
            if not os.access(_BUSYBOX, os.X_OK):
                raise MissingEngineError("busybox is missing: install it with `apt-get install busybox-static`")
            with tempfile.TemporaryDirectory(prefix="benchhub-image-") as folder:
                _import_tiny(self, Path(folder))
        return TINY_IMAGE


def _import_tiny(engine: Engine, folder: Path) -> None:
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nguest:x:1000:\n")
    (root / "tmp").chmod(0o1777)
    shutil.copy(_BUSYBOX, root / "bin/busybox")
    for applet in _APPLETS:
        os.link(root / "bin/busybox", root / "bin" / applet)
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    engine("import", str(archive), TINY_IMAGE)


@contextlib.contextmanager
def docker(shared: Path) -> Iterator[Engine]:
    """The docker that answers, else a dockerd started here and shared by all who name the same folder.

    MissingEngineError, with what to install, when there is none and none can be started.
    """
    own = Engine(name="docker", variables={})
    if own.answers():
        yield own
        return
    shared.mkdir(parents=True, exist_ok=True)
    with (shared / "users").open("a") as users:
        record = shared / "dockerd.json"
        with _locked(shared / "start"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not record.exists():
                record.write_text(json.dumps(_start_dockerd()))
        try:
            started = json.loads(record.read_text())
            yield Engine(name="docker", variables={"DOCKER_HOST": f"unix://{started['socket']}"})
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            with _locked(shared / "start"), contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else uses it: a killed user has let go too
                if record.exists():
                    _stop_dockerd(json.loads(record.read_text()))
                    record.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_dockerd() -> dict[str, str | int]:
    """A dockerd with everything of its own in one folder; what has to be known to use and to end it."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    dockerd = shutil.which("dockerd", path=path)
    if dockerd is None or shutil.which("docker") is None:
        raise MissingEngineError("no docker engine answers: install one with `apt-get install docker.io iptables`")
    if os.geteuid() != 0:
        raise MissingEngineError("no docker engine answers, and only root can start one: start it, then come again")
    folder = Path(tempfile.mkdtemp(prefix="benchhub-dockerd-", dir="/tmp"))
    socket, log = folder / "docker.sock", folder / "log"
    own = [f"--{key}={folder / name}" for key, name in (("data-root", "data"), ("exec-root", "exec"))]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [dockerd, *own, f"--pidfile={folder / 'pid'}", f"--host=unix://{socket}"],
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    engine = Engine(name="docker", variables={"DOCKER_HOST": f"unix://{socket}"})
    deadline = time.monotonic() + _START_LIMIT
    while not engine.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise MissingEngineError(f"dockerd does not answer; it says: {log.read_text()[-2000:]}")
        time.sleep(0.1)
    process.returncode = 0  # it may outlive this process: who uses it last ends it, by its pid
    return {"folder": str(folder), "socket": str(socket), "pid": process.pid}


def _stop_dockerd(started: Mapping[str, str | int]) -> None:
    """Ends it, by its pid and only if that is still it, and removes its folder."""
    pid, folder = int(started["pid"]), Path(str(started["folder"]))
    deadline = time.monotonic() + _STOP_LIMIT
    while _is_dockerd(pid, folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # another test process may be its parent
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.2)
    shutil.rmtree(folder, ignore_errors=True)


def _is_dockerd(pid: int, folder: Path) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and str(folder) in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


@contextlib.contextmanager
def podman() -> Iterator[Engine]:
    """Podman with storage and networks of its own; MissingEngineError when it is not installed."""
    if shutil.which("podman") is None:
        raise MissingEngineError("podman is missing: install it with `apt-get install podman netavark aardvark-dns`")
    folder = Path(tempfile.mkdtemp(prefix="benchhub-podman-", dir="/tmp"))
    engine = Engine(name="podman", variables=_podman_settings(folder))
    try:
        yield engine
    finally:
        engine.call("rm", "--all", "--force", "--volumes")
        shutil.rmtree(folder, ignore_errors=True)


def _podman_settings(folder: Path) -> dict[str, str]:
    """Settings that also serve virtual machines without CAP_SYS_RESOURCE, systemd or cgroups v2."""
    (folder / "networks").mkdir(exist_ok=True)
    (folder / "containers.conf").write_text(
        "[containers]\n"
        'default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]\n'
        "[engine]\n"
        'runtime = "runc"\n'
        'cgroup_manager = "cgroupfs"\n'
        'events_logger = "file"\n'
        f'tmp_dir = "{folder}/libpod"\n'
        f'volume_path = "{folder}/volumes"\n'
        "[network]\n"
        'network_backend = "netavark"\n'
        f'network_config_dir = "{folder}/networks"\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
