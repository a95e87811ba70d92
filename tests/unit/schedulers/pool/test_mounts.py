"""Leases are refused where several hosts could share them."""

from __future__ import annotations

from pathlib import Path

from benchhub_ansible.schedulers.pool.mounts import NETWORK, filesystem_of

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /net/my\040lab rw,relatime shared:9 - nfs4 server:/lab rw,vers=4.2
31 30 8:2 / /net/my\040lab/local rw,relatime - xfs /dev/sdb1 rw
40 22 0:50 / /over rw - ext4 /dev/sdc1 rw
41 22 0:51 / /over rw - cifs //server/over rw
not a line of it
"""


def test_the_innermost_mount_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    found = {
        path: filesystem_of(Path(path), mounts) for path in ("/", "/net/my lab/x", "/net/my lab/local/x", "/over/x")
    }
    assert found == {"/": "ext4", "/net/my lab/x": "nfs4", "/net/my lab/local/x": "xfs", "/over/x": "cifs"}
    assert {"nfs4", "cifs"} <= NETWORK


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, tmp_path / "missing") is None


def test_this_system_says_it(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path)
