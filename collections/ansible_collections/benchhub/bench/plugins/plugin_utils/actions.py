"""What every action of this collection has in common."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from abc import abstractmethod
from functools import cached_property
from typing import ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.benchhub.bench.plugins.plugin_utils.fanout import FanOut
from ansible_collections.benchhub.bench.plugins.plugin_utils.fleet import EVERY_SLOT, Fleet
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import EXPECTED, RefusedError, Report
from ansible_collections.benchhub.bench.plugins.plugin_utils.secrets import masked

_PR_SET_PDEATHSIG = 1
#: Longest a node keeps one call, seconds: a controller that dies leaves no call behind that lives longer.
LONGEST_BOUND = 30.0
#: Calls that do not block run at most this many at once: beyond it they only compete for the controller's cores.
CALLS_AT_ONCE = 64
#: A node that gives no answer to a short call counts as lost after this, seconds.
SHORT_CALL_LIMIT = 120.0
#: A slot that does not answer in this time while its lease is only renewed is not waited for, seconds.
RENEWAL_LIMIT = 10.0


class BenchAction(ActionBase):
    """One task for all hosts of its play; with `run_once` they are reached from here, each in a thread."""

    #: Name of the action, in its result.
    OP = ""
    #: Argument spec, and the rules of `validate_argument_spec` that go with it.
    ARGUMENTS: ClassVar[dict] = {}
    RULES: ClassVar[dict] = {}

    def run(self, tmp=None, task_vars=None):
        """The result of the task; a slot that fails makes the task fail with a message that names it."""
        result = super().run(tmp, task_vars)
        del tmp
        self.bench_vars = task_vars
        if self._task.check_mode:
            return {**result, "changed": False, "skipped": True, "msg": f"{self.OP} does nothing in check mode"}
        if self._task.delegate_to:
            raise AnsibleActionFail("this action reaches the hosts of its play itself: delegate_to cannot be used")
        _die_with_parent()
        _unused, args = self.validate_argument_spec(argument_spec=self.ARGUMENTS, **self.RULES)
        self.report = Report(self.OP, args.get("title"))
        self.extra = {}
        masks = []
        try:
            self.fleet = Fleet(self)
            masks = self.fleet.secrets.masks()
            self.masks = masks
            self.perform(args)
            self._keep_leases()
        except EXPECTED as error:
            self.report.messages.insert(0, str(error))
        # what nodes say is data: it is never a template, whatever it looks like
        told = wrap_var(masked({**self.report.result(), **self.extra}, masks))
        return {**result, "changed": self.changed(), **told}

    @abstractmethod
    def perform(self, args):
        """Does the task and fills `self.report`."""

    def changed(self):
        """Whether the task changed anything on a node."""
        return True

    def short_calls(self, calls, limit=SHORT_CALL_LIMIT, ready=None):
        """The values by slot of calls that do not block; slots that failed are in the report instead."""
        values = {}
        timed = {slot: _timed(slot, call, lambda: fan, limit) for slot, call in calls.items()}
        fan = FanOut(timed, CALLS_AT_ONCE, ready=ready or self.fleet.link)
        for ended in fan:
            if ended is None:
                continue
            if ended.error is not None:
                self.report.error(ended.slot, ended.error)
            else:
                values[ended.slot] = ended.value
        return values

    def requests(self, requests):
        """The replies by slot of one short request each; a supervisor that says no is in the report instead."""
        calls = {slot: self._caller(slot, request) for slot, request in requests.items()}
        replies = {}
        for slot, reply in self.short_calls(calls).items():
            if reply.get("ok"):
                replies[slot] = reply
            else:
                self.report.fail(slot, refusal(reply))
        return replies

    def renew_others(self, busy):
        """Tells the nodes this task does not talk to that their controller lives; their answers are not needed."""
        others = [slot for slot in self.fleet.slots_of([EVERY_SLOT]) if slot not in busy]
        if others:
            calls = {slot: self._caller(slot, {"op": "clock"}) for slot in others}
            FanOut(calls, CALLS_AT_ONCE, ready=self.fleet.link).begin()

    def _keep_leases(self):
        """Renews every lease now and then: a row of short tasks elsewhere must not let that of an idle slot run out."""
        known = self.prepared
        if not known or time.time() - known["renewed"] < known["lease"] / 4:
            return
        others = [slot for slot in self.fleet.slots_of([EVERY_SLOT]) if slot not in self.report.hosts]
        calls = {slot: self._caller(slot, {"op": "clock"}) for slot in others}
        timed = {slot: _timed(slot, call, lambda: fan, RENEWAL_LIMIT) for slot, call in calls.items()}
        fan = FanOut(timed, CALLS_AT_ONCE, ready=self.fleet.link)
        for _ended in fan:
            pass  # a slot that cannot be reached is told of by the task that needs it
        self.extra["ansible_facts"] = {"benchhub": json.dumps({**known, "renewed": time.time()})}

    def _caller(self, slot, request):
        return lambda: self.fleet.link(slot).call(request)

    @cached_property
    def prepared(self):
        """What `prepare` found earlier in this playbook: lease, offsets by slot; empty when it ran in another."""
        known = (self.bench_vars.get("ansible_facts") or {}).get("benchhub")
        return json.loads(known) if known else {}

    @property
    def bound(self):
        """Seconds that one blocked call may take: the next one renews the lease in time."""
        return min(LONGEST_BOUND, float(self.prepared.get("lease", 30.0)) / 2)


def refusal(reply):
    """What to tell of a reply that is not ok."""
    if reply.get("error") == "gone":
        return "the supervisor is gone: it was ended, its lease ran out, or the node was started anew"
    return str(reply.get("error") or "the supervisor refused without a reason")


def one_of(args, kinds):
    """The one key among ``kinds`` that is given; RefusedError when there are several or none."""
    given = [kind for kind in kinds if args.get(kind) is not None]
    if len(given) != 1:
        raise RefusedError(f"exactly one of {', '.join(kinds)} must be given, not {' and '.join(given) or 'none'}")
    return given[0]


def _timed(slot, call, fan, limit):
    def timed():
        fan().due(slot, limit)
        return call()

    return timed


def _die_with_parent():
    """Ends this worker when ansible-playbook is killed: nobody would read what it waits for."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return  # not Linux: the calls end by themselves at their bound
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
