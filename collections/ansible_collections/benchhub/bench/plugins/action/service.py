"""Starts a long-running command on every slot of the play, as an Ansible async task."""

from __future__ import annotations

import posixpath
from typing import ClassVar

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction, one_of
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import (
    COMMAND_KINDS,
    LIVE_KINDS,
    SERVICE,
    STEP_KINDS,
)
from ansible_collections.benchhub.bench.plugins.plugin_utils.containers import with_script
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError
from ansible_collections.benchhub.bench.plugins.plugin_utils.steps import Steps


class ActionModule(BenchAction):
    """`benchhub.bench.service`"""

    _supports_async = True

    OP = "service"
    ARGUMENTS = SERVICE
    RULES: ClassVar[dict] = {"required_one_of": [COMMAND_KINDS], "mutually_exclusive": [COMMAND_KINDS]}

    def perform(self, args):
        """Starts it; whether it is ready is `wait_for`'s question."""
        if not self._task.async_val or self._task.poll:
            raise RefusedError("a service is an async task: give it `async:` (its deadline in seconds) and `poll: 0`")
        self.report.title = self.report.title or args["name"]
        steps = Steps(self.fleet, args["name"])
        jobs = {slot: self._job(slot, args["name"]) for slot in self.fleet.targets()}
        starts = {slot: self._start(slot, args, steps, job) for slot, job in jobs.items()}
        for slot in self.requests(starts):
            folder = self.fleet.link(slot).async_dir()
            self.report.ok(slot, ansible_job_id=jobs[slot], results_file=posixpath.join(folder, jobs[slot]))
        first = next(iter(jobs))
        if not self.report.failed:
            told = self.report.hosts[first]
            self.extra.update(
                ansible_job_id=told["ansible_job_id"], results_file=told["results_file"], started=True, finished=False
            )

    def _job(self, slot, name):
        """An id for async_status; slots may share a machine and its folder of async results."""
        return f"benchhub.{self.fleet.required(slot, 'benchhub_run_id')}.{slot}.{name}"

    def _start(self, slot, args, steps, job):
        request = {
            "op": "start",
            "unit": args["name"],
            "kind": "service",
            "mask": self.masks,
            "deadline": self._task.async_val,
            "async_jid": job,
            "grace": args["grace"],
            "service": steps.command(slot, args),
        }
        if args["shutdown"]:
            one_of(args["shutdown"], STEP_KINDS)
            request["shutdown"] = steps.step(slot, args["shutdown"])
        if args["live"]:
            request["live"] = self._live(slot, args["live"])
        return with_script(request, [request[key] for key in ("service", "shutdown") if key in request])

    def _live(self, slot, args):
        kind = one_of(args, LIVE_KINDS)
        live = {"kind": kind, "target": self.fleet.expand(slot, args[kind])}
        live.update({key: args[key] for key in ("interval", "timeout", "failures")})
        if args["status"]:
            live["status"] = args["status"]
        if args["body"]:
            live["body"] = self.fleet.expand(slot, args["body"])
        return live
