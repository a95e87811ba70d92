"""What a `docker` task can say: which keys go with which verb, and which arguments of the engine it cannot have."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

ENGINES = ("docker", "podman")

#: Which keys go with which verb; COMMON_KEYS go with all.
VERBS: Mapping[str, tuple[str, ...]] = {
    "run": ("name", "publish", "env", "volumes", "network", "cpus", "memory", "ulimits", "user", "command"),
    "pull": (),
    "build": ("tag", "file", "build_args"),
    "exec": ("command", "env", "user"),
    "stop": ("time",),
}
COMMON_KEYS = ("engine", "args")

#: Arguments of the engine's run that a task cannot have: benchhub itself watches, ends and removes the container.
_REFUSED = {
    **dict.fromkeys(("-d", "--detach"), "a container stays in the foreground; a service is a task with `type: long`"),
    "--rm": "benchhub removes every container it made, with its anonymous volumes",
    "--restart": "a container that ends has failed, and is not started again",
    **dict.fromkeys(("-i", "-t", "-it", "-ti", "--interactive", "--tty"), "nobody sits at the container's terminal"),
    "--cidfile": "benchhub finds its containers by their labels",
}
#: Arguments that are keys of the task; there benchhub sees to what it has to make and to give back.
_KEY_OF = {
    **dict.fromkeys(("-v", "--volume"), "volumes"),
    **dict.fromkeys(("--network", "--net"), "network"),
    "--name": "name",
}


def verb_of(keys: Mapping[str, Any]) -> str | None:
    """The one verb among the keys; None when there is none or several."""
    found = [key for key in VERBS if key in keys]
    return found[0] if len(found) == 1 else None


def words(value: Any) -> list[str]:
    """A command or argument list: a list as it stands, a text cut as sh cuts words; ValueError for an open quote."""
    if value is None:
        return []
    return shlex.split(value) if isinstance(value, str) else [str(item) for item in value]


def refused(args: Any) -> str | None:
    """Why an argument for the engine's run cannot be had, in one sentence; None when all can."""
    for word in words(args):
        option = word.partition("=")[0]
        if option in _REFUSED:
            return f"`{option}` cannot be given: {_REFUSED[option]}"
        if option in _KEY_OF:
            return f"`{option}` has a key of its own: `{_KEY_OF[option]}`"
    return None
