"""Run in a network of its own: kills one of two engines, sweeps, and prints what there was of both before and after."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchhub_ansible.testing import dockerd
from benchhub_ansible.testing.engine import Engine

_PATIENCE = 60.0  # the kernel removes the interfaces of a container after its end, in its own time


@dataclass(frozen=True, kw_only=True)
class Started:
    """An engine with a network."""

    folder: Path
    engine: Engine
    bridge: str

    @classmethod
    def here(cls, root: Path, subnet: str) -> Self:
        folder = dockerd.start(root / "users", root)
        engine = Engine(name="docker", variables={"DOCKER_HOST": f"unix://{dockerd.socket_of(folder)}"})
        network = engine("network", "create", "--subnet", subnet, "registry")
        return cls(folder=folder, engine=engine, bridge=f"br-{network[:12]}")

    def kill(self) -> None:
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def see(self) -> list[str]:
        """The kinds of things there are of it: folder, process, mount, bridge, rule."""
        looks = {
            "folder": f"ls -d {self.folder} 2>/dev/null",
            "process": f"ps -eww -o args= | grep -E '^\\S*(dockerd|containerd).* \\S*{self.folder}/'",
            "mount": f"grep '{self.folder}/' /proc/self/mountinfo",
            "bridge": f"ip -o link | grep {self.bridge}",
            "rule": f"iptables-save | grep {self.bridge}",
        }
        return [kind for kind, look in looks.items() if _prints(look)]

    def see_until_gone(self) -> list[str]:
        deadline = time.monotonic() + _PATIENCE
        while (found := self.see()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found


def _prints(command: str) -> bool:
    return subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.PIPE, check=False).stdout != b""


def main(root: Path) -> str:
    """Says what was there of each engine at each moment."""
    _prints("ip link set lo up")
    with (root / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        killed, living = Started.here(root, "198.18.42.0/24"), Started.here(root, "198.18.43.0/24")
        image = killed.engine.make_tiny_image()
        killed.engine("run", "--detach", "--network", "registry", "--publish", "80:80", image, "sleep", "600")
        killed.kill()
        seen = {"killed": killed.see()}
        dockerd.sweep(root)
        seen["killed, swept"] = killed.see_until_gone()
        seen["living"] = living.see() if living.engine.answers() else []
    dockerd.sweep(root)
    seen["unused, swept"] = living.see_until_gone()
    return json.dumps(seen)


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])))
