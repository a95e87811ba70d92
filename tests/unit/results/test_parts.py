from __future__ import annotations

from typing import Any

import pytest

from benchhub_ansible.plan.model import PlannedStage, PlannedTask
from benchhub_ansible.results import fields
from benchhub_ansible.results.failures import command_text
from benchhub_ansible.results.model import Clock
from benchhub_ansible.results.units import Unit, output_name, stage_units, steps_of_tasks
from benchhub_ansible.source import Span

SPAN = Span(line=1, column=1)


def task(number: int, driver: str = "shell", *, params: Any = "true", service: str | None = None) -> PlannedTask:
    return PlannedTask(
        id=f"s.{number:02}",
        name=f"task {number}",
        driver=driver,
        params=params,
        long=service is not None,
        service=service,
        timeout=1.0,
        grace=1.0,
        span=SPAN,
    )


def test_units_of_a_stage() -> None:
    tasks = (task(1), task(2, "copy"), task(3, service="db"), task(4), task(5, "role"), task(6, "exec"))
    stage = PlannedStage(id="s", name="s", title="s", slots=("a",), hosts=("a",), tasks=tasks, span=SPAN)
    assert [(unit.name, [t.id for t in unit.tasks], unit.service) for unit in stage_units(stage)] == [
        ("s", ["s.01", "s.02"], False),
        ("db", ["s.03"], True),
        ("s.2", ["s.04"], False),
        ("s.3", ["s.06"], False),
    ]


def test_a_driver_may_make_several_steps_of_a_task() -> None:
    unit = Unit(name="s", tasks=(task(1), task(2)), service=False)
    names = ["task 1", "task 1", "task 2", "more of it"]
    found = steps_of_tasks(unit, {"steps": [{"name": name, "state": "ok"} for name in names]})
    assert {key: [step.name for step in steps] for key, steps in found.items()} == {
        "s.01": ["task 1", "task 1"],
        "s.02": ["task 2", "more of it"],
    }
    assert steps_of_tasks(Unit(name="s", tasks=(), service=False), {"steps": [{}]}) == {}


@pytest.mark.parametrize("name", ["../x.out", "/etc/passwd", "", "a/b.out", "01.sh", 3, None, "..", "01.out\n"])
def test_a_node_does_not_choose_which_file_we_read(name: Any) -> None:
    assert output_name(name, "01.out") == "01.out"
    assert output_name("07.err", "01.out") == "07.err"


@pytest.mark.parametrize(
    ("driver", "params", "text"),
    [
        ("shell", "echo ${secrets.A}", "echo ${secrets.A}"),
        ("exec", ("printf", "%s", "a b"), "printf %s 'a b'"),
        ("shell", {"shell": "ls"}, "ls"),
        ("docker", {"run": ("redis:7", "x")}, "redis:7 x"),
        ("copy", {"src": "a", "dest": "b"}, "copy: src: a, dest: b"),
        ("odd", 5, "odd: 5"),
    ],
)
def test_command_text(driver: str, params: Any, text: str) -> None:
    assert command_text(task(1, driver, params=params)) == text


@pytest.mark.parametrize(
    ("offset", "uncertainty", "time"),
    [(None, None, 10.0), (0.5, 0.1, 9.5), (0.05, 0.1, 10.0), (-0.5, 0.1, 10.5), (0.5, None, 9.5)],
)
def test_an_offset_counts_only_beyond_its_uncertainty(offset: float, uncertainty: float, time: float) -> None:
    clock = Clock(offset=offset, uncertainty=uncertainty)
    assert clock.corrected(10.0) == time
    assert clock.corrected(None) is None


def test_fields_take_only_what_fits() -> None:
    assert [fields.number(value) for value in (1, 1.5, True, "1", None, float("nan"), 10**400)] == [1, 1.5, *[None] * 5]
    assert [fields.integer(value) for value in (1, True, 1.0, 2**70)] == [1, None, None, None]
    assert fields.text("x" * 9999) == "x" * fields.TEXT_LIMIT
    assert fields.text("\ud800") == "?"
    assert fields.flag("true") is None
    assert fields.lines("a\nb") == ("a", "b")
    assert len(fields.lines(["x"] * 999)) == fields.LINES_LIMIT
    facts = {"a": 1, "b": [1], "c": None, "d": 1.5, "e": True, "f": float("inf"), "g": "x"}
    assert fields.scalars(facts) == {"a": 1, "b": "[1]", "c": None, "d": 1.5, "e": True, "f": None, "g": "x"}
