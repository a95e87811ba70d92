"""Single tasks of the portable profile: steps and services through ``node.sh``, ready checks as builtin modules."""

from __future__ import annotations

import json
import math
import re

from benchhub_ansible.job.model import Check
from benchhub_ansible.plan.limits import SHUTDOWN_TIMEOUT
from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.playbook import steps
from benchhub_ansible.playbook.names import shown, task_name
from benchhub_ansible.playbook.plays import Data, become, condition, environment
from benchhub_ansible.playbook.texts import templated
from benchhub_ansible.playbook.yaml_text import literal
from benchhub_ansible.values import has_secret

#: Where everything of benchhub lies on a node.
NODE_DIR = "{{ benchhub_run_dir }}/.benchhub"
NODE_SCRIPT = f"{NODE_DIR}/node.sh"
#: The collection's own, which knows docker and podman.
CONTAINER_SCRIPT = f"{NODE_DIR}/container.sh"


def render(text: str) -> str:
    """A text as Ansible has to see it; secrets come from variables of the play."""
    return templated(text, secret="benchhub_secret.NAME")  # noqa: S106 - the name of a variable


# -- what a node runs -------------------------------------------------------------------------------------------------


def number_text(value: float) -> str:
    """Seconds as node.sh is given them."""
    return f"{value:g}" if value < 10**6 else str(math.ceil(value))


def _argv(runs: Data, unit: str) -> list[str]:
    """The program of a step: a shell with its script, the argv, or for a fetch a look whether the file is there."""
    if "container" in runs:
        return _container(runs["container"], unit)
    if "shell" in runs:
        return [render(runs.get("executable", "/bin/sh")), "-c", render(runs["shell"])]
    if "argv" in runs:
        return [render(item) for item in runs["argv"]]
    if "fetch" in runs:
        look = 'IFS=; for file in $1; do [ -e "$file" ] && exit 0; done; echo "there is no $1" >&2; exit 1'
        return ["/bin/sh", "-c", look, "fetch", render(runs["fetch"])]
    return ["true"]


def engine_of(given: Data) -> str:
    """The engine of a container task, as container.sh is told it."""
    return render(given["engine"]) if "engine" in given else "{{ benchhub_engine | default('auto', true) }}"


def container_call(verb: str, engine: str, unit: str) -> list[str]:
    """The beginning of a call of container.sh."""
    return ["/bin/sh", CONTAINER_SCRIPT, verb, engine, "{{ benchhub_run_id }}", "{{ inventory_hostname }}", unit]


def _container(given: Data, unit: str) -> list[str]:
    made = [part for volume in given.get("volumes", ()) for part in ("--volume", render(volume))]
    if "network" in given:
        made += ["--network", render(given["network"])]
    options = made
    if "grace" in given:
        options = ["--grace", str(math.ceil(given["grace"]))]
    built: list[str] = []
    if "context" in given:
        context = _context(given["context"])
        built = [context]
        if "file" in given:
            file = given["file"]
            built = ["--file", render(file) if file.startswith("/") else f"{context}/{_inline(file)}", context]
    argv = [render(item) for item in given.get("argv", ())]
    return [*container_call(given["verb"], engine_of(given), unit), *options, "--", *made, *argv, *built]


def _beside(context: str) -> bool:
    """Whether an image is built from a folder of the job, which has to be brought to the node."""
    return not context.startswith(("/", "${run.dir}")) and "://" not in context


def _context(context: str) -> str:
    if not _beside(context):
        return render(context)
    return f"{{{{ benchhub_run_dir }}}}/context-{re.sub('[^A-Za-z0-9]+', '-', context).strip('-') or 'job'}"


def _bring_context(name: str, runs: Data, task: PlannedTask) -> list[Data]:
    """The task that brings the folder that an image is built from."""
    context = runs.get("container", {}).get("context")
    if context is None or not _beside(context):
        return []
    source = "{{ benchhub_job_dir }}" if context in (".", "./") else _below("{{ benchhub_job_dir }}", context)
    copy = {"src": source.rstrip("/") + "/", "dest": _context(context) + "/"}
    return [{"name": f"{name} in place", "ansible.builtin.copy": {**copy, "mode": "preserve"}, **become(task, render)}]


def node_call(verb: str, options: Data, argv: list[str]) -> Data:
    """A call of node.sh; ``expand_argument_vars``: the node's own variables are for the program to expand."""
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    return {
        "ansible.builtin.command": {
            "argv": ["/bin/sh", NODE_SCRIPT, verb, *flags, *(["--", *argv] if argv else [])],
            "expand_argument_vars": False,
        }
    }


