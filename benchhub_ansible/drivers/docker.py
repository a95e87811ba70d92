"""``docker``: containers through the docker or podman command line of the node: no Python package is needed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchhub_ansible.drivers.base import unknown_keys
from benchhub_ansible.job.containers import COMMON_KEYS, ENGINES, VERBS, refused, verb_of, words

_SECRET = "${secrets."  # noqa: S105 - how a reference to one begins


def _many(option: str, values: Any) -> list[str]:
    """``--publish A --publish B`` of a list, of one text, or of a mapping as K=V."""
    return [part for value in _listed(values) for part in (option, value)]


def _listed(values: Any) -> list[str]:
    if isinstance(values, Mapping):
        return [f"{key}={value}" for key, value in values.items()]
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [str(value) for value in values]
    return [] if values is None else [str(values)]


def _environment(values: Any) -> tuple[list[str], dict[str, str]]:
    """Options for the container's environment; values that hold a secret go through the command line's own instead.

    A process list shows options to every user of a node.
    """
    pairs = [item.partition("=") for item in _listed(values)]
    hidden = {key: value for key, _, value in pairs if _SECRET in value}
    return _many("--env", [key if key in hidden else f"{key}{eq}{value}" for key, eq, value in pairs]), hidden


def _run(params: Mapping[str, Any]) -> dict[str, Any]:
    env, hidden = _environment(params.get("env"))
    options = [
        *_many("--name", params.get("name")),
        *_many("--publish", params.get("publish")),
        *env,
        *_many("--cpus", params.get("cpus")),
        *_many("--memory", params.get("memory")),
        *_many("--ulimit", params.get("ulimits")),
        *_many("--user", params.get("user")),
        *words(params.get("args")),
    ]
    found: dict[str, Any] = {"argv": [*options, str(params["run"]), *words(params.get("command"))]}
    if volumes := _listed(params.get("volumes")):  # these two benchhub looks at: it makes what is not there
        found["volumes"] = volumes
    if params.get("network"):
        found["network"] = str(params["network"])
    return {**found, **({"env": hidden} if hidden else {})}


def _pull(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"argv": [*words(params.get("args")), str(params["pull"])]}


def _build(params: Mapping[str, Any]) -> dict[str, Any]:
    # --force-rm: a build that fails leaves no container either
    options = [
        *_many("--tag", params.get("tag")),
        "--force-rm",
        *_many("--build-arg", params.get("build_args")),
        *words(params.get("args")),
    ]
    found: dict[str, Any] = {"argv": options, "context": str(params["build"])}
    return {**found, **({"file": str(params["file"])} if params.get("file") else {})}


def _exec(params: Mapping[str, Any]) -> dict[str, Any]:
    env, hidden = _environment(params.get("env"))
    options = [*env, *_many("--user", params.get("user")), *words(params.get("args"))]
    container = str(params["exec"])
    found: dict[str, Any] = {"argv": [*options, container, *words(params.get("command"))], "container": container}
    return {**found, **({"env": hidden} if hidden else {})}


def _stop(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"argv": [*_many("-t", params.get("time")), *words(params.get("args")), str(params["stop"])]}


_MADE: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "run": _run,
    "pull": _pull,
    "build": _build,
    "exec": _exec,
    "stop": _stop,
}


class DockerDriver:
    """Parameters: a mapping with one of ``run``, ``pull``, ``build``, ``exec``, ``stop``, and that verb's options."""

    name = "docker"
    serves = True

    def problem(self, params: Any) -> str | None:
        """What is wrong: no verb, two of them, or an option that the verb does not have."""
        verb = verb_of(params) if isinstance(params, Mapping) else None
        if verb is None:
            return f"docker wants exactly one of {', '.join(VERBS)}"
        if found := unknown_keys(params, (verb, *VERBS[verb], *COMMON_KEYS)):
            return f"docker {verb}: {found}"
        if not isinstance(params[verb], str) or not params[verb] or params[verb].startswith("-"):
            return f"docker {verb} wants a text that does not begin with -"
        if verb == "exec" and not params.get("command"):
            return "docker exec wants a command"
        if (engine := params.get("engine", "docker")) not in ENGINES and "${" not in engine:
            return f"there is no engine {engine}: docker and podman are known"
        return _unreadable(params) or (refused(params.get("args")) if verb == "run" else None)

    def step(self, params: Any) -> Mapping[str, Any]:
        """A command of the engine; ``run`` stays in the foreground, so a container that ends is seen to end."""
        verb = verb_of(params) or "run"
        engine = {"engine": params["engine"]} if params.get("engine") else {}
        return {"container": {"verb": verb, **engine, **_MADE[verb](params)}}

    def shutdown(self, params: Any, grace: float) -> Mapping[str, Any] | None:
        """A stop of the container of this very task, which has the grace time to end by itself."""
        engine = {"engine": params["engine"]} if params.get("engine") else {}
        return {"container": {"verb": "stop", **engine, "grace": grace}} if "run" in params else None


def _unreadable(params: Mapping[str, Any]) -> str | None:
    for key in ("command", "args"):
        try:
            words(params.get(key))
        except ValueError:
            return f"docker: a quote in {key} is not closed"
    return None
