"""Stops services in the given order, each fully before the next."""

from __future__ import annotations

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import STOP
from ansible_collections.benchhub.bench.plugins.plugin_utils.ending import stop_units
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import service_failure


class ActionModule(BenchAction):
    """`benchhub.bench.stop`"""

    OP = "stop"
    ARGUMENTS = STOP

    def changed(self):
        """Nothing, where nothing of the kind is left."""
        return any(facts.get("units") for facts in self.report.hosts.values())

    def perform(self, args):
        """One call per slot for each kind; a slot that has none of them, or no supervisor any more, is fine."""
        slots = self.fleet.targets(failed_too=True)
        if args["stages"]:
            for slot, reply in stop_units(self, slots, "steps", args["title"] or "stop the stages").items():
                self.report.ok(slot, gone=reply is None, units=(reply or {}).get("units") or {})
        if args["services"]:
            self._stop_services(slots, args)

    def _stop_services(self, slots, args):
        for slot, reply in stop_units(self, slots, args["services"], args["title"]).items():
            if reply is None:
                self.report.ok(slot, gone=True, units={})
                continue
            units = reply.get("units") or {}
            died = [service_failure(name, status) for name, status in units.items() if status.get("state") == "failed"]
            if died:
                self.report.fail(slot, "\n".join(died), units=units)
            else:
                self.report.ok(slot, units=units)
