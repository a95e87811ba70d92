"""A real container engine for tests: the docker that answers, else Debian's dockerd started here; and podman.

A dockerd that this starts has its own data, socket and pid file, and is shared by all test processes of a session: the
last one that leaves ends it, by its pid. A podman gets storage and networks of its own, so that it sees only its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchhub_ansible.testing import dockerd
from benchhub_ansible.testing.dockerd import MissingEngineError

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
    dockerd.sweep()  # a killed engine's bridges have addresses that this one may give to another network
    own = Engine(name="docker", variables={})
    if own.answers():
        yield own
        return
    shared.mkdir(parents=True, exist_ok=True)
    users_file, record = shared / "users", shared / "folder"
    with users_file.open("a") as users:
        with _locked(shared / "start"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not record.exists() or not dockerd.answers(Path(record.read_text())):
                record.write_text(str(dockerd.start(users_file)))
        folder = Path(record.read_text())
        try:
            yield Engine(name="docker", variables={"DOCKER_HOST": f"unix://{dockerd.socket_of(folder)}"})
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            with _locked(shared / "start"), contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else uses it: a killed user has let go too
                if record.exists():
                    dockerd.stop(folder)
                    record.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
