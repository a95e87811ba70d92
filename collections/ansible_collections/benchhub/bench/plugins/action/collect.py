"""Brings home files that the nodes hold now; nothing is ended or removed."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import COLLECT
from ansible_collections.benchhub.bench.plugins.plugin_utils.ending import (
    PACK_LIMIT,
    bring_home,
    pack_request,
    patterns_by_slot,
    told,
)


class ActionModule(BenchAction):
    """`benchhub.bench.collect`"""

    OP = "collect"
    ARGUMENTS = COLLECT

    def perform(self, args):
        """One call per slot that has something to bring, whatever fails on another one."""
        patterns = patterns_by_slot(self.fleet, args["files"])
        calls = {
            slot: self._collector(slot, patterns[slot], args)
            for slot in self.fleet.targets(failed_too=True)
            if slot in patterns
        }
        for slot, facts in self.short_calls(calls, 2 * PACK_LIMIT).items():
            self.report.ok(slot, **facts)

    def _collector(self, slot, patterns, args):
        request = {**pack_request("pack", patterns, args, self.masks), "outputs": False}

        def collect():
            link = self.fleet.link(slot)
            answer = told(link.call(request))
            if answer.get("error") == "gone":
                return {"gone": True}
            return bring_home(link, answer, Path(args["dest"], slot))

        return collect
