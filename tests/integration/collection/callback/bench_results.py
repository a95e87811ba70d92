"""Callback of the tests: writes every result of every task as a line of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: bench_results
type: notification
short_description: Results as JSON lines
description: Writes every result of every task as a line of JSON.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Appends to the file that BENCHHUB_TEST_RESULTS names."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "bench_results"
    CALLBACK_NEEDS_ENABLED = True

    def _keep(self, result: Any, *_args: Any, **_options: Any) -> None:
        task = getattr(result, "task", None) or result._task
        data = getattr(result, "result", None) or result._result
        line = json.dumps({"task": task.get_name().split(" : ")[-1], "result": data}, default=str)
        with Path(os.environ["BENCHHUB_TEST_RESULTS"]).open("a") as file:
            file.write(line + "\n")

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_on_unreachable = _keep
