"""The scheduler ``local``: every slot is this machine."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Self

from benchhub_ansible.errors import UsageError
from benchhub_ansible.schedulers.base import (
    AllocatedNode,
    Allocation,
    Cancelled,
    Lender,
    NodeState,
    Progress,
    Request,
)

_ADDRESS = "127.0.0.1"


def _interpreter() -> str:
    """The system's Python: modules that bind to the system (apt, dnf, selinux) work only there."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


class LocalScheduler(Lender):
    """Gives this machine for every slot. Nothing is taken, so nothing is given back."""

    name = "local"
    immediate = True

    @classmethod
    def from_where(cls, text: str) -> Self:
        """The scheduler; it has no options."""
        if text:
            raise UsageError(f"--on local:{text}: the scheduler 'local' has no options", hint="say: --on local")
        return cls()

    @classmethod
    def unusable(cls) -> str | None:
        """Why it cannot work here: not Linux, or no /proc to look after processes."""
        if sys.platform != "linux":
            return f"runs on Linux only, this is {platform.system()}; use --on inventory:PATH with Linux nodes"
        if not Path("/proc/self/environ").exists():
            return "/proc is not mounted"
        return None if shutil.which("sh") else "there is no sh on PATH"

    def check(self, request: Request) -> None:
        """Returns always: what a machine must have is not asked of the machine the user sits at."""

    def acquire(
        self,
        request: Request,
        *,
        run_id: str,
        progress: Progress,  # noqa: ARG002 - nothing is waited for
        cancelled: Cancelled,  # noqa: ARG002
    ) -> Allocation:
        """The machine the user sits at, for every slot, at once."""
        connection = {"ansible_connection": "local", "ansible_python_interpreter": _interpreter()}
        nodes = tuple(
            AllocatedNode(slot=slot.name, host=platform.node(), address=_ADDRESS, vars=connection)
            for slot in request.slots
        )
        return Allocation(id=f"local-{run_id}", scheduler=self.name, nodes=nodes)

    def nodes(self) -> tuple[NodeState, ...]:
        """The machine the user sits at."""
        facts = {"cpus": str(os.cpu_count() or 1), "kernel": platform.release()}
        return (NodeState(name=platform.node(), type="any", address=_ADDRESS, facts=facts),)
