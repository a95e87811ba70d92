"""Ending what runs on the nodes and bringing home what they collected."""

from __future__ import annotations

import base64
import io
import posixpath
import shlex
import tempfile
from pathlib import Path

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.archive import BadArchiveError, unpack
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError
from ansible_collections.benchhub.bench.plugins.plugin_utils.waiting import Waiter, repeated

#: Archives up to this size come back inside the reply, bytes.
INLINE_LIMIT = 256 * 1024

#: What a supervisor that was killed leaves behind: nothing of it runs any more, only files are there.
_REMOVE = "if [ -d {d} ]; then rm -rf -- {run}; rmdir -- {parent} 2>/dev/null; fi; true"


def stop_units(action, slots, units, title=None):
    """The reply by slot of stopping ``units`` (names in order, or "all"); None where no supervisor is left."""
    waits = {slot: repeated({"op": "stop", "units": units, "bound": action.bound}) for slot in slots}
    title = title or ("stop " + (units if isinstance(units, str) else ", ".join(units)))
    replies = {}
    for ended in Waiter(action, waits, title=title, fail_fast=False).run():
        if ended.error is not None:
            action.report.error(ended.slot, ended.error)
        elif ended.value.get("ok"):
            replies[ended.slot] = ended.value
        elif ended.value.get("error") == "gone":
            replies[ended.slot] = None
        else:
            action.report.fail(ended.slot, refusal(ended.value))
    return replies


def remove_leftovers(link):
    """Removes the run folder of a slot whose supervisor is gone."""
    run = link.run_dir.rstrip("/")
    parts = {"d": link.supervisor_dir, "run": run, "parent": posixpath.dirname(run)}
    command = _REMOVE.format(**{key: shlex.quote(value) for key, value in parts.items()})
    link.run(command)


def bring_home(link, reply, destination):
    """What to record of a reply to pack or finish, its files now below ``destination``; RefusedError when unusable."""
    try:
        count = _unpack(link, reply, destination)
    except (BadArchiveError, ValueError) as error:
        raise RefusedError(f"what the node collected is unusable: {error}") from error
    facts = {"files": count, "missing": reply.get("missing") or []}
    if reply.get("unreadable"):
        facts["unreadable"] = reply["unreadable"]
    return facts


def _unpack(link, reply, destination):
    if reply.get("inline") is not None:
        return unpack(io.BytesIO(base64.b64decode(reply["inline"])), destination)
    with tempfile.TemporaryDirectory(prefix="benchhub-") as folder:
        archive = Path(folder, "archive")
        link.fetch(reply["path"], str(archive))
        with archive.open("rb") as stream:
            return unpack(stream, destination)
