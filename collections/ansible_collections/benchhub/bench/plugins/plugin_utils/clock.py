"""One instant for many nodes: how far their clocks are off, when to start, how late each was."""

from __future__ import annotations

from pathlib import Path

#: The least time between choosing an instant and reaching it, seconds.
LEAST_LEAD = 0.1


def same_kernel(boot_id):
    """Whether a node is this machine or a container on it: then both read one clock, and nothing need be measured."""
    try:
        return bool(boot_id) and Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() == boot_id
    except OSError:
        return False


def sample(before, node, after):
    """(uncertainty, offset) of one reading: the node read its clock at some time between ours (Cristian, 1989)."""
    return (after - before) / 2, node - (before + after) / 2


def used_offset(offset, uncertainty):
    """The correction to apply: an offset within its own uncertainty is noise, and 0 the better guess."""
    return offset if abs(offset) > uncertainty else 0.0


def lead(slowest_call):
    """Seconds from now to the common instant, when the slowest node took ``slowest_call`` to answer while arming.

    Releasing is the same fan-out with less to do on the node; a quarter more is room for a busy controller. A node
    that is told too late starts late, which the result says: a longer lead only costs time.
    """
    return max(LEAST_LEAD, 1.25 * slowest_call + 0.05)
