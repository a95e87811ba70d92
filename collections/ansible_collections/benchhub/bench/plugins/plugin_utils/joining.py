"""Joining units: waiting for them and watching services, and what to tell of each slot afterwards."""

from __future__ import annotations

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import FAILED_STATES, service_failure, unit_failure
from ansible_collections.benchhub.bench.plugins.plugin_utils.waiting import Wait, Waiter


def join(action, waits, *, watch, title, limit, lines=None):
    """Waits for ``waits`` (slot → Wait), watching the services of ``watch`` meanwhile; fills the action's report."""
    waits = dict(waits)
    for slot in action.fleet.slots_of(watch):
        if slot not in waits:
            request = {"op": "wait", "units": [], "watch": True, "bound": action.bound}
            waits[slot] = Wait(first=request, again=lambda _reply, request=request: request, watcher=True)
    for ended in Waiter(action, waits, title=title, limit=limit).run():
        if ended.error is not None:
            action.report.error(ended.slot, ended.error)
        else:
            record(action.report, ended.slot, ended.value, lines)
    for slot, wait in waits.items():
        if slot not in action.report.hosts:
            action.report.ok(slot, state="watched" if wait.watcher else "waiting", units=wait.seen.get("units") or {})


def record(report, slot, reply, lines=None):
    """Puts the reply of one slot's wait into the report."""
    if not reply.get("ok"):
        report.fail(slot, refusal(reply))
        return
    units, services = reply.get("units") or {}, reply.get("services") or {}
    facts = {"state": reply.get("state"), "units": units}
    if services:
        facts["services"] = services
    messages = [service_failure(name, status) for name, status in services.items()] if _died(reply) else []
    messages += [
        unit_failure(unit, status, lines) for unit, status in units.items() if status.get("state") in FAILED_STATES
    ]
    if messages:
        report.fail(slot, "\n".join(messages), **facts)
    else:
        report.ok(slot, **facts)


def _died(reply):
    return reply.get("state") == "service-died"
