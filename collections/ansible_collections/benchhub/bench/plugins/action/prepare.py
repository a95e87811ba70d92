"""Starts the supervisor on every node and learns what the node is and how far its clock is off."""

from __future__ import annotations

import contextlib
import json
import time

from ansible.errors import AnsibleError
from ansible_collections.benchhub.bench.plugins.module_utils import bootstrap
from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction, refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import PREPARE
from ansible_collections.benchhub.bench.plugins.plugin_utils.clock import same_kernel, sample, used_offset
from ansible_collections.benchhub.bench.plugins.plugin_utils.lines import SERVE, Line, folder_beside, tidy
from ansible_collections.benchhub.bench.plugins.plugin_utils.links import BadReplyError, reply
from ansible_collections.benchhub.bench.plugins.plugin_utils.shells import by_sh

#: Clock readings per node; the one with the shortest round trip counts.
_SAMPLES = 3


class ActionModule(BenchAction):
    """`benchhub.bench.prepare`"""

    OP = "prepare"
    ARGUMENTS = PREPARE

    def perform(self, args):
        """Bootstraps all nodes at once."""
        become_on = set(self.fleet.slots_of(args["become_on"]))
        source = bootstrap.program()
        configs = {}

        def ready(slot):
            configs[slot] = self._config(slot, args), self.fleet.value(slot, "benchhub_python")

        calls = {slot: self._starter(slot, configs, source, become=slot in become_on) for slot in self.fleet.targets()}
        offsets = {}
        self._lines = None
        for slot, (answer, clock) in self.short_calls(calls, ready=ready).items():
            if not answer.get("ok"):
                self.report.fail(slot, refusal(answer))
                continue
            self.report.ok(slot, facts=answer.get("facts") or {}, clock=clock)
            offsets[slot] = clock["used"]
        if self._lines:
            tidy(self._lines)
        # Kept as a fact of every host, so that later tasks of this playbook know it. One text, not a mapping: Ansible
        # copies and cleans the facts of every host for every task.
        known = {"lease": args["lease"], "offsets": offsets, "renewed": time.time(), "lines": self._lines}
        self.extra["ansible_facts"] = {"benchhub": json.dumps(known)}

    def _config(self, slot, args):
        return {
            "run": self.fleet.required(slot, "benchhub_run_id"),
            "slot": slot,
            "dir": self.fleet.required(slot, "benchhub_run_dir"),
            "lease": args["lease"],
            "retention": args["retention"],
            "login_uid": None,
            "login_gid": None,
            "async_dir": self.fleet.link(slot).async_dir(),
        }

    def _starter(self, slot, configs, source, *, become):
        def start():
            link = self.fleet.link(slot)
            config, python = configs[slot]
            if become:  # steps without `become` stay the login user's
                config["login_uid"], config["login_gid"] = link.as_root()
            code, out, err = link.run(bootstrap.script(config, python), source)
            answer = reply(code, out, err)
            if not answer.get("ok"):
                return answer, None
            clock = self._clock(link, answer)
            self._begin_line(link, config["run"])
            return answer, clock

        return start

    def _begin_line(self, link, run_id):
        """Opens the slot's line; the lines of a run lie in one folder, which later tasks are told."""
        with contextlib.suppress(AnsibleError, OSError):  # what cannot be had is only missed
            folder = folder_beside(link.connection)
            self._lines = self._lines or folder
            if folder is not None and folder == self._lines:
                Line(folder, run_id, link.slot).begin(link.connection, by_sh(SERVE, link.supervisor_dir))

    @staticmethod
    def _clock(link, answer):
        """How far the node's clock is ahead of ours, and how sure that is, both in seconds."""
        if same_kernel((answer.get("facts") or {}).get("boot_id")):
            return {"offset": 0.0, "uncertainty": 0.0, "used": 0.0, "same_kernel": True}
        best = None
        for _unused in range(_SAMPLES):
            before = time.time()
            now = link.call({"op": "clock"}).get("now")
            after = time.time()
            if now is not None:
                best = min(best or (after, 0.0), sample(before, now, after))
        if best is None:
            raise BadReplyError("the supervisor does not tell its time")
        uncertainty, offset = best
        return {"offset": offset, "uncertainty": uncertainty, "used": used_offset(offset, uncertainty)}
