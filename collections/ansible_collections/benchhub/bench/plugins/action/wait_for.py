"""Waits on the nodes until a port, URL, file, log line or command says that something is ready."""

from __future__ import annotations

import uuid

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import BenchAction, one_of, refusal
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import WAIT_FOR, WAIT_KINDS
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError, service_failure
from ansible_collections.benchhub.bench.plugins.plugin_utils.waiting import Wait, Waiter, repeated

#: Argument → the supervisor's name of the check.
_KINDS = {"port": "tcp", "path": "file", "url": "http", "command": "command", "log": "log"}
#: Connection states that a drained port may not have; the builtin's default, and all that is supported.
_ACTIVE = {"ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"}


class ActionModule(BenchAction):
    """`benchhub.bench.wait_for`"""

    OP = "wait_for"
    ARGUMENTS = WAIT_FOR

    def changed(self):
        """Looking changes nothing."""
        return False

    def perform(self, args):
        """One blocked call per slot; the node polls."""
        self._validate(args)
        self.report.title = self.report.title or args["service"]
        self.args = args
        waits = {slot: self._check(slot, args) for slot in self.fleet.targets()}
        for slot in self.fleet.slots_of(args["watch"]):
            if slot not in waits:
                request = {"op": "wait", "units": [], "watch": True, "bound": self.bound}
                waits[slot] = Wait(first=request, again=lambda _reply, request=request: request, watcher=True)
        title = args["title"] or args["service"] or "wait_for"
        limit = args["timeout"] + args["delay"] + 60.0
        for ended in Waiter(self, waits, title=title, limit=limit).run():
            if ended.error is not None:
                self.report.error(ended.slot, ended.error)
            else:
                self._record(ended.slot, ended.value)
        for slot, wait in waits.items():
            if slot not in self.report.hosts:
                self.report.ok(slot, state="watched" if wait.watcher else "waiting")

    @staticmethod
    def _validate(args):
        one_of(args, WAIT_KINDS)
        if args["exclude_hosts"]:
            raise RefusedError("exclude_hosts is not supported: a drained port is drained of every host")
        unknown = set(args["active_connection_states"] or ()) - _ACTIVE
        if unknown:
            raise RefusedError(
                f"active_connection_states: {', '.join(sorted(unknown))} is none of {', '.join(sorted(_ACTIVE))}"
            )
        if args["state"] == "drained" and args["port"] is None:
            raise RefusedError("state: drained needs a port")
        if args["log"] is not None and not args["service"]:
            raise RefusedError("log needs `service`: the pattern is looked for in the output of that service")

    def _check(self, slot, args):
        expand = self.fleet.expand
        given = one_of(args, WAIT_KINDS)
        target = f"{_host(expand(slot, args['host']))}:{args['port']}" if given == "port" else expand(slot, args[given])
        request = {
            "op": "check",
            "id": uuid.uuid4().hex,  # it goes on between two calls
            "kind": "drained" if args["state"] == "drained" else _KINDS[given],
            "target": target,
            "state": {"present": "started", "absent": "stopped"}.get(args["state"], args["state"]),
            "timeout": args["timeout"],
            "interval": args["sleep"] if args["sleep"] is not None else args["interval"],
            "bound": self.bound,
            "mask": self.masks,
        }
        request.update({key: args[key] for key in ("connect_timeout", "delay", "successes", "service", "status")})
        for key in ("body", "search_regex", "chdir"):
            if args[key] is not None:
                request[key] = expand(slot, args[key])
        if args["env"]:
            request["env"] = {str(key): expand(slot, value) for key, value in args["env"].items()}
        if args["user"] or args["become"]:
            request["user"] = expand(slot, args["user"]) if args["user"] else "root"
        return repeated(request)

    def _record(self, slot, reply):
        facts = {key: reply[key] for key in ("state", "elapsed", "attempts", "last_error") if key in reply}
        if not reply.get("ok"):
            self.report.fail(slot, refusal(reply), **facts)
        elif reply.get("state") == "service-died":
            services = reply.get("services") or {}
            message = "\n".join(service_failure(name, status) for name, status in services.items())
            self.report.fail(slot, message or "a service ended before it was told to", **facts, services=services)
        elif reply.get("state") == "timeout":
            self.report.fail(slot, self._timeout(reply), **facts)
        else:
            self.report.ok(slot, **facts)

    def _timeout(self, reply):
        kind = one_of(self.args, WAIT_KINDS)
        what = f"{self.args['host']}:{self.args['port']}" if kind == "port" else f"{kind} {self.args[kind]}"
        message = self.args["msg"] or f"{what} was not {self.args['state']} within {self.args['timeout']:g} s"
        last = reply.get("last_error")
        return f"{message} ({reply.get('attempts', 0)} tries{f', the last said: {last}' if last else ''})"


def _host(host):
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
