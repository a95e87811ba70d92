"""What a plan says to people: the command of a task, its checks and limits, and the pipeline as a diagram."""

from __future__ import annotations

import itertools
import json
import shlex
from typing import Any

from benchhub_ansible.job.model import Check
from benchhub_ansible.plan.model import Plan, PlannedStage, PlannedTask
from benchhub_ansible.playbook import steps
from benchhub_ansible.playbook.names import one_line
from benchhub_ansible.values import format_duration


def _runs(found: dict[str, Any]) -> str:
    if "shell" in found:
        shell = f"[{found['executable']}] " if "executable" in found else ""
        return shell + str(found["shell"]).rstrip("\n")
    if "argv" in found:
        return shlex.join(found["argv"])
    if "container" in found:
        return _container(found["container"])
    kind = next(iter(found))
    return f"{kind}: {json.dumps(found[kind], ensure_ascii=False)}"


def _container(given: dict[str, Any]) -> str:
    """The engine's command line; a stop without a name is of the task's own container."""
    made = [part for volume in given.get("volumes", []) for part in ("--volume", volume)]
    made += ["--network", given["network"]] if "network" in given else []
    files = ["--file", given["file"]] if "file" in given else []
    ends = [given["context"]] if "context" in given else []
    if "grace" in given:
        ends = ["-t", f"{given['grace']:g}", "(its container)"]
    return shlex.join([given.get("engine", "docker"), given["verb"], *made, *given.get("argv", []), *files, *ends])


def command(plan: Plan, task: PlannedTask) -> str:
    """What the node runs, references still open; of a module or role its name and arguments."""
    if task.ansible:
        given = task.params if isinstance(task.params, dict) else {"name": task.params}
        rest = {key: value for key, value in given.items() if key != "name" and value}
        return f"{task.driver}: {given.get('name', '')}" + (f" {json.dumps(rest, ensure_ascii=False)}" if rest else "")
    return _runs(steps.what_runs(plan, task))


def _check(check: Check) -> str:
    parts = [f"{check.kind} {check.target}"]
    if check.status:
        parts.append(f"status {' or '.join(map(str, check.status))}")
    if check.body is not None:
        parts.append(f"body {check.body}")
    return ", ".join(parts)


def notes(plan: Plan, task: PlannedTask) -> list[str]:
    """Everything else that is said of a task, one sentence each: limits first."""
    found = [] if task.long else [f"at most {format_duration(task.timeout)}"]
    if task.background:
        found.append("an async job, beside the other stages of its group")
    if task.retry.count:
        found.append(f"tried again {task.retry.count} times, {format_duration(task.retry.delay)} apart")
    if task.when is not None:
        found.append(f"only when: {task.when}")
    if task.become or task.user is not None:
        found.append(f"as {task.user or 'root'}")
    if task.chdir is not None:
        found.append(f"in {task.chdir}")
    found += [f"{key}={value}" for key, value in task.env.items()]
    if task.long:
        found.append(f"service {task.service}, at most {format_duration(task.timeout)}")
    if task.ready is not None:
        found.append(f"ready when: {_check(task.ready)}, within {format_duration(task.ready.timeout or 0)}")
    if task.live is not None:
        every = format_duration(task.live.interval or 0)
        found.append(f"alive while: {_check(task.live)}, every {every}, {task.live.successes} failures end it")
    if task.long and (shutdown := steps.shutdown_of(plan, task)):
        runs = {key: shutdown[key] for key in shutdown if key not in ("name", "timeout")}
        found.append(f"stopped by: {_runs(runs)}, within {format_duration(shutdown['timeout'])}, then TERM and KILL")
    found += [f"metric {metric.name}" for metric in task.metrics]
    found += [f"collects {pattern}" for pattern in task.collect]
    return found


def _node(stage: PlannedStage) -> str:
    label = one_line(f"{stage.title} · {', '.join(stage.hosts)}").replace('"', "'")
    escaped = "".join(c if c not in "#;<>&`\\" else f"#{ord(c)};" for c in label)
    return f's{stage.id.replace("-", "_")}["{escaped}"]'


def mermaid(plan: Plan) -> str:
    """The pipeline as a Mermaid flowchart: groups in order, the stages of each side by side."""
    lines = ["flowchart TB"]
    for group in plan.groups:
        lines += [f'  subgraph g{group.number}["group {group.number}"]', "    direction LR"]
        lines += [f"    {_node(stage)}" for stage in group.stages]
        lines.append("  end")
    names = [f"g{group.number}" for group in plan.groups]
    if plan.cleanup:
        lines += ['  subgraph cleanup["cleanup"]', "    direction LR"]
        lines += [*(f"    {_node(stage)}" for stage in plan.cleanup), "  end"]
        names.append("cleanup")
    lines += [f"  {a} --> {b}" for a, b in itertools.pairwise(names)]
    return "\n".join(lines)
