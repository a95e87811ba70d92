"""What the supervisor can be asked: one method per operation, and the calls that wait for something."""

import os
import time

from . import asking, jobfile
from .asking import Refused, seconds
from .work import Child, Closing, Polls, Stopping

_BOUND = 30.0
#: Packing is work, not waiting: it is answered when it is done.
_PACK_BOUND = 3600.0


class Blocked:
    """A call that waits: ``ready()`` gives its reply, or None as long as there is none."""

    def __init__(self, client, bound, ready, waiting):
        self.client = client
        self.due = time.monotonic() + bound
        self.ready = ready
        self.waiting = waiting
        self.dropped = None  # called when the client died or the bound passed


class Requests:
    """Takes requests of clients; those that wait are looked at again whenever a unit changed."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._blocked = []
        self._changed = False
        self._ending = None
        self._polls = Polls()

    # -- the loop's side ------------------------------------------------------------------------------------------

    def take(self, client, request):
        """Carries out one request; whatever is wrong with it, the client gets an answer and the supervisor lives."""
        try:
            reply = self._operation(request)(client, request)
        except Refused as error:
            reply = {"ok": False, "error": str(error)}
        except OSError as error:
            reply = {"ok": False, "error": "the node cannot do that: %s" % error}
        except Exception as error:  # noqa: BLE001 - whatever a client sends, the supervisor lives
            reply = {"ok": False, "error": "the request cannot be carried out: %r" % error}
            self._daemon.log(reply["error"])
        if reply is not None:
            self._daemon.replies.send(client, reply)

    def _operation(self, request):
        """The method that carries out a request; every request renews the lease."""
        if not isinstance(request, dict):
            raise Refused("the request is not a JSON object")
        operation = getattr(self, "_op_" + str(request.get("op")), None)
        if operation is None:
            raise Refused("there is no operation %.80r" % (request.get("op"),))
        self._daemon.contact(seconds(request, "lease", None))
        self._note_masks(request)
        return operation

    def blocked(self):
        """Whether a call waits here."""
        return bool(self._blocked)

    def changed(self):
        """A unit changed: calls that wait for it are looked at in this turn of the loop."""
        self._changed = True

    def next_due(self):
        """When the next waiting call passes its bound."""
        if self._changed:
            return time.monotonic()
        times = [call.due for call in self._blocked] + [self._polls.next_due()]
        return min([due for due in times if due is not None], default=None)

    def tick(self):
        """Answers the waiting calls that can be answered."""
        self._changed = False
        self._polls.tick()
        now = time.monotonic()
        if self._ending is not None and self._ending.over():
            for line in self._ending.left:
                self._daemon.log("left: %s" % line)
            self._ending = None
            self.changed()  # the loop may have waited for this
        for call in list(self._blocked):
            try:
                reply = call.ready()
            except Exception as error:  # noqa: BLE001 - as in take
                reply = {"ok": False, "error": "the request cannot be carried out: %r" % error}
                self._daemon.log(reply["error"])
            if reply is None and now >= call.due:
                reply = call.waiting()
                self._drop(call)
            if reply is not None:
                self._forget(call)
                self._daemon.contact()
                self._daemon.replies.send(call.client, reply)

    def _block(self, client, request, ready, waiting):
        call = Blocked(client, seconds(request, "bound", _BOUND), ready, waiting)
        reply = ready()
        if reply is not None:
            return reply, None
        self._blocked.append(call)
        self._daemon.replies.expect(client, lambda: (self._drop(call), self._forget(call)))
        return None, call

    def _forget(self, call):
        if call in self._blocked:
            self._blocked.remove(call)

    @staticmethod
    def _drop(call):
        if call.dropped is not None:
            call.dropped()

    # -- units ----------------------------------------------------------------------------------------------------

    def _unit(self, name):
        try:
            return self._daemon.units[name]
        except KeyError:
            raise Refused("there is no unit %r" % name) from None

    def _op_clock(self, _client, _request):
        return {"ok": True, "now": time.time()}

    def _op_hold(self, _client, request):
        left = seconds(request, "seconds", None)
        if left is None:
            raise Refused("hold needs seconds")
        self._daemon.hold(max(0.0, left))
        return {"ok": True}

    def _op_status(self, _client, _request):
        units = {name: unit.status for name, unit in self._daemon.units.items()}
        return {"ok": True, "units": units, "now": time.time()}

    def _op_start(self, client, request):
        asking.check_unit(request)
        name = request["unit"]
        wait = request.pop("wait", None)
        if wait is not None:
            asking.check_wait(wait)
        if not self._is_again(request):
            jobfile.place(request, self._daemon.config)
            self._daemon.start(request)
        if wait is not None:
            return self._op_wait(client, wait)
        if request.get("together"):
            return self._armed(client, name)
        return {"ok": True}

    def _is_again(self, request):
        """Whether this very request has been carried out: its caller lost the connection before the reply."""
        unit = self._daemon.units.get(request["unit"])
        if unit is None:
            return False
        if request.get("id") is None or request["id"] != unit.request.get("id"):
            raise Refused("the unit %r was started before" % unit.name)
        return True

    def _note_masks(self, request):
        values = request.pop("mask", None) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise Refused("mask is a list of texts")
        for value in values:
            if value not in self._daemon.masks:
                self._daemon.masks.append(value)

    def _armed(self, client, name):
        """Answers once the unit's first step waits at its gate: only then may an instant be chosen."""
        unit = self._unit(name)

        def ready():
            if unit.ended and unit.status["state"] != "ok":
                return {"ok": False, "error": unit.status.get("error") or "it could not be armed"}
            return {"ok": True, "state": "armed"} if unit.status["state"] in ("armed", "ok") else None

        return self._block(client, {}, ready, lambda: {"ok": False, "error": "it could not be armed in time"})[0]

    def _op_wait(self, client, request):
        asking.check_wait(request)
        units = [self._unit(name) for name in request.get("units") or []]
        if request.get("release") is not None:
            for unit in units:
                unit.tell(release=request["release"])
        watch = request.get("watch")

        def ready():
            died = self._died() if watch else {}
            failed = any(unit.ended and unit.status["state"] not in ("ok", "stopped") for unit in units)
            over = bool(units) and all(unit.ended for unit in units)
            if not (died or failed or over):
                return None
            state = "service-died" if died else "failed" if failed else "done"
            return dict(self._units_reply(units, state), services=died)

        return self._block(client, request, ready, lambda: self._units_reply(units, "waiting"))[0]

    def _units_reply(self, units, state):
        return {"ok": True, "state": state, "units": {unit.name: unit.status for unit in units}, "now": time.time()}

    def _died(self):
        """The services that ended before they were told to."""
        return {
            unit.name: unit.status
            for unit in self._daemon.units.values()
            if unit.kind == "service" and unit.ended and not unit.status["told"]
        }

    # -- checks ---------------------------------------------------------------------------------------------------

    def _op_check(self, client, request):
        asking.check_check(request)
        service = self._unit(request["service"]) if request.get("service") else None
        if service is not None:
            request["unit_folder"] = os.path.join(self._daemon.folder, "units", service.name)
        poll = self._polls.attach(request, lambda: self._child(lambda: _poll(self._daemon.config, request)))

        def about(**facts):
            services = {service.name: service.status} if service is not None else {}
            return dict({"ok": True, "services": services, "elapsed": time.monotonic() - poll.began}, **facts)

        def ready():
            result = poll.child.result
            if result is None and service is not None and service.ended:
                result = {"state": "service-died"}
            if result is None:
                return None
            self._polls.forget(poll)
            return about(**result)

        def waiting():
            self._polls.leave(request, poll)
            return about(state="waiting")

        reply, call = self._block(client, request, ready, waiting)
        if call is not None:
            call.dropped = lambda: poll.left_at is None and self._polls.forget(poll)
        return reply

    def _child(self, work):
        child = Child(self._daemon, work)
        child.start()
        return child

    # -- ending ---------------------------------------------------------------------------------------------------

    def _op_stop(self, client, request):
        wanted = request.get("units")
        if wanted in ("all", "steps"):
            units = [unit for unit in self._in_reverse() if wanted == "all" or unit.kind == "steps"]
        else:
            asking.check_names(wanted)
            units = [self._daemon.units[name] for name in wanted or [] if name in self._daemon.units]
        stopping = Stopping(units)
        modules = self._end_modules() if wanted in ("all", "steps") else None

        def over():
            return stopping.over() and (modules is None or modules.result is not None)

        reply, _call = self._block(
            client,
            request,
            lambda: self._units_reply(units, "done") if over() else None,
            lambda: self._units_reply(units, "waiting"),
        )
        return reply

    def _end_modules(self):
        """Ends what Ansible itself still runs here; only for a run that is broken off, as it looks at every process."""
        config = self._daemon.config

        def work():
            from .leftovers import Leftovers  # noqa: PLC0415 - imported by the child only

            return {"ended": Leftovers(config["run"], config["slot"], config["dir"]).end_modules()}

        return self._child(work)

    def _in_reverse(self):
        """Stages first, then services from the one started last to the first."""
        units = list(self._daemon.units.values())[::-1]
        return [u for u in units if u.kind == "steps"] + [u for u in units if u.kind == "service"]

    def stop_everything(self, by, reason):
        """Ends all units in order without a client; ``stopping`` says whether that goes on."""
        self._end_modules()
        self._ending = Closing(self._daemon, self._in_reverse(), by, reason)
        self.changed()

    def stopping(self):
        """Whether units are being ended that no client asked to end."""
        return self._ending is not None

    def _op_pack(self, client, request):
        asking.check_pack(request)
        child = self._child(lambda: _pack(self._daemon, request))
        waiting = {"ok": False, "error": "packing takes too long"}
        reply, call = self._block(client, {"bound": _PACK_BOUND}, lambda: child.result, lambda: waiting)
        if call is not None:
            call.dropped = child.end
        return reply

    def _op_finish(self, client, request):
        asking.check_pack(request)
        closing = Closing(self._daemon, self._in_reverse())
        state = {"child": None}

        def ready():
            if not closing.over():
                return None
            if state["child"] is None:
                state["child"] = self._child(lambda: _pack(self._daemon, request))
            result = state["child"].result
            if result is None or not self._daemon.replies.reachable(client):
                return None
            if not result["ok"]:  # whatever broke, what runs has ended and what is here has to go
                result = {"ok": True, "lost": ["outputs and files: %s" % result["error"]]}
            if "path" not in result and not request.get("keep_archive"):
                result["left"] = closing.left + self._daemon.remove()
            return dict(result, units={name: unit.status for name, unit in self._daemon.units.items()})

        return self._block(client, {"bound": _PACK_BOUND}, ready, lambda: {"ok": True, "state": "waiting"})[0]

    def _op_remove(self, client, _request):
        closing = Closing(self._daemon, self._in_reverse())

        def ready():
            # the reply's FIFO has to be open before its folder goes
            if not closing.over() or not self._daemon.replies.waiting(client):
                return None
            if not self._daemon.replies.reachable(client):
                return None
            return {"ok": True, "left": closing.left + self._daemon.remove()}

        return self._block(client, {"bound": _PACK_BOUND}, ready, lambda: {"ok": True, "state": "waiting"})[0]


def _poll(config, request):
    from .checks import poll  # noqa: PLC0415 - imported by the child only
    from .spawning import Context  # noqa: PLC0415

    return poll(request, Context(config, "check"))


def _pack(daemon, request):
    from .masking import mask_forms  # noqa: PLC0415 - imported by the child only
    from .packing import pack  # noqa: PLC0415

    owner = daemon.config.get("login_uid") if os.geteuid() == 0 else None
    return pack(daemon.run_dir, request, mask_forms(daemon.masks), owner)
