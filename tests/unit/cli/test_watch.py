from __future__ import annotations

import io
from typing import Any

from benchhub_ansible.cli.watch import PlainWatch


def failed(task: str, msg: str, **hosts: str) -> dict[str, Any]:
    states = {slot.replace("_", "-"): {"status": status} for slot, status in hosts.items()}
    return {"event": "action", "t": 1.0, "task": task, "msg": msg, "failed": True, "hosts": states}


def test_a_node_that_cannot_be_reached_is_told_once() -> None:
    stream = io.StringIO()
    watch = PlainWatch(stream)
    watch.event(failed("Prepare", "db: cannot be reached: x", db="unreachable", loader_1="ok"))
    watch.event(failed("Stop", "db: cannot be reached: y", db="unreachable"))
    watch.event(failed("Collect", "db: cannot be reached: z\nloader-1: refused", db="unreachable", loader_1="failed"))
    watch.event(
        {"event": "ansible-task", "t": 1.0, "task": "Module", "host": "h", "status": "unreachable", "msg": "no"}
    )
    watch.event({"event": "ansible-task", "t": 1.0, "task": "Again", "host": "h", "status": "unreachable", "msg": "no"})
    watch.event({"event": "ansible-task", "t": 1.0, "task": "Other", "host": "h", "status": "failed", "msg": "broke"})
    lines = [line[line.index("failed:") :] for line in stream.getvalue().splitlines()]
    assert lines == [
        "failed: Prepare: db: cannot be reached: x",
        "failed: Collect: loader-1: refused",
        "failed: Module: no",
        "failed: Other: broke",
    ]
