"""``docker``: through the docker command line on the node, which needs no Python package for it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchhub_ansible.drivers.base import Supervised, unknown_keys

_KEYS: Mapping[str, tuple[str, ...]] = {
    "run": ("name", "publish", "volumes", "env", "network", "options", "command"),
    "pull": (),
    "build": ("tag", "file", "args", "options"),
    "exec": ("command", "env", "user", "options"),
    "stop": ("time",),
}


def _verb(params: Mapping[str, Any]) -> str | None:
    found = [key for key in _KEYS if key in params]
    return found[0] if len(found) == 1 else None


def _words(value: Any) -> list[str]:
    """A command or option list: a list as it stands, a text cut as sh cuts words."""
    if value is None:
        return []
    return shlex.split(value) if isinstance(value, str) else [str(item) for item in value]


def _many(option: str, values: Any) -> list[str]:
    """``--publish A --publish B`` of a list, of one text, or of a mapping as K=V."""
    if isinstance(values, Mapping):
        values = [f"{key}={value}" for key, value in values.items()]
    elif not isinstance(values, Sequence) or isinstance(values, str):
        values = [] if values is None else [values]
    return [part for value in values for part in (option, str(value))]


def _run(params: Mapping[str, Any]) -> list[str]:
    name = ["--name", str(params["name"])] if params.get("name") else []
    network = ["--network", str(params["network"])] if params.get("network") else []
    options = [
        *_many("--publish", params.get("publish")),
        *_many("--volume", params.get("volumes")),
        *_many("--env", params.get("env")),
        *network,
        *_words(params.get("options")),
    ]
    return ["docker", "run", "--rm", *name, *options, str(params["run"]), *_words(params.get("command"))]


def _pull(params: Mapping[str, Any]) -> list[str]:
    return ["docker", "pull", str(params["pull"])]


def _build(params: Mapping[str, Any]) -> list[str]:
    options = [
        *_many("--tag", params.get("tag")),
        *_many("--file", params.get("file")),
        *_many("--build-arg", params.get("args")),
        *_words(params.get("options")),
    ]
    return ["docker", "build", *options, str(params["build"])]


def _exec(params: Mapping[str, Any]) -> list[str]:
    options = [*_many("--env", params.get("env")), *_many("--user", params.get("user")), *_words(params.get("options"))]
    return ["docker", "exec", *options, str(params["exec"]), *_words(params.get("command"))]


def _stop(params: Mapping[str, Any]) -> list[str]:
    return ["docker", "stop", *_many("--time", params.get("time")), str(params["stop"])]


_ARGV: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "run": _run,
    "pull": _pull,
    "build": _build,
    "exec": _exec,
    "stop": _stop,
}


class DockerDriver(Supervised):
    """Parameters: a mapping with one of ``run``, ``pull``, ``build``, ``exec``, ``stop``, and that verb's options."""

    name = "docker"
    serves = True

    def problem(self, params: Any) -> str | None:
        """What is wrong: no verb, two of them, or an option that the verb does not have."""
        verb = _verb(params) if isinstance(params, Mapping) else None
        if verb is None:
            return f"docker wants exactly one of {', '.join(_KEYS)}"
        if found := unknown_keys(params, (verb, *_KEYS[verb])):
            return f"docker {verb}: {found}"
        if not isinstance(params[verb], str) or not params[verb]:
            return f"docker {verb} wants a text"
        return "docker exec wants a command" if verb == "exec" and not params.get("command") else None

    def step(self, params: Any) -> Mapping[str, Any]:
        """The docker command line; ``run`` stays in the foreground, so a container that ends is seen to end."""
        return {"argv": _ARGV[_verb(params) or "run"](params)}

    def shutdown(self, params: Any) -> Mapping[str, Any] | None:
        """``docker stop NAME`` of a container that has a name."""
        if "run" in params and params.get("name"):
            return {"argv": ["docker", "stop", str(params["name"])]}
        return None
