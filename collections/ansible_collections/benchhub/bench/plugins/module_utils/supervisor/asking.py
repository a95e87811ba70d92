"""What a request has to look like; the controller is trusted, but its mistakes must not cost a run its supervisor."""

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_UNIT_NAME = _LETTERS | frozenset("._-")
_NAME_LENGTH = 128
_STEP_KINDS = {"shell": ("text", str), "exec": ("argv", list), "file": ("dest", str), "async": ("jid", str)}
_CHECK_KINDS = ("tcp", "http", "command", "log", "file", "drained")
#: What a command can be given to read: a pipe of Linux holds 65536 bytes.
_INPUT_LIMIT = 60000
#: Beyond every instant (seconds since 1970) that a controller could mean.
_FOREVER = 10.0**10


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request that is not carried out; the message is the reply."""


def seconds(request, key, default):
    """A duration or instant of a request; what is no finite number is refused."""
    value = request.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _FOREVER:
        raise Refused("%s: %.40r is no number of seconds" % (key, value))
    return float(value)


def check_unit(request):
    """Refuses a start that names no unit, or nothing that could be run."""
    name, kind = request.get("unit"), request.get("kind")
    if not _is_name(name):
        raise Refused("%.80r is no name for a unit" % (name,))
    if kind == "steps":
        steps = request.get("steps")
        if not isinstance(steps, list) or not steps:
            raise Refused("a unit of steps needs a list of steps")
        for number, step in enumerate(steps, 1):
            _check_command(step, "step %d" % number)
    elif kind == "service":
        _check_command(request.get("service"), "the service")
    else:
        raise Refused("%.40r is no kind of unit" % (kind,))
    if request.get("shutdown") is not None:
        _check_command(request["shutdown"], "the shutdown")
    _check_texts(request)
    if request.get("live") is not None and not isinstance(request["live"], dict):
        raise Refused("live is no check")
    if not isinstance(request.get("id"), (str, type(None))):
        raise Refused("the id of a start is a text")
    for key in ("deadline", "grace"):
        seconds(request, key, None)


def _check_texts(request):
    """Refuses sweeps that are no commands, and inputs that no pipe could hold."""
    if not isinstance(request.get("sweeps") or [], list):
        raise Refused("sweeps is no list")
    for step in request.get("sweeps") or []:
        _check_command(step, "a sweep")
    inputs = request.get("inputs") or {}
    if not isinstance(inputs, dict) or not all(
        isinstance(text, str) and len(text.encode("utf-8", "replace")) <= _INPUT_LIMIT for text in inputs.values()
    ):
        raise Refused("inputs are texts of at most %d bytes" % _INPUT_LIMIT)


def _is_name(name):
    return (
        isinstance(name, str) and 0 < len(name) <= _NAME_LENGTH and name[0] in _LETTERS and _UNIT_NAME.issuperset(name)
    )


def _check_command(step, what):
    if not isinstance(step, dict):
        raise Refused("%s is no object" % what)
    key, kind = _STEP_KINDS.get(step.get("kind") if isinstance(step.get("kind"), str) else None, (None, None))
    if key is None:
        raise Refused("%s: %.40r is no kind of step" % (what, step.get("kind")))
    if not isinstance(step.get(key), kind) or step[key] == []:
        raise Refused("%s: %s is missing" % (what, key))
    for key, kind in (
        ("env", dict),
        ("retries", dict),
        ("chdir", str),
        ("when", str),
        ("staged", str),
        ("input", str),
        ("unpack", str),
    ):
        if step.get(key) is not None and not isinstance(step[key], kind):
            raise Refused("%s: %s cannot be %.40r" % (what, key, step[key]))
    _check_file_names(step, what)
    if step.get("after") is not None:
        _check_command(step["after"], "what follows %s" % what)
    for key in ("timeout", "grace"):
        seconds(step, key, None)
    for key in ("count", "delay"):
        seconds(step.get("retries") or {}, key, None)


def _check_file_names(step, what):
    if step["kind"] == "async" and step["jid"] and not _is_name(step["jid"]):
        raise Refused("%s: %.80r is no async job" % (what, step["jid"]))
    staged = step.get("staged")
    if staged is not None and (staged.startswith("/") or ".." in staged.split("/")):
        raise Refused("%s: %.80r is no staged file" % (what, staged))


def check_names(names):
    """Refuses what is no list of names."""
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise Refused("units is a list of names")


def check_wait(request):
    """Refuses a wait that could not be waited for."""
    if not isinstance(request, dict):
        raise Refused("wait is no object")
    check_names(request.get("units"))
    for key in ("release", "bound"):
        seconds(request, key, None)


def check_check(request):
    """Refuses a check of no known kind or without a target."""
    if request.get("kind") not in _CHECK_KINDS or not isinstance(request.get("target"), str):
        raise Refused("a check has a kind (%s) and a target" % ", ".join(_CHECK_KINDS))
    if not isinstance(request.get("id"), (str, type(None))):
        raise Refused("the id of a check is a text")
    for key in ("timeout", "interval", "delay", "connect_timeout", "successes", "bound"):
        seconds(request, key, None)


def check_pack(request):
    """Refuses a pack of something other than patterns."""
    collect = request.get("collect")
    if collect is not None and not (isinstance(collect, list) and all(isinstance(item, str) for item in collect)):
        raise Refused("collect is a list of patterns")
    for key in ("limit", "inline"):
        seconds(request, key, None)
