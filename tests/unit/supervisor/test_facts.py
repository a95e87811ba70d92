"""Facts of this machine, read as a node reads them."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest

SUPERVISOR = Path(__file__).parents[3] / "collections/ansible_collections/benchhub/bench/plugins/module_utils"
WORKING = 'print("up", flush=True)\nwhile True: pass'


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(SUPERVISOR))
    for name in ("supervisor", "supervisor.busy", "supervisor.processes", "supervisor.facts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("supervisor.facts")
    for name in [name for name in sys.modules if name.split(".")[0] == "supervisor"]:
        del sys.modules[name]


@contextlib.contextmanager
def at_work(**environment: str) -> Iterator[int]:
    """A process that has used a fifth of a second of CPU and goes on."""
    with subprocess.Popen([sys.executable, "-c", WORKING], stdout=subprocess.PIPE, env=environment) as process:
        try:
            deadline = time.monotonic() + 120
            while sum(psutil.Process(process.pid).cpu_times()[:2]) < 0.2:
                assert time.monotonic() < deadline, "it gets no CPU"
                time.sleep(0.05)
            yield process.pid
        finally:
            process.kill()


def test_what_is_known_of_this_machine(supervisor: ModuleType) -> None:
    facts = supervisor.read()
    assert facts["cores"] >= 1
    assert facts["memory"] == psutil.virtual_memory().total
    assert facts["load"] >= 0
    assert facts["numa_nodes"] is None or facts["numa_nodes"] >= 1
    assert facts["virtualization"] is None or facts["virtualization"].startswith(("none", "container", "virtual"))
    assert {"cpu", "governor", "clocksource", "kernel", "busy"} <= facts.keys()


def test_lists_of_the_kernel_are_counted(supervisor: ModuleType) -> None:
    counted = [supervisor._count(text) for text in ("0", "0-3", "0-1,4,8-9", None, "none")]
    assert counted == [1, 4, 5, None, None]


def test_a_foreign_process_at_work_is_named_and_ours_is_not(
    supervisor: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor.busy, "_LOAD", -1.0)
    monkeypatch.setattr(supervisor.busy, "_SHOWN", 1000)
    monkeypatch.setattr(supervisor.busy, "_LONG", 0.1)
    with at_work() as foreign, at_work(BENCHHUB_UNIT="run/db/work") as ours:
        said = supervisor.busy.others() or ""
    assert f"({foreign})" in said
    assert f"({ours})" not in said


def test_a_quiet_node_is_not_searched(supervisor: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor.busy, "_LOAD", 1e9)
    monkeypatch.setattr(supervisor.busy, "_at_work", lambda: pytest.fail("it was"))
    assert supervisor.busy.others() is None