#: A slot that was never prepared has nothing to stop, to bring or to remove.
_IF_THERE = '[ ! -r "$1" ] || exec /bin/sh "$@"'
#: Where a step removed node.sh: run and slot are in its path, and in the mark of every process to end.
_PACK_OR_END = (
    _IF_THERE
    + r"""
slot=${1%/.benchhub/node.sh}
run=${slot%/*}
mark="BENCHHUB_UNIT=${run##*/benchhub-}/${slot##*/}/"
for signal in TERM KILL; do
  for process in $(grep -lz "^$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3); do
    kill -$signal "$process" 2>/dev/null && sleep 0.1
  done
done
exit 0"""
)


def pack_or_end(options: Data) -> Data:
    """``node.sh pack``; where the script is gone, what it ran is ended by its mark."""
    return if_there(node_call("pack", options, []), _PACK_OR_END)


def if_there(made: Data, look: str = _IF_THERE) -> Data:
    """A call of a script of ours in teardown, for a node where it may not be."""
    command = made["ansible.builtin.command"]
    return {"ansible.builtin.command": {**command, "argv": ["/bin/sh", "-c", look, "look", *command["argv"][1:]]}}


def _around(task: PlannedTask) -> Data:
    found = {}
    if task.when is not None:
        found["when"] = render(task.when)
    if task.chdir is not None:
        found["chdir"] = render(task.chdir)
    return found


def _hidden(task: PlannedTask, runs: Data) -> Data:
    """``no_log`` for a task with a secret in it."""
    texts = [json.dumps(steps.as_written(runs)), task.when or "", task.chdir or "", *task.env.values()]
    return {"no_log": True} if any(map(has_secret, texts)) else {}


def step_tasks(plan: Plan, stage: PlannedStage, unit: str, place: tuple[int, int], task: PlannedTask) -> list[Data]:
    """A run-and-finish task, at its place of so many; a file is put there by Ansible, then noted as a step."""
    runs = steps.what_runs(plan, task)
    name = task_name(stage, task.name)
    number, of = place
    options = {"unit": unit, "step": f"{number:02}", "of": str(of), "name": literal(json.dumps(steps.shown_name(task)))}
    options |= {"timeout": number_text(task.timeout), "grace": number_text(task.grace)}
    if task.retry.count:
        options |= {"retries": str(task.retry.count), "delay": number_text(task.retry.delay)}
    options |= _around(task)
    if stage.together and number == 1 and unit == stage.id:
        options["at"] = "{{ benchhub_at }}"
    options |= _runs_container(runs)
    keywords = {**become(task, render), **_environment(task, runs), **_hidden(task, runs)}
    noted: Data = {"name": name, **node_call("run", options, _argv(runs, unit)), **keywords, "changed_when": True}
    for kind in ("copy", "template"):
        if kind in runs:
            placed = _file(f"{name} in place", kind, runs[kind], task, keywords)
            if task.when is not None:
                placed["when"] = "benchhub_when.rc == 0"
            return [*condition(name, task, render), placed, noted]
    return [*_bring_context(name, runs, task), noted]


def _runs_container(runs: Data) -> Data:
    """What tells node.sh to remove a container when it has ended."""
    given = runs.get("container", {})
    return {"container": engine_of(given)} if given.get("verb") == "run" else {}


def _environment(task: PlannedTask, runs: Data) -> Data:
    """The task's environment, with what a container gets through that of its engine's command line."""
    own = environment(task, render)
    hidden = {key: render(value) for key, value in runs.get("container", {}).get("env", {}).items()}
    return {"environment": {**hidden, **own.get("environment", {})}} if hidden else own


def _file(name: str, kind: str, given: Data, task: PlannedTask, keywords: Data) -> Data:
    """ansible.builtin.copy or template; relative paths are the job's on the controller, the run's on the node."""
    arguments = {key: render(value) for key, value in given.items() if key not in ("src", "dest")}
    if "src" in given:
        arguments["src"] = _below("{{ benchhub_job_dir }}", given["src"])
    arguments["dest"] = _below("{{ benchhub_run_dir }}", given["dest"])
    tries: Data = {}
    if task.retry.count:
        tries = {
            "register": "benchhub_result",
            "until": "benchhub_result is succeeded",
            "retries": task.retry.count,
            "delay": task.retry.delay,
        }
    ordered = {key: arguments[key] for key in ("src", "content", "dest", "mode", "owner", "group") if key in arguments}
    rest = {key: value for key, value in keywords.items() if key != "environment"}
    return {"name": name, f"ansible.builtin.{kind}": ordered, **rest, **tries}


def _below(folder: str, path: str) -> str:
    if path.startswith(("/", "~", "${")):
        return render(path)
    rendered = render(path)
    return f"{folder}/{path}" if rendered == path and type(rendered) is str else f"{folder}/{_inline(path)}"


