"""Waits for units that earlier tasks started without waiting."""

from __future__ import annotations

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import JOIN
from ansible_collections.benchhub.bench.plugins.plugin_utils.joining import join
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError
from ansible_collections.benchhub.bench.plugins.plugin_utils.waiting import repeated


class ActionModule(BenchAction):
    """`benchhub.bench.join`"""

    OP = "join"
    ARGUMENTS = JOIN

    def changed(self):
        """Waiting changes nothing."""
        return False

    def perform(self, args):
        """One call per slot waits for all of its units."""
        units = {}
        for unit, names in args["units"].items():
            if not isinstance(names, list):
                raise RefusedError(f"units: {unit}: a list of groups or slots is needed")
            for slot in self.fleet.slots_of(names):
                units.setdefault(slot, []).append(str(unit))
        watched = set(self.fleet.slots_of(args["watch"]))
        waits = {}
        for slot, names in units.items():
            request = {"op": "wait", "units": names, "watch": slot in watched, "bound": self.bound}
            waits[slot] = repeated(request)
        limit = args["deadline"] + 60.0 if args["deadline"] else None
        join(self, waits, watch=args["watch"], title=args["title"] or ", ".join(args["units"]), limit=limit)
