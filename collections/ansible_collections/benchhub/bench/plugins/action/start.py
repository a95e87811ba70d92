"""Starts a list of steps on every slot of the play, at one instant when asked to, and waits for it when asked to."""

from __future__ import annotations

import time

from ansible_collections.benchhub.bench.plugins.plugin_utils import clock
from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction, refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import START
from ansible_collections.benchhub.bench.plugins.plugin_utils.containers import with_script
from ansible_collections.benchhub.bench.plugins.plugin_utils.joining import join, record
from ansible_collections.benchhub.bench.plugins.plugin_utils.steps import Steps
from ansible_collections.benchhub.bench.plugins.plugin_utils.waiting import Wait

#: How long after the common instant a node is asked how it started, when nothing else is waited for, seconds.
_SETTLE = 0.2


class ActionModule(BenchAction):
    """`benchhub.bench.start`"""

    OP = "start"
    ARGUMENTS = START

    def perform(self, args):
        """Starts the unit everywhere, then does what `together` and `join` ask for."""
        self.lines = {step["name"]: step["line"] for step in args["steps"] if step.get("line")}
        slots = self.fleet.targets()
        starts = self._starts(slots, args)
        if self.report.failed:
            return
        if args["together"]:
            self._together(starts, args)
        elif args["join"]:
            self._join({slot: {**start, "wait": self._wait(slot, args)} for slot, start in starts.items()}, args)
        else:
            for slot in self.requests(starts):
                self.report.ok(slot, units={args["unit"]: {"unit": args["unit"], "state": "running"}})

    def _starts(self, slots, args):
        steps = Steps(self.fleet, args["unit"])
        starts = {slot: self._start(args, [steps.step(slot, step) for step in args["steps"]]) for slot in slots}
        staged = steps.staged()
        if staged:
            self.short_calls({slot: self._sender(slot, starts[slot], staged) for slot in slots}, limit=3600.0)
        return starts

    def _start(self, args, steps):
        request = {"op": "start", "unit": args["unit"], "kind": "steps", "steps": steps, "mask": self.masks}
        if args["deadline"]:
            request["deadline"] = args["deadline"]
        if args["together"]:
            request["together"] = True
        return with_script(request, steps)

    def _sender(self, slot, start, staged):
        link = self.fleet.link(slot)
        names = {step["staged"] for step in start["steps"] if "staged" in step}

        def send():
            for name in sorted(names):
                staged[name].send(link)

        return send

    def _wait(self, slot, args):
        return {
            "op": "wait",
            "units": [args["unit"]],
            "watch": slot in self.fleet.slots_of(args["watch"]),
            "bound": self.bound,
        }

    def _together(self, starts, args):
        """Arms every slot, then releases all at one instant that the slowest of them can still be told in time."""
        took = {}
        replies = self.short_calls({slot: _arm(self.fleet, slot, start, took) for slot, start in starts.items()})
        for slot, reply in replies.items():
            if not reply.get("ok"):
                self.report.fail(slot, refusal(reply))
        if self.report.failed:
            return
        offsets = {slot: self._offset(slot) for slot in starts}
        lead = clock.lead(max(took.values()))
        target = time.time() + lead
        waits = {slot: {**self._wait(slot, args), "release": target + offsets[slot]} for slot in starts}
        self.release = {"target": target, "lead": lead, "offsets": offsets}
        if args["join"]:
            self._join(waits, args)
        else:
            for wait in waits.values():
                wait["bound"] = lead + _SETTLE
            for slot, reply in self.requests(waits).items():
                record(self.report, slot, reply, self.lines)
        self._lateness(args)

    def _offset(self, slot):
        offsets = self.prepared.get("offsets", {})
        if slot in offsets:
            return offsets[slot]
        before = time.time()
        now = self.fleet.link(slot).call({"op": "clock"}).get("now", before)
        uncertainty, offset = clock.sample(before, now, time.time())
        return clock.used_offset(offset, uncertainty)

    def _lateness(self, args):
        """Adds each slot's lateness to its record; more than the limit makes the task fail, naming the slot."""
        for slot, host in self.report.hosts.items():
            status = (host.get("units") or {}).get(args["unit"]) or {}
            start = status.get("together")
            if not start or start.get("started") is None:
                continue
            late = start["started"] - start["target"]
            host["together"] = {**self.release, "offset": self.release["offsets"].get(slot, 0.0), "late": late}
            del host["together"]["offsets"]
            if late > args["late_limit"]:
                self.report.messages.append(
                    f"{slot}: {args['unit']} started {late * 1000:.0f} ms after the common instant "
                    f"(at most {args['late_limit'] * 1000:.0f} ms are allowed): the nodes did not start together"
                )
                host.update(status="failed", error="started late")

    def _join(self, firsts, args):
        waits = {slot: Wait(first=first, again=_repeat(self._wait(slot, args))) for slot, first in firsts.items()}
        limit = args["deadline"] + 60.0 if args["deadline"] else None
        join(self, waits, watch=args["watch"], title=args["title"] or args["unit"], limit=limit, lines=self.lines)


def _arm(fleet, slot, start, took):
    def arm():
        began = time.monotonic()
        reply = fleet.link(slot).call(start)
        took[slot] = time.monotonic() - began
        return reply

    return arm


def _repeat(request):
    return lambda _reply: request
