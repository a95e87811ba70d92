"""Which modules run as async jobs, and what that means for the segments, the limits and the lease of a plan."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchhub_ansible.plan.background import ON_THE_CONTROLLER, why_in_place
from benchhub_ansible.plan.model import PlannedStage
from benchhub_ansible.plan.segments import segments, unit_names
from tests.unit.plan.jobs import plan


def stage_with(task: str, *, more: str = "", beside: str = "[other]") -> PlannedStage:
    """The stage with that task, in a group with another one unless told otherwise."""
    made = plan(
        f"""\
secrets: {{PW: {{env: PW}}}}
stages:
  - {{name: it, nodes: loader, {more} tasks: [{{name: t, {task}}}]}}
  - {{name: other, nodes: db, tasks: [{{name: s, shell: "true"}}]}}
pipeline: [[it, {beside.strip("[]")}]]
"""
        if beside
        else f"""\
stages: [{{name: it, nodes: loader, tasks: [{{name: t, {task}}}]}}]
pipeline: [[it]]
"""
    )
    return next(stage for stage in made.stages() if stage.id == "it")


MODULE = "module: {name: ansible.builtin.package, args: {name: wrk}}"


@pytest.mark.parametrize("task", [MODULE, f"{MODULE}, become: true, when: 'true', timeout: 1m, env: {{A: b}}"])
def test_a_module_of_a_parallel_group_runs_in_the_background(task: str) -> None:
    assert stage_with(task).tasks[0].background


def test_a_stage_alone_has_nobody_to_wait_for_it() -> None:
    assert not stage_with(MODULE, beside="").tasks[0].background


@pytest.mark.parametrize(
    ("task", "more", "why"),
    [
        ("role: {name: r}", "", "a role is many tasks"),
        (MODULE, "serial: true,", "its stage takes its slots one after the other"),
        (MODULE, "start: together,", "its stage starts at one instant"),
        (
            "module: {name: community.x.y}",
            "",
            "whether a module of another collection can be an async job is not known",
        ),
        ("module: {name: ansible.builtin.template}", "", "it runs on the controller, at least in part"),
        (f"{MODULE}, retry: 1", "", "only Ansible can try it again"),
        (f"{MODULE}, user: db", "", "it runs as another user, in whose files nobody else may look"),
        (
            "module: {name: ansible.builtin.user, args: {name: a, groups: ['${secrets.PW}']}}",
            "",
            "it is given a secret, which is not to lie in a file on the node",
        ),
        (
            f"{MODULE}, env: {{P: '${{secrets.PW}}'}}",
            "",
            "it is given a secret, which is not to lie in a file on the node",
        ),
    ],
)
def test_what_stays_in_place_and_why(task: str, more: str, why: str) -> None:
    stage = stage_with(task, more=more)
    assert not stage.tasks[0].background
    assert why_in_place(stage, stage.tasks[0]) == why


def test_steps_follow_a_module_in_one_unit() -> None:
    made = plan(
        """\
stages:
  - name: it
    nodes: loader
    tasks:
      - {name: a, shell: "true"}
      - {name: b, module: {name: ansible.builtin.ping}, timeout: 10}
      - {name: c, shell: "true"}
      - {name: d, shell: "true"}
      - {name: e, role: {name: r}, timeout: 100}
      - {name: f, module: {name: ansible.builtin.ping}, timeout: 1000}
  - {name: other, nodes: db, tasks: [{name: s, shell: "true", timeout: 10000}]}
pipeline: [[it, other]]
"""
    )
    it = made.groups[0].stages[0]
    names = [[task.name for task in part] for part in segments(it)]
    assert names == [["a"], ["b", "c", "d"], ["e"], ["f"]]
    assert unit_names(it) == ("it", "it.2", None, "it.3")
    # others may wait for what stands before the last part; then the longest of the last parts counts
    assert made.groups[0].limit == pytest.approx(3 * 3610 + 20 + 110 + 10010)
    assert made.lease == pytest.approx(120 + 110), "only while a role runs nobody speaks to the nodes"


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def test_ansible_agrees_which_of_its_modules_can_be_async() -> None:
    # ansible-core 2.16 calls reboot able, whose action then waits in place all the same
    others = {"async_wrapper", "reboot"}
    names = {path.stem for path in _folder("ansible.modules").glob("[!_]*.py")} - others
    assert {"package", "template", "ping"} <= names
    for name in names:
        action = _folder("ansible.plugins.action") / f"{name}.py"
        if name.startswith(("import_", "include_")) or name == "meta":
            able = False
        elif action.exists() and name != "shell":  # shell leaves all to the action of command
            able = "self._supports_async = True" in action.read_text()
        else:
            able = True
        assert able == (name not in ON_THE_CONTROLLER), name
