"""Ending what runs on the nodes and bringing home what they collected."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path

from ansible_collections.benchhub.bench.plugins.module_utils import bootstrap
from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.archive import BadArchiveError, unpack
from ansible_collections.benchhub.bench.plugins.plugin_utils.links import reply
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError
from ansible_collections.benchhub.bench.plugins.plugin_utils.waiting import Waiter, repeated

#: Archives up to this size come back inside the reply, bytes.
INLINE_LIMIT = 256 * 1024
#: Packing and sending may take this long on one node, seconds.
PACK_LIMIT = 1800.0

#: What is told of a slot whose supervisor was gone although something of it was still there.
_LOST = "outputs and files: the supervisor was gone"


def patterns_by_slot(fleet, collect):
    """What to bring home of each slot, of a mapping slot or group → pattern or patterns."""
    patterns = {}
    for name, texts in collect.items():
        for slot in fleet.slots_of([str(name)]):
            given = texts if isinstance(texts, list) else [texts]
            patterns.setdefault(slot, []).extend(fleet.expand(slot, text) for text in given)
    return patterns


def pack_request(op, patterns, args, masks):
    """The request for an archive of files, of the outputs too unless it is told otherwise."""
    return {
        "op": op,
        "collect": patterns,
        "limit": args["limit"],
        "inline": INLINE_LIMIT,
        "mask": masks,
        "bound": PACK_LIMIT,
    }


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


def end_leftovers(link, config, python):
    """What to record of a slot whose supervisor is gone, once all it left there is ended and removed."""
    code, out, err = link.run(bootstrap.end_script(config, python), bootstrap.program())
    answer = reply(code, out, err)
    if not answer.get("ok"):
        raise RefusedError(f"what the supervisor left cannot be removed: {refusal(answer)}")
    check_removed(answer)
    facts = {"units": {}, "gone": True, "ended": answer["ended"]}
    if answer["found"]:
        facts["lost"] = [_LOST]
    return facts


def check_removed(answer):
    """RefusedError that names what is still on the node."""
    if answer.get("left"):
        raise RefusedError(f"these could not be removed: {', '.join(answer['left'][:5])}")


def bring_home(link, answer, destination):
    """What to record of a reply to pack or finish, its files now below ``destination``; RefusedError when unusable."""
    try:
        count = _unpack(link, answer, destination)
    except (BadArchiveError, ValueError) as error:
        raise RefusedError(f"what the node collected is unusable: {error}") from error
    facts = {"files": count, "missing": answer.get("missing") or []}
    facts.update({key: answer[key] for key in ("unreadable", "cut", "lost") if answer.get(key)})
    return facts


def _unpack(link, answer, destination):
    if answer.get("inline") is not None:
        return unpack(io.BytesIO(base64.b64decode(answer["inline"])), destination)
    if answer.get("path") is None:
        return 0  # nothing could be packed
    with tempfile.TemporaryDirectory(prefix="benchhub-") as folder:
        archive = Path(folder, "archive")
        link.fetch(answer["path"], str(archive))
        with archive.open("rb") as stream:
            return unpack(stream, destination)


def told(reply, *, gone=True):
    """The reply, when it is ok or (unless told otherwise) says that the supervisor has gone meanwhile."""
    if reply.get("ok") or (gone and reply.get("error") == "gone"):
        return reply
    raise RefusedError(refusal(reply))
