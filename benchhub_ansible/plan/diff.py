"""What changed between two plans, by stage and task, in the words of the job file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from benchhub_ansible.plan.data import plan_to_data
from benchhub_ansible.plan.model import Plan

#: Where something stood does not change what runs.
_LEFT_OUT = frozenset({"span", "id", "placement", "iteration"})


def _lines(value: Any, path: str) -> Iterator[str]:
    """One line per leaf: ``tasks.1.params = "xb version"``; texts of several lines stay apart, line by line."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _LEFT_OUT:
                yield from _lines(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value, 1):
            yield from _lines(item, f"{path}.{number}")
    elif isinstance(value, str) and "\n" in value:
        yield f"{path} ="
        yield from (f"  {line}" for line in value.splitlines())
    else:
        yield f"{path} = {json.dumps(value, ensure_ascii=False)}"


def plan_lines(plan: Plan) -> list[str]:
    """The plan as lines: the limits and slots first, then each stage under its title."""
    data = plan_to_data(plan)
    groups, cleanup = data.pop("groups"), data.pop("cleanup", [])
    for key in ("placements", "hash", "source", "reason", "version"):
        data.pop(key, None)
    lines = [f"plan {line}" for line in _lines(data, "")]
    for group in groups:
        number = group.pop("number")
        for stage in group.pop("stages", []):
            lines += [f"group {number}: stage {stage['title']}: {line}" for line in _lines(stage, "")]
        lines += [f"group {number}: {line}" for line in _lines(group, "")]
    for stage in cleanup:
        lines += [f"cleanup: stage {stage['title']}: {line}" for line in _lines(stage, "")]
    return lines


def diff(old: Plan, new: Plan, *, old_name: str, new_name: str) -> list[str]:
    """A unified diff of two plans, without context lines; empty when nothing that runs has changed."""
    return list(difflib.unified_diff(plan_lines(old), plan_lines(new), old_name, new_name, n=0, lineterm=""))
