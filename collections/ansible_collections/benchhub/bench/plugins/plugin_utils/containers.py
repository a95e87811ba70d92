"""Commands of a container engine as steps of the supervisor: container.sh, and what it is told.

The script travels with the request and is read from standard input: nothing of it has to lie on a node, and a process
list shows what it was asked for.
"""

from __future__ import annotations

import math
import re
import shlex
from functools import cache
from pathlib import Path

#: The name under which a request carries the script.
INPUT = "container"
#: The engine of a slot whose job names none: a variable of the inventory, for hosts that have both.
ENGINE_VARIABLE = "benchhub_engine"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@cache
def script():
    """The text of container.sh, without its comments: they need not travel."""
    lines = Path(__file__).with_name("container.sh").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#")) + "\n"


def with_script(request, steps):
    """The request of these steps with what they need besides: nothing when none is of a container."""
    sweeps = [step.pop("sweep") for step in steps if "sweep" in step]
    if not sweeps:
        return request
    return {**request, "inputs": {INPUT: script()}, "sweeps": [s for n, s in enumerate(sweeps) if s not in sweeps[:n]]}


def sweep_without_supervisor(link, login, sweeps):
    """What is left after sweeps on a node without a supervisor; ``login`` is the connection as the login user."""
    left, connection = [], link.connection
    for become, command, text in sweeps:
        link.connection = connection if become else login
        code, out, err = link.run(command, text.encode())
        lines = (out if code == 0 else err).decode(errors="replace").split("\n")
        left += [line for line in lines if line.strip()][-5:]
    link.connection = connection
    return left


class Containers:
    """Makes the commands of one slot for one unit."""

    def __init__(self, fleet, slot, unit):
        self._fleet = fleet
        self._slot = slot
        self._unit = unit

    def command(self, args, common, sent):
        """The step of a ``container`` argument.

        ``common`` is what it shares with other steps (env, user, chdir), ``sent(path)`` the step that brings a folder
        of the job to the node, and where it will be there.
        """
        expand = self._expand
        env = {**{str(key): expand(value) for key, value in args["env"].items()}, **common.get("env", {})}
        self._common = {**common, "env": env} if env else dict(common)
        brought, built = self._context(args, sent)
        self._engine = self._which(args["engine"])
        verb, argv = args["verb"], [expand(item) for item in args["argv"]]
        made = [part for volume in args["volumes"] for part in ("--volume", expand(volume))]
        if args["network"]:
            made += ["--network", expand(args["network"])]
        call = self._call(verb, *self._options(args, made), "--", *made, *argv, *built)
        self._common.pop("chdir", None)  # where the job's command runs may be gone by then
        step = {**call, **brought, "sweep": self._call("sweep", unit="-")}
        if verb == "run":
            step["after"] = self._call("end")
        elif verb == "exec":
            step["after"] = {**self._call("end-exec", "--container", expand(args["container"])), "only": "unfinished"}
        return step

    def sweep(self, args):
        """What removes all that has the run's label: as another user?, the command for sh, and what that reads.

        It reads the environment too: a command line can be seen by every user of the node, and may hold secrets.
        """
        self._engine = self._which(args["engine"])
        self._common = {}
        settings = "".join(
            f"export {key}={shlex.quote(self._expand(value))}\n"
            for key, value in args["env"].items()
            if _NAME.fullmatch(str(key))  # sh knows no other; no engine reads one
        )
        command = shlex.join(self._call("sweep", unit="-")["argv"])
        if args["user"]:
            command = f"su -s /bin/sh {shlex.quote(self._expand(args['user']))} -c {shlex.quote(command)}"
        return bool(args["become"] or args["user"]), command, settings + script()

    def _context(self, args, sent):
        """What to build from: a folder beside the job is sent there; a path of the node and a URL are there."""
        if args["context"] is None:
            return {}, []
        context, file = self._expand(args["context"]), args["file"] and self._expand(args["file"])
        brought = {}
        if not context.startswith("/") and "://" not in context:
            brought, context = sent(context)
        if file and not file.startswith("/"):
            file = f"{context}/{file}"
        return brought, [*(["--file", file] if file else []), context]

    @staticmethod
    def _options(args, made):
        return ["--grace", str(math.ceil(args["grace"]))] if args["grace"] is not None else made

    def _call(self, verb, *arguments, unit=None):
        run = self._fleet.required(self._slot, "benchhub_run_id")
        argv = ["/bin/sh", "-s", "--", verb, self._engine, run, self._slot, unit or self._unit, *arguments]
        return {"kind": "exec", "argv": argv, "input": INPUT, **self._common}

    def _which(self, engine):
        return self._expand(engine or self._fleet.value(self._slot, ENGINE_VARIABLE) or "auto")

    def _expand(self, text):
        return self._fleet.expand(self._slot, text)
