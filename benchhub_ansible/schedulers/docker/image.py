"""The default image of a node: Debian packages, made on this machine when it is first needed, once for all runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.base import Cancelled, Progress
from benchhub_ansible.schedulers.docker.engine import Engine

_SUITE = "bookworm"
#: What a node is: ssh, Python with venv, a container engine, and what jobs commonly expect of a machine.
_PACKAGES = (
    *("ca-certificates", "curl", "docker.io", "iproute2", "iptables", "netcat-openbsd", "openssh-server", "procps"),
    *("python3", "python3-venv"),
)
_SCRIPT = Path(__file__).with_name("image.sh")
_PROGRAMS = ("debootstrap", "unshare", "tar")
_LIMIT = 1200.0
_POLL = 0.2
_GRACE = 10.0
_LAST_LINES = 8
_STEP = "== "


def default_image() -> str:
    """The name of the image that this version makes; another recipe has another name."""
    recipe = "\n".join((_SUITE, *_PACKAGES, _SCRIPT.read_text()))
    return f"benchhub-node:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def is_there(engine: Engine, image: str) -> bool:
    """Whether the engine holds the image."""
    return engine.try_call("image", "inspect", image)


def cannot_be_made() -> str | None:
    """Why the default image cannot be made here, with the mend; None when it can."""
    missing = [name for name in _PROGRAMS if _program(name) is None]
    if missing:
        return f"{', '.join(missing)} not on PATH; mend: install it (Debian: apt-get install debootstrap)"
    if os.geteuid() != 0:
        return "making it needs root, once; mend: sudo benchhub run … --on docker, or name one: --on docker:image=NAME"
    return None


def make(engine: Engine, at: Path, *, progress: Progress, cancelled: Cancelled) -> str:
    """The default image, made if it is not there yet; SchedulerError when it cannot be, or when asked for the end.

    Two runs at once make it once: the second waits. Whatever ends the making leaves nothing but the empty folder
    ``at``, which the making uses as a mount point.
    """
    image = default_image()
    if is_there(engine, image):
        return image
    with _alone(progress, cancelled):
        if not is_there(engine, image):
            why = cannot_be_made()
            if why is not None:
                raise SchedulerError(f"the image of the nodes is not there yet: {why}")
            _build(engine, image, at, progress, cancelled)
    return image


@contextlib.contextmanager
def _alone(progress: Progress, cancelled: Cancelled) -> Iterator[None]:
    """While entered, no other run of this user makes the image; the lock goes with its process."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "benchhub"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "node-image.lock").open("a")
    except OSError as error:
        raise SchedulerError(f"{cache}: {error.strerror}", hint="set XDG_CACHE_HOME to a folder of yours") from None
    with lock:
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    progress("waiting for another run that makes the image of the nodes")
                    told = True
                _raise_if(cancelled)
                time.sleep(_POLL)
            else:
                break
        yield


def _build(engine: Engine, image: str, at: Path, progress: Progress, cancelled: Cancelled) -> None:
    progress(f"making {image} from Debian packages, once (about half a minute)")
    began = time.monotonic()
    at.mkdir(exist_ok=True)
    # A mount and a process namespace of its own: when its first process is killed, all processes and mounts go.
    command = [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--"),
        *("sh", str(_SCRIPT), str(at), image, _SUITE, _mirror(), *_PACKAGES),
    ]
    _watch(command, engine, progress, cancelled)
    progress(f"{image} is made ({time.monotonic() - began:.0f} s)")


def _watch(command: list[str], engine: Engine, progress: Progress, cancelled: Cancelled) -> None:
    last: deque[str] = deque(maxlen=_LAST_LINES)
    environment = engine.environment()
    environment["PATH"] = f"{environment.get('PATH', '')}:/usr/sbin:/sbin"
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as builder:
        reader = threading.Thread(target=_read, args=(builder, last, progress), daemon=True)
        reader.start()
        try:
            _wait(builder, cancelled)
        finally:
            _end(builder)
        reader.join(_GRACE)
    if builder.returncode != 0:
        said = "\n".join(last) or "it said nothing"
        raise SchedulerError(
            f"the image of the nodes cannot be made:\n{said}",
            hint="it needs root, a Debian mirror, and 1.5 GiB of free memory; or name an image: --on docker:image=NAME",
        )


def _read(builder: subprocess.Popen[str], last: deque[str], progress: Progress) -> None:
    for line in builder.stdout or ():
        if line.startswith(_STEP):
            progress("image of the nodes: " + line.removeprefix(_STEP).strip())
        elif line.strip():
            last.append(line.rstrip())


def _wait(builder: subprocess.Popen[str], cancelled: Cancelled) -> None:
    deadline = time.monotonic() + _LIMIT
    while builder.poll() is None:
        _raise_if(cancelled)
        if time.monotonic() > deadline:
            raise SchedulerError(f"the image of the nodes was not made within {_LIMIT / 60:.0f} minutes")
        with contextlib.suppress(subprocess.TimeoutExpired):
            builder.wait(_POLL)


def _end(builder: subprocess.Popen[str]) -> None:
    if builder.poll() is None:
        os.killpg(builder.pid, signal.SIGKILL)
        builder.wait(_GRACE)


def _raise_if(cancelled: Cancelled) -> None:
    if cancelled():
        raise SchedulerError("ended before there were nodes")


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _mirror() -> str:
    """The mirror this machine is set up with when it is a Debian, else nothing: debootstrap knows one."""
    command = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    rows = (line.partition(" ") for line in done.stdout.splitlines())
    return next((uri for label, _, uri in rows if label == "Debian" and uri.startswith("http")), "")