def _inline(path: str) -> str:
    """A path that holds what Ansible would take for an expression, for use behind one."""
    return render("${run.dir}" + path).removeprefix("{{ benchhub_run_dir }}")


# -- services ---------------------------------------------------------------------------------------------------------


def service_tasks(plan: Plan, stage: PlannedStage, task: PlannedTask) -> list[Data]:
    """A service as an async task, its ready check, and a look whether it is still alive."""
    runs = steps.what_runs(plan, task)
    unit = task.service or task.id
    options = {"unit": unit, "grace": number_text(task.grace), **_around(task), **_runs_container(runs)}
    keywords = {**become(task, render), **_environment(task, runs), **_hidden(task, runs)}
    name = task_name(stage, task.name)
    started: Data = {
        "name": name,
        **node_call("serve", options, _argv(runs, unit)),
        **keywords,
        "changed_when": True,
        "async": math.ceil(task.timeout),
        "poll": 0,
    }
    tasks = [started]
    if task.ready is not None:
        tasks.append({"name": f"{name} is ready", **_ready(task, task.ready)})
    alive = {"name": f"{name} is alive", **node_call("alive", {"unit": task.service}, []), "changed_when": False}
    return [*tasks, {**alive, **become(task, render)}]


def _until(check: Check, condition: str) -> Data:
    """Tries of a check, a second apart at least, until its time is up."""
    pause = max(1, math.ceil(check.interval or 0))
    tries = max(1, math.ceil((check.timeout or 0) / pause))
    return {"register": "benchhub_ready", "until": condition, "retries": tries, "delay": pause}


def _ready(task: PlannedTask, check: Check) -> Data:
    """The ready check as a builtin: wait_for, uri, or a command that is tried again."""
    timeout = math.ceil(check.timeout or 0)
    if check.kind == "tcp":
        host, port = steps.host_and_port(check.target)
        given = port if isinstance(port, int) else render(port)
        return {"ansible.builtin.wait_for": {"host": render(host), "port": given, "timeout": timeout}}
    if check.kind == "file":
        return {
            "ansible.builtin.wait_for": {"path": _below("{{ benchhub_run_dir }}", check.target), "timeout": timeout}
        }
    if check.kind == "http":
        return _http(check)
    if check.kind == "log":
        folder = f"{NODE_DIR}/units/{task.service}"
        argv = ["/bin/sh", "-c", 'tail -c 1000000 "$1/01.out" "$1/01.err"', "log", folder]
        found = "benchhub_ready.stdout is search(benchhub_pattern)"
        return {**_pattern(check.target), **_command(argv), **become(task, render), **_until(check, found)}
    argv = ["/bin/sh", "-c", 'cd "$1" && exec /bin/sh -c "$2"', "ready", _folder(task), render(check.target)]
    return {
        **_command(argv),
        **become(task, render),
        **environment(task, render),
        **_until(check, "benchhub_ready.rc == 0"),
    }


def _folder(task: PlannedTask) -> str:
    return "{{ benchhub_run_dir }}" if task.chdir is None else _below("{{ benchhub_run_dir }}", task.chdir)


def _command(argv: list[str]) -> Data:
    return {"ansible.builtin.command": {"argv": argv, "expand_argument_vars": False}, "changed_when": False}


def _http(check: Check) -> Data:
    """``uri``: the accepted statuses, and the body's pattern when there is one."""
    arguments: Data = {"url": render(check.target), "status_code": list(check.status) or list(range(200, 207))}
    condition, pattern = "benchhub_ready is succeeded", {}
    if check.body is not None:
        arguments["return_content"] = True
        condition += " and benchhub_ready.content is search(benchhub_pattern)"
        pattern = _pattern(check.body)
    return {**pattern, "ansible.builtin.uri": arguments, **_until(check, condition)}


def _pattern(regex: str) -> Data:
    """A regular expression as a variable: within an expression its backslashes would not be its own."""
    return {"vars": {"benchhub_pattern": render(regex)}}


def stop_task(plan: Plan, task: PlannedTask, stage: PlannedStage) -> Data:
    """The task that ends a service, asking it first when it has a shutdown."""
    options = {"unit": task.service, "grace": number_text(task.grace), **_runs_container(steps.what_runs(plan, task))}
    argv: list[str] = []
    if shutdown := steps.shutdown_of(plan, task):
        options["timeout"] = number_text(shutdown.get("timeout", SHUTDOWN_TIMEOUT))
        argv = _argv(shutdown, task.service or task.id)
    return {
        "name": f"Stop {shown(task.service or task.name)} of {shown(stage.title)}",
        **if_there(node_call("stop", options, argv)),
        **become(task, render),
        **environment(task, render),
        "changed_when": True,
    }
