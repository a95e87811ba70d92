"""What kind of filesystem a path is on."""

from __future__ import annotations

import re
from pathlib import Path

#: Filesystems of several hosts. SQLite's write-ahead log needs memory that all its users share, so one host:
#: https://www.sqlite.org/wal.html, "All processes using a database must be on the same host computer".
NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "coda", "ceph", "fuse.ceph", "lustre", "gpfs", "beegfs"),
        *("glusterfs", "fuse.glusterfs", "pvfs2", "orangefs", "gfs2", "ocfs2", "panfs", "davfs", "fuse.davfs2"),
        *("fuse.sshfs", "fuse.rclone", "fuse.s3fs"),
    )
)


def filesystem_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the filesystem that holds ``path``, such as ext4; None where the system does not say.

    Format: proc_pid_mountinfo(5).
    """
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = path.resolve()
    found, length = None, -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        if real.is_relative_to(point) and len(point.parts) >= length:  # of two on one point the later hides the other
            found, length = after.split(" ")[0], len(point.parts)
    return found
