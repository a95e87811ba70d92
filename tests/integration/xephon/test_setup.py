"""The example's setup on a machine that has something in its way: it ends there, and says what and what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchhub_ansible.testing.engine import Engine
from tests.integration.xephon.conftest import EXAMPLE

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

#: As an engine that was killed leaves it; in a network of its own, because nodes of other tests use the real one.
_BRIDGE = "br-0123456789ab"
_SCRIPT = f'ip link add {_BRIDGE} type bridge && ip address add 198.18.42.9/24 dev {_BRIDGE} && exec "$0"'


def test_addresses_of_the_registry_are_taken(docker_engine: Engine, tmp_path: Path) -> None:
    command = ["unshare", "--net", "--", "/bin/sh", "-c", _SCRIPT, str(EXAMPLE / "setup.sh")]
    done = subprocess.run(
        command,
        env={**docker_engine.environment, "BENCHHUB_CACHE": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"the interface {_BRIDGE} has addresses of 198.18.42.0/24" in done.stderr
    assert f"ip link delete {_BRIDGE}" in done.stderr
    assert "push" not in done.stdout
