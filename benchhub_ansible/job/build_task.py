"""Tree → tasks, checks and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchhub_ansible.job.containers import COMMON_KEYS, ENGINES, VERBS, refused
from benchhub_ansible.job.model import Check, Metric, Retry, Task
from benchhub_ansible.job.suggest import did_you_mean
from benchhub_ansible.job.tree import MappingNode, Node, Scalar, SequenceNode
from benchhub_ansible.job.values_reader import ValuesReader
from benchhub_ansible.source import Span

CHECK_KINDS = ("tcp", "http", "command", "log", "file")
_CHECK_KEYS = frozenset({*CHECK_KINDS, "status", "body", "timeout", "interval", "successes"})
_COMMON_KEYS = frozenset(
    {"name", "type", "env", "chdir", "become", "user", "timeout", "retry", "when", "ready", "live", "shutdown"}
    | {"grace", "metrics", "collect"}
)
_NAME_LIMIT = 40


def span_of(node: Node) -> Span:
    """Where a node begins; of a mapping or list only the first character."""
    return node.span if isinstance(node, Scalar) else Span(line=node.span.line, column=node.span.column, length=1)


@dataclass(frozen=True, kw_only=True)
class TaskBuilder:
    """Builds the tasks of a job."""

    read: ValuesReader
    drivers: frozenset[str]

    def task(self, node: MappingNode) -> Task | None:
        """The task of a mapping; None when it says not what to run."""
        read = self.read
        driver = self.driver(node, "task")
        if driver is None:
            read.duration(node, "timeout")  # told too: `timeout 5 date` is a key in the brace notation, not a command
            return None
        params = self.params(driver, node)
        kind = read.text(node, "type")
        task = Task(
            name=read.text(node, "name") or default_name(driver, params),
            driver=driver,
            params=params,
            long=kind == "long",
            env=read.text_map(node, "env"),
            chdir=read.text(node, "chdir"),
            become=read.boolean(node, "become"),
            user=read.text(node, "user"),
            timeout=read.duration(node, "timeout"),
            retry=self.retry(node),
            when=read.text(node, "when"),
            ready=self.check(node, "ready"),
            live=self.check(node, "live"),
            shutdown=self.shutdown(node),
            grace=read.duration(node, "grace"),
            metrics=self.metrics(node),
            collect=read.texts(node, "collect"),
            span=node.keys[driver].span,
        )
        self.check_keys(task, node)
        return task

    def driver(self, node: MappingNode, what: str) -> str | None:
        """The one driver of a task; told when there is none or a second one."""
        given = [name for name in node.keys if name in self.drivers]
        if not given and set(node.keys) <= _COMMON_KEYS:  # else the driver is mistyped, and told as an unknown key
            self.read.tell(
                "missing-driver",
                f"this {what} says not what to run",
                span_of(node),
                "give it `shell` and a command, or another driver",
            )
        if not given:
            return None
        for extra in given[1:]:
            self.read.tell(
                "two-drivers",
                f"a {what} has one driver, and `{given[0]}` is there already",
                node.keys[extra].span,
                "make a task of each",
            )
        return given[0]

    def check_keys(self, task: Task, node: MappingNode) -> None:
        """Tells keys that do not go with the kind of task."""
        tell = self.read.tell
        if task.long:
            if "retry" in node.keys:
                tell(
                    "long-with-retry",
                    "a long-running task is not retried",
                    node.keys["retry"].span,
                    "remove `retry`, or `type: long`",
                )
            if "when" in node.keys:
                tell(
                    "when-on-service",
                    "a long-running task always starts: later groups and checks count on it",
                    node.keys["when"].span,
                    "remove `when`; `nodes` says on which nodes the service starts",
                )
            if task.driver in {"copy", "template", "fetch", "module", "role"} or (
                task.driver == "docker" and "run" not in task.params
            ):
                tell(
                    "never-long",
                    f"this `{task.driver}` task ends by itself",
                    node.keys["type"].span,
                    "remove `type: long`",
                )
            return
        for key in ("ready", "live", "shutdown", "grace"):
            if key in node.keys:
                tell(
                    "finish-with-service-key",
                    f"`{key}` is for a long-running task",
                    node.keys[key].span,
                    "add `type: long`, or remove it",
                )

    def retry(self, node: MappingNode) -> Retry | None:
        """`retry: 3` or `retry: {count: 3, delay: 2s}`."""
        value = self.read.get(node, "retry")
        if isinstance(value, MappingNode):
            delay = self.read.duration(value, "delay")
            return Retry(count=self.read.integer(value, "count") or 0, delay=1.0 if delay is None else delay)
        count = self.read.integer(node, "retry")
        return None if count is None else Retry(count=count)

    def shutdown(self, node: MappingNode) -> Task | None:
        """The task that stops a service."""
        child = self.read.child(node, "shutdown")
        driver = self.driver(child, "shutdown") if child is not None else None
        if child is None or driver is None:
            return None
        params = self.params(driver, child)
        return Task(
            name=default_name(driver, params),
            driver=driver,
            params=params,
            timeout=self.read.duration(child, "timeout"),
            span=child.keys[driver].span,
        )

    # -- what a driver is given ----------------------------------------------------------------------------------

    def params(self, driver: str, node: MappingNode) -> Any:
        """The driver's value in the form its driver documents; a plugin checks its own."""
        value = self.read.get(node, driver)
        match driver:
            case "shell":
                return self.shell(node, value)
            case "exec":
                return {"argv": self.read.texts(node, driver)}
            case "module" | "role":
                return self.ansible(driver, value)
            case "docker" | "copy" | "template" | "fetch":
                return self.fields(driver, value)
        return self.foreign(value)

    def foreign(self, value: Node | None) -> Any:
        """What a plugin's driver is given: a text, or a value of any shape."""
        if isinstance(value, Scalar):
            return self.read.as_text(value)
        return self.read.value(value) if value is not None else None

    def shell(self, node: MappingNode, value: Node | None) -> dict[str, Any]:
        """A script and the shell for it."""
        if isinstance(value, MappingNode):
            return {"text": self.read.text(value, "run") or "", "executable": self.read.text(value, "executable")}
        text = self.read.text(node, "shell")
        if text is not None and not text.strip():
            self.read.tell("missing-command", "the command is empty", span_of(node.values["shell"]))
        return {"text": text or "", "executable": None}

    def ansible(self, driver: str, value: Node | None) -> dict[str, Any]:
        """Name and arguments of a module or role."""
        if not isinstance(value, MappingNode):
            return {"name": ""}
        name = self.read.text(value, "name") or ""
        if driver == "module" and name and name.count(".") < 2:
            self.read.tell(
                "module-name",
                f"`{name}` is not the full name of a module",
                span_of(value.values["name"]),
                f"for example ansible.builtin.{name}",
            )
        key = "args" if driver == "module" else "vars"
        child = self.read.child(value, key)
        return {"name": name, key: self.read.value(child) if child is not None else {}}

    def fields(self, driver: str, value: Node | None) -> dict[str, Any]:
        """The mapping of docker, copy, template or fetch; a text is what to fetch."""
        if isinstance(value, Scalar):
            return {"src": self.read.as_text(value)}
        if not isinstance(value, MappingNode):
            return {}
        found: dict[str, Any] = {}
        for name, _, item in value.entries():
            if id(item) in self.read.bad:
                continue
            if isinstance(item, SequenceNode):
                found[name] = self.read.texts(value, name)
            elif isinstance(item, MappingNode):
                found[name] = self.read.text_map(value, name)
            elif name in {"publish", "volumes", "args"} and driver == "docker":
                found[name] = (self.read.as_text(item),)
            else:
                found[name] = self.read.as_text(item)
        if driver == "docker":
            self.check_docker(value)
        elif driver == "copy" and ("src" in found) == ("content" in found):
            self.read.tell("copy-source", "`copy` takes either `src` or `content`", span_of(value))
        return found

    def check_docker(self, value: MappingNode) -> None:
        """Exactly one action, and only keys that go with it."""
        actions = [name for name in value.keys if name in VERBS]
        if len(actions) != 1:
            place = value.keys[actions[1]].span if actions else span_of(value)
            self.read.tell("docker-action", "`docker` takes exactly one of run, pull, build, exec, stop", place)
            return
        for name, key, _ in value.entries():
            known = set().union(*VERBS.values())
            if name in known and name not in (*VERBS[actions[0]], *COMMON_KEYS):
                self.read.tell("docker-key", f"`{name}` does not go with docker's `{actions[0]}`", key.span)
        if actions[0] == "exec" and "command" not in value.keys:
            self.read.tell("missing-key", "docker's `exec` needs a `command`", value.keys["exec"].span)
        engine = self.read.scalar(value, "engine")
        if engine is not None and engine.text not in ENGINES and "${" not in engine.text:
            hint = did_you_mean(engine.text, ENGINES) or "docker and podman are known"
            self.read.tell("docker-engine", f"there is no engine `{engine.text}`", engine.span, hint)
        if actions[0] == "run":
            for item in self.read.items(value, "args"):
                if isinstance(item, Scalar) and (problem := refused([item.text])):
                    self.read.tell("docker-argument", problem, item.span)

    # -- checks and metrics --------------------------------------------------------------------------------------

    def check(self, node: MappingNode, key: str) -> Check | None:
        """A ready or live check."""
        read = self.read
        child = read.child(node, key)
        if child is None:
            return None
        kinds = [kind for kind in CHECK_KINDS if kind in child.keys]
        if len(kinds) != 1 and set(child.keys) <= _CHECK_KEYS:
            place = child.keys[kinds[1]].span if kinds else node.keys[key].span
            read.tell("check-kind", f"`{key}` takes exactly one of tcp, http, command, log, file", place)
        if len(kinds) != 1:
            return Check(kind="command", target="", span=node.keys[key].span)  # stands in: a check was meant
        kind = kinds[0]
        for extra in ("status", "body"):
            if extra in child.keys and kind != "http":
                read.tell("check-key", f"`{extra}` goes with `http`, not with `{kind}`", child.keys[extra].span)
        target = {"tcp": read.host_port, "http": read.url, "log": read.regex}.get(kind, read.text)(child, kind)
        statuses = (item.value for item in read.items(child, "status") if isinstance(item, Scalar))
        return Check(
            kind=kind,
            target=target or "",
            timeout=read.duration(child, "timeout"),
            interval=read.duration(child, "interval"),
            successes=read.integer(child, "successes"),
            status=tuple(int(item) for item in statuses if isinstance(item, int | float)),
            body=read.regex(child, "body"),
            span=child.keys[kind].span,
        )

    def metrics(self, node: MappingNode) -> tuple[Metric, ...]:
        """The metrics of a task; a name stands there once."""
        metrics: list[Metric] = []
        for item in self.read.items(node, "metrics"):
            metric = self.metric(item) if isinstance(item, MappingNode) else None
            if metric is None:
                continue
            if any(other.name == metric.name for other in metrics):
                self.read.tell("duplicate-metric", f"this task has a metric `{metric.name}` already", metric.span)
            metrics.append(metric)
        return tuple(metrics)

    def metric(self, node: MappingNode) -> Metric | None:
        """One metric: a name and exactly one way to read it."""
        read = self.read
        name = read.text(node, "name")
        if name is None:
            return None
        ways = [way for way in ("regex", "jsonpath", "plugin") if way in node.keys]
        span = span_of(node.values["name"])
        if len(ways) != 1:
            read.tell("metric-source", f"metric `{name}` takes exactly one of regex, jsonpath, plugin", span)
        low, high = read.number(node, "min"), read.number(node, "max")
        if low is not None and high is not None and low > high:
            read.tell("min-over-max", f"`min` is above `max` in metric `{name}`", span_of(node.values["min"]))
        return Metric(
            name=name,
            unit=read.text(node, "unit"),
            better=read.text(node, "better"),
            regex=read.regex(node, "regex", groups=1),
            jsonpath=read.text(node, "jsonpath"),
            plugin=read.text(node, "plugin"),
            file=read.text(node, "file"),
            aggregate=read.text(node, "aggregate") or "none",
            min=low,
            max=high,
            required="required" not in node.keys or read.boolean(node, "required"),
            span=span,
        )


def default_name(driver: str, params: Any) -> str:
    """What a task is called that has no name: the first words of its command, or its driver and what that acts on."""
    if driver in {"shell", "exec"}:
        words = params["text"].split() if driver == "shell" else list(params["argv"])
        return _words(words) or driver
    if not isinstance(params, Mapping):
        return driver
    if driver == "docker":
        if "run" in params and params.get("name"):
            return str(params["name"])
        action = next((name for name in VERBS if name in params), "")
        return _words([driver, action, str(params.get(action, ""))])
    return _words([driver, str(params.get("dest") or params.get("src") or params.get("name") or "")])


def _words(words: list[str]) -> str:
    """The first three words that are plain and fit."""
    name = ""
    for word in words[:3]:
        longer = f"{name} {word}".strip()
        if "$" in word or not word.isprintable() or len(longer) > _NAME_LIMIT:
            break
        name = longer
    return name
