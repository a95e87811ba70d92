"""Ends everything on the nodes, brings home logs and files, and removes what benchhub put there."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction, refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import FINISH
from ansible_collections.benchhub.bench.plugins.plugin_utils.ending import (
    INLINE_LIMIT,
    bring_home,
    check_removed,
    end_leftovers,
)
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError

#: Packing and sending may take this long on one node, seconds.
_PACK_LIMIT = 1800.0


class ActionModule(BenchAction):
    """`benchhub.bench.finish`"""

    OP = "finish"
    ARGUMENTS = FINISH

    def perform(self, args):
        """Does all of it on every slot, whatever fails on another one."""
        slots = self.fleet.targets(failed_too=True)
        patterns = self._patterns(args["collect"])
        make = self._finisher if args["keep"] is None else self._keeper
        calls = {slot: make(slot, patterns.get(slot, []), args) for slot in slots}
        self._become_on = set(self.fleet.slots_of(args["become_on"]))
        self._configs = {}
        for slot, facts in self.short_calls(calls, 2 * _PACK_LIMIT, ready=self._ready).items():
            self.report.ok(slot, **facts)

    def _patterns(self, collect):
        patterns = {}
        for name, texts in collect.items():
            for slot in self.fleet.slots_of([str(name)]):
                given = texts if isinstance(texts, list) else [texts]
                patterns.setdefault(slot, []).extend(self.fleet.expand(slot, text) for text in given)
        return patterns

    def _pack(self, op, patterns, args):
        return {
            "op": op,
            "collect": patterns,
            "limit": args["limit"],
            "inline": INLINE_LIMIT,
            "mask": self.masks,
            "bound": _PACK_LIMIT,
        }

    def _finisher(self, slot, patterns, args):
        """One call per slot stops what still runs, packs, and removes: the supervisor keeps that order itself."""
        destination = Path(args["dest"], slot) if args["dest"] else None
        request = self._pack("finish", patterns, args) if destination else {"op": "remove"}

        def finish():
            link = self.fleet.link(slot)
            reply = _told(link.call(request))
            if reply.get("error") == "gone":
                return self._without_supervisor(slot, link)
            facts = {"units": reply.get("units") or {}}
            if destination is not None:
                facts.update(bring_home(link, reply, destination))
                if reply.get("inline") is None:
                    reply = _told(link.call({"op": "remove"}))
            check_removed(reply)
            return facts

        return finish

    def _ready(self, slot):
        """What is needed should the supervisor be gone; here, because templates are no work for threads."""
        link = self.fleet.link(slot)
        config = {
            "run": self.fleet.required(slot, "benchhub_run_id"),
            "slot": slot,
            "dir": link.run_dir.rstrip("/"),
            "async_dir": link.async_dir(),
        }
        self._configs[slot] = config, self.fleet.value(slot, "benchhub_python")

    def _without_supervisor(self, slot, link):
        if slot in self._become_on:
            link.as_root()  # the supervisor ran things that the login user can neither see nor end
        return end_leftovers(link, *self._configs[slot])

    def _keeper(self, slot, patterns, args):
        def keep():
            link = self.fleet.link(slot)
            facts = {"kept": True}
            if args["dest"]:
                reply = _told(link.call(self._pack("pack", patterns, args)), gone=False)
                facts.update(bring_home(link, reply, Path(args["dest"], slot)))
            # in seconds, not as an instant: the node's clock may be another
            _told(link.call({"op": "hold", "seconds": args["keep"]}), gone=False)
            return {**facts, "until": time.time() + args["keep"]}

        return keep


def _told(reply, *, gone=True):
    """The reply, when it is ok or (unless told otherwise) says that the supervisor has gone meanwhile."""
    if reply.get("ok") or (gone and reply.get("error") == "gone"):
        return reply
    raise RefusedError(refusal(reply))
