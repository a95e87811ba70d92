"""The engine of the tests themselves: one that is killed leaves nothing that has the addresses of the next."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

_SCRIPT = Path(__file__).with_name("killed_engine.py")
_ALL = ["folder", "process", "mount", "bridge", "rule"]


def test_killed_engine_is_swept_and_living_one_is_not() -> None:
    with tempfile.TemporaryDirectory(prefix="benchhub-sweep-", dir="/tmp") as root:  # the path of a socket is short
        # a network of its own: a dockerd that starts flushes the packet filter's rules of every other
        command = ["unshare", "--net", "--", sys.executable, str(_SCRIPT), root]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stderr
        left = [path.name for path in Path(root).iterdir()]
    seen = json.loads(done.stdout)
    assert seen == {"killed": _ALL, "killed, swept": [], "living": _ALL, "unused, swept": []}
    assert sorted(left) == ["benchhub-dockerd-lock", "users"]
