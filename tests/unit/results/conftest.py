"""Builds run folders as the controller and the supervisor leave them, in every state a run can be in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.job.model import Check, Metric, NodeRequest
from benchhub_ansible.plan.data import plan_to_data
from benchhub_ansible.plan.model import Iteration, Plan, PlannedGroup, PlannedStage, PlannedTask, Slot
from benchhub_ansible.source import Span

T0 = 1_795_000_000.0
RUN_ID = "20261123-193012-kv-7f3a"
SPAN = Span(line=7, column=3)

TPS = Metric(name="tps", unit="tx/s", better="higher", regex=r"tps = ([0-9.]+)", aggregate="sum", span=SPAN)
LATENCY = Metric(
    name="latency", unit="ms", better="lower", regex=r"latency average = ([0-9.]+) ms", required=False, span=SPAN
)
PGBENCH = b"transaction type: TPC-B\nlatency average = 0.8 ms\ntps = %s (without initial connection time)\n"


def task(stage: str, number: int, name: str, **given: Any) -> PlannedTask:
    defaults: dict[str, Any] = {
        "driver": "shell",
        "params": f"run {name}",
        "long": False,
        "timeout": 60.0,
        "grace": 5.0,
        "span": Span(line=10 + number, column=7),
    }
    return PlannedTask(id=f"{stage}.{number:02}", name=name, **{**defaults, **given})


def make_plan(
    *, metrics: tuple[Metric, ...] = (TPS, LATENCY), repetitions: int = 1, warmups: int = 0, **load: Any
) -> Plan:
    """Install (2 loaders) | start db (a service) | load, together, on both loaders, repeated | cleanup on db."""
    install = PlannedStage(
        id="install",
        name="install",
        title="install",
        slots=("loader-1", "loader-2"),
        hosts=("loader",),
        tasks=(task("install", 1, "fetch kv"), task("install", 2, "kv version")),
        span=Span(line=9, column=5),
    )
    server = task(
        "start",
        1,
        "server",
        long=True,
        service="server",
        params="kv serve --password ${secrets.PW}",
        ready=Check(kind="tcp", target="localhost:1", span=SPAN),
    )
    start = PlannedStage(
        id="start",
        name="start",
        title="start",
        slots=("db",),
        hosts=("database",),
        tasks=(server,),
        span=Span(line=20, column=5),
    )
    groups = [PlannedGroup(number=1, stages=(install,)), PlannedGroup(number=2, stages=(start,))]
    for turn in range(repetitions + warmups):
        warmup = turn < warmups
        many = repetitions + warmups > 1
        stage = f"load-r{turn + 1}" if many else "load"
        turns: dict[str, Any] = {"repetition": turn + 1, "repetitions": repetitions, "warmup": warmup}
        groups.append(
            PlannedGroup(
                number=3 + turn,
                stages=(
                    PlannedStage(
                        id=stage,
                        name="load",
                        title=f"load ({turn + 1})" if many else "load",
                        slots=("loader-1", "loader-2"),
                        hosts=("loader",),
                        together=True,
                        span=Span(line=30, column=5),
                        iteration=Iteration(values={"threads": "8"}, **turns) if many else None,
                        tasks=(task(stage, 1, "bench", metrics=metrics, **load),),
                    ),
                ),
            )
        )
    tidy = PlannedStage(
        id="tidy",
        name="tidy",
        title="tidy",
        slots=("db",),
        hosts=("database",),
        tasks=(task("tidy", 1, "drop"),),
        span=Span(line=40, column=5),
    )
    loaders = tuple(Slot(name=f"loader-{n + 1}", node="loader", type="loader", index=n) for n in range(2))
    return Plan(
        job="kv-bench",
        source="kv.yml",
        reason="ci",
        workload="kv",
        database="kv",
        central="db",
        requests=(NodeRequest(name="db", type="database", span=SPAN),),
        slots=(Slot(name="db", node="db", type="database", index=0), *loaders),
        groups=tuple(groups),
        cleanup=(tidy,),
        limit=600.0,
        teardown_limit=60.0,
        lease=60.0,
        hash="c0ffee",
    )


def unit_status(plan_tasks: int, start: float, *, failed: int | None = None, **given: Any) -> dict[str, Any]:
    """The status of a steps unit; step ``failed`` (from 1) ended with exit code 3 and the rest did not run."""
    steps = []
    for number in range(1, plan_tasks + 1):
        state = "ok" if failed is None or number < failed else "failed" if number == failed else "not-run"
        step: dict[str, Any] = {"index": number, "state": state, "attempts": 1}
        step |= {"stdout": f"{number:02}.out", "stderr": f"{number:02}.err"}
        if state != "not-run":
            step |= {"start": start + number - 1, "end": start + number, "rc": 3 if state == "failed" else 0}
        if state == "failed":
            step["tail"] = ["connecting", "refused"]
        steps.append(step)
    state = "ok" if failed is None else "failed"
    return {
        "kind": "steps",
        "state": state,
        "start": start,
        "end": start + plan_tasks,
        "ours_cpu": 0.002,
        "steps": steps,
        **given,
    }


class Run:
    """A run folder in the making."""

    def __init__(self, path: Path, plan: Plan | None = None) -> None:
        self.path = path
        self.plan = plan or make_plan()
        self.time = T0
        path.mkdir(parents=True)
        (path / "plan.json").write_text(json.dumps(plan_to_data(self.plan)))
        self.event(
            "run-begin",
            run_id=path.name,
            job="kv-bench",
            plan_hash="c0ffee",
            where="inventory:lab.yml",
            versions={"benchhub": "0.1.0", "ansible_core": "2.19.0"},
        )

    def event(self, name: str, **given: Any) -> None:
        line = json.dumps({"v": 1, "t": self.time, "event": name, **given})
        with (self.path / "journal.jsonl").open("a") as stream:
            stream.write(line + "\n")

    def acquire(self) -> None:
        nodes = [
            {"slot": slot.name, "host": f"h{n}", "address": f"10.0.0.{n}"} for n, slot in enumerate(self.plan.slots)
        ]
        self.event("acquired", allocation={"id": "a", "scheduler": "inventory", "nodes": nodes})
        clock = {"offset": 0.5, "uncertainty": 0.001}
        self.event(
            "action",
            op="prepare",
            failed=False,
            hosts={
                "db": {
                    "status": "ok",
                    "facts": {"cores": 4, "os": "Debian"},
                    "clock": {"offset": 0, "uncertainty": 0.001},
                },
                "loader-1": {"status": "ok", "facts": {"cores": 2}, "clock": clock},
                "loader-2": {"status": "ok", "clock": {"offset": 0.0002, "uncertainty": 0.002}},
            },
        )

    def collect(
        self, slot: str, unit: str, status: Mapping[str, Any], outputs: Mapping[str, bytes] | None = None
    ) -> None:
        folder = self.path / "collected" / slot / "units" / unit
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status.json").write_text(json.dumps({"unit": unit, **status}))
        for name, content in (outputs or {}).items():
            (folder / name).write_bytes(content)

    def stage(self, stage: str, status: str | None = "ok", *, at: float | None = None, took: float = 2.0) -> None:
        self.time = T0 + at if at is not None else self.time + 1
        self.event("stage-begin", stage=stage)
        if status is not None:
            self.time += took
            self.event("stage-end", stage=stage, status=status)

    def install(self) -> None:
        self.stage("install", at=10)
        for slot, offset in (("loader-1", 0.5), ("loader-2", 0.0)):
            self.collect(slot, "install", unit_status(2, T0 + 10 + offset), {"01.out": b"ok\n", "02.out": b"kv 1.0\n"})

    def service(self, **given: Any) -> None:
        self.stage("start", at=15)
        status = {
            "kind": "service",
            "state": "stopped",
            "start": T0 + 15,
            "end": T0 + 60,
            "exit": 0,
            "told": True,
            "ready": {"elapsed": 0.75},
        }
        self.collect("db", "server", {**status, **given}, {"01.out": b"listening\nbye\n"})

    def load(
        self, stage: str = "load", *, at: float = 20, outputs: tuple[bytes, bytes] = (b"1000.5", b"900"), **unit: Any
    ) -> None:
        self.stage(stage, at=at)
        for number, offset in ((1, 0.5), (2, 0.0)):
            start = T0 + at + offset
            together = {"target": start, "started": start + 0.001 * number, "late": 0.001 * number}
            status = unit_status(1, start + 0.001 * number, together=together, **unit)
            self.collect(f"loader-{number}", stage, status, {"01.out": PGBENCH % outputs[number - 1]})

    def end(self, status: str | None = "success", **given: Any) -> None:
        self.time = T0 + 70
        self.event("teardown-begin")
        self.collect("db", "tidy", unit_status(1, T0 + 65))
        self.event("teardown-end")
        self.event("released")
        if status:
            self.event("run-end", status=status, **given)

    def whole(self) -> Run:
        """A run that went well from begin to end."""
        self.acquire()
        self.install()
        self.service()
        self.load()
        self.end()
        return self


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    def make(plan: Plan | None = None, *, name: str = RUN_ID) -> Run:
        return Run(tmp_path / "runs" / name, plan)

    return make
