"""Ends everything on the nodes, brings home logs and files, and removes what benchhub put there."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from ansible.errors import AnsibleError
from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import FINISH
from ansible_collections.benchhub.bench.plugins.plugin_utils.containers import Containers, sweep_without_supervisor
from ansible_collections.benchhub.bench.plugins.plugin_utils.ending import (
    PACK_LIMIT,
    bring_home,
    check_removed,
    end_leftovers,
    pack_request,
    patterns_by_slot,
    told,
)
from ansible_collections.benchhub.bench.plugins.plugin_utils.lines import Line, folder_beside
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import EXPECTED


class ActionModule(BenchAction):
    """`benchhub.bench.finish`"""

    OP = "finish"
    ARGUMENTS = FINISH

    def changed(self):
        """Nothing, where it has been before."""
        hosts = self.report.hosts.values()
        return any(not facts.get("gone") or facts.get("ended") or facts.get("lost") for facts in hosts)

    def perform(self, args):
        """Does all of it on every slot, whatever fails on another one."""
        slots = self.fleet.targets(failed_too=True)
        patterns = patterns_by_slot(self.fleet, args["collect"])
        make = self._finisher if args["keep"] is None else self._keeper
        calls = {slot: make(slot, patterns.get(slot, []), args) for slot in slots}
        self._become_on = set(self.fleet.slots_of(args["become_on"]))
        self._configs = {}
        self._ways = [(set(self.fleet.slots_of(way["hosts"])), way) for way in args["containers"]]
        for slot, facts in self.short_calls(calls, 2 * PACK_LIMIT, ready=self._ready).items():
            self.report.ok(slot, **facts)

    def _finisher(self, slot, patterns, args):
        """One call per slot stops what still runs, packs, and removes: the supervisor keeps that order itself."""
        destination = Path(args["dest"], slot) if args["dest"] else None
        request = pack_request("finish", patterns, args, self.masks) if destination else {"op": "remove"}

        def finish():
            link = self.fleet.link(slot)
            try:
                return self._finish(slot, link, request, destination)
            finally:
                self._hang_up(slot, link)

        return finish

    def _hang_up(self, slot, link):
        """Ends the slot's line, also one that another playbook of the run has left."""
        with contextlib.suppress(AnsibleError, KeyError, OSError):
            folder = self.prepared.get("lines") or folder_beside(link.connection)
            if folder is not None:
                Line(folder, self._configs[slot][0]["run"], slot).hang_up()

    def _finish(self, slot, link, request, destination):
        reply = told(link.call(request))
        if reply.get("error") == "gone":
            return self._without_supervisor(slot, link)
        facts = {"units": reply.get("units") or {}}
        if destination is not None:
            facts.update(bring_home(link, reply, destination))
            if reply.get("path") is not None:
                reply = told(link.call({"op": "remove"}))
        check_removed(reply)
        return facts

    def _ready(self, slot):
        """What is needed should the supervisor be gone; here, because templates are no work for threads."""
        link = self.fleet.link(slot)
        config = {
            "run": self.fleet.required(slot, "benchhub_run_id"),
            "slot": slot,
            "dir": link.run_dir.rstrip("/"),
        }
        python = self.fleet.value(slot, "benchhub_python")
        made = Containers(self.fleet, slot, "-")
        try:
            sweeps = [made.sweep(way) for slots, way in self._ways if slot in slots]
        except EXPECTED as error:
            sweeps = error  # only a slot whose supervisor is gone needs them: the others are finished all the same
        self._configs[slot] = config, python, sweeps

    def _without_supervisor(self, slot, link):
        config, python, sweeps = self._configs[slot]
        login = link.connection
        config["async_dir"] = link.async_dir()
        if slot in self._become_on:
            link.as_root()  # the supervisor ran things that the login user can neither see nor end
        facts = end_leftovers(link, config, python)
        if isinstance(sweeps, Exception):
            raise sweeps
        check_removed({"left": sweep_without_supervisor(link, login, sweeps)})
        return facts

    def _keeper(self, slot, patterns, args):
        def keep():
            link = self.fleet.link(slot)
            facts = {"kept": True}
            if args["dest"]:
                reply = told(link.call(pack_request("pack", patterns, args, self.masks)), gone=False)
                facts.update(bring_home(link, reply, Path(args["dest"], slot)))
            # in seconds, not as an instant: the node's clock may be another
            told(link.call({"op": "hold", "seconds": args["keep"]}), gone=False)
            return {**facts, "until": time.time() + args["keep"]}

        return keep
