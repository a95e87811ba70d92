"""ansible-runner's events as the journal's: stages begin and end once, failures land on the right stage."""

from __future__ import annotations

from typing import Any

import pytest

from benchhub_ansible.execution.events import Translator
from benchhub_ansible.job.load import load_job
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.source import Source

_JOB = """\
version: 2
name: j
nodes: {db: {type: database}, loader: {type: loader, count: 2}}
stages:
  - {name: one, nodes: {type: database}, tasks: [{shell: "true"}]}
  - {name: two, nodes: {type: loader}, tasks: [{shell: "true"}]}
  - {name: three, nodes: {type: loader}, tasks: [{shell: "true"}]}
  - {name: clean, nodes: {type: database}, tasks: [{shell: "true"}]}
pipeline: [[one, two], [three]]
cleanup: [clean]
"""


class Launch:
    """Feeds a Translator as ansible-runner does and keeps what it writes."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.teardowns = 0
        self.beginnings = 0
        plan = make_plan(load_job(Source(name="job.yml", text=_JOB)).job)
        self.translator = Translator(
            plan, self._write, on_notice=self.notices.append, on_stages=self._stages, on_teardown=self._teardown
        )

    def _write(self, event: str, /, **fields: Any) -> None:
        self.written.append({"event": event, **fields})

    def _stages(self) -> None:
        self.beginnings += 1

    def _teardown(self) -> None:
        self.teardowns += 1

    def play(self, name: str, *, hosts: bool = True) -> None:
        data = {"name": name, "playbook": "site.yml"}
        self.translator.feed({"event": "playbook_on_play_start", "event_data": data})
        if hosts:
            self.translator.feed({"event": "playbook_on_task_start", "event_data": {}})

    def result(self, kind: str, play: str, task: str = "t", **data: Any) -> None:
        data = {"play": play, "task": task, "playbook": "/r/project/site.yml", **data}
        self.translator.feed({"event": f"runner_on_{kind}", "event_data": data})

    def action(self, kind: str, play: str, op: str, **hosts: Any) -> None:
        told = {"version": 1, "op": op, "hosts": hosts}
        self.result(kind, play, res={"msg": "m", "benchhub": told})

    def stages(self) -> list[tuple[str, ...]]:
        return [
            (e["event"].removeprefix("stage-"), e["stage"], *([e["status"]] if "status" in e else []))
            for e in self.written
            if e["event"].startswith("stage-")
        ]


@pytest.fixture
def launch() -> Launch:
    return Launch()


def _unit(name: str, state: str) -> dict[str, Any]:
    return {"status": "ok" if state == "ok" else "failed", "units": {name: {"state": state}}}


def test_stages_of_a_group_end_when_the_next_group_begins(launch: Launch) -> None:
    launch.play("One")
    launch.play("Two")
    launch.play("Group 1 | wait for one, two")
    launch.action("ok", "Group 1 | wait for one, two", "join", db=_unit("one", "ok"))
    launch.play("Three")
    launch.translator.feed({"event": "playbook_on_stats", "event_data": {}})
    assert launch.stages() == [
        ("begin", "one"), ("begin", "two"), ("end", "one", "ok"), ("end", "two", "ok"),
        ("begin", "three"), ("end", "three", "ok"),
    ]  # fmt: skip
    assert launch.written[0]["slots"] == ["db"]
    assert launch.translator.stats
    assert launch.translator.failures == 0


def test_a_failed_join_marks_the_stage_whose_unit_failed(launch: Launch) -> None:
    launch.play("One")
    launch.play("Two")
    join = "Group 1 | wait for one, two"
    launch.play(join)
    hosts = {"db": _unit("one", "ok"), "loader-1": _unit("two", "failed"), "loader-2": _unit("two", "ok")}
    launch.action("failed", join, "join", **hosts)
    launch.play("Three", hosts=False)
    assert launch.stages()[2:] == [("end", "one", "ok"), ("end", "two", "failed")]
    assert launch.translator.failures == 1
    (action,) = [e for e in launch.written if e["event"] == "action"]
    assert (action["failed"], action["op"], action["playbook"]) == (True, "join", "site.yml")
    assert action["unit"] is None, "it tells of two units"


def test_a_play_whose_hosts_have_all_failed_is_no_stage_that_ran(launch: Launch) -> None:
    launch.play("One", hosts=False)
    assert launch.stages() == []


def test_teardown_is_told_once_and_ends_the_stages(launch: Launch) -> None:
    launch.play("Three")
    launch.play("Clean")
    launch.action("failed", "Clean", "start", db=_unit("clean", "failed"))
    launch.play("Teardown | collect and remove")
    launch.action(
        "failed", "Teardown | collect and remove", "finish", db={"status": "ok"}, loader={"status": "unreachable"}
    )
    translator = launch.translator
    assert launch.stages()[1:] == [("end", "three", "ok"), ("begin", "clean"), ("end", "clean", "failed")]
    assert launch.teardowns == 1
    assert (translator.failures, translator.cleanup_failures) == (0, 1)
    assert translator.finish_failed == {"loader"}
    assert translator.unreachable == set(), "a node that is lost in teardown has not failed the benchmark"


def test_a_cancelled_launch_leaves_stages_interrupted(launch: Launch) -> None:
    launch.play("Three")
    launch.translator.end()
    assert launch.stages() == [("begin", "three"), ("end", "three", "interrupted")]
    assert not launch.translator.stats


def test_what_ansible_runs_itself_is_told_as_such(launch: Launch) -> None:
    launch.play("One")
    launch.result(
        "ok", "One", "One | ping", host="db", res={"rc": 0}, duration=0.5, task_path="/r/project/stages/01.yml:7"
    )
    launch.result("failed", "One", "One | apt", host="db", res={"msg": "no such package", "stderr": "E: x", "rc": 100})
    launch.result("unreachable", "One", "One | apt", host="db", res={"msg": "timed out"})
    ok, failed, unreachable = (e for e in launch.written if e["event"] == "ansible-task")
    assert (ok["status"], ok["stage"], ok["path"], ok["msg"]) == ("ok", "one", "stages/01.yml:7", None)
    assert (failed["status"], failed["msg"], failed["rc"]) == ("failed", "no such package\nE: x", 100)
    assert unreachable["status"] == "unreachable"
    assert launch.translator.unreachable == {"db"}
    assert launch.translator.failures == 2


def test_an_ignored_failure_fails_nothing(launch: Launch) -> None:
    launch.play("One")
    launch.result("failed", "One", host="db", res={"msg": "x"}, ignore_errors=True)
    launch.translator.feed({"event": "playbook_on_stats", "event_data": {}})
    assert launch.translator.failures == 0
    assert launch.stages()[-1] == ("end", "one", "ok")


def test_notices_of_our_actions_and_ansibles_last_words(launch: Launch) -> None:
    launch.translator.feed({"event": "verbose", "stdout": "benchhub: load: still waiting on loader-1"})
    launch.translator.feed({"event": "verbose", "stdout": "\x1b[0;31mERROR! no such file\x1b[0m"})
    launch.translator.feed({"event": "verbose", "stdout": ""})
    assert launch.notices == ["load: still waiting on loader-1"]
    assert launch.translator.last_lines == ["ERROR! no such file"]


def test_nonsense_from_a_node_is_data(launch: Launch) -> None:
    launch.play("One")
    launch.result("ok", "One", res={"benchhub": {"op": "join", "hosts": {"db": None, "x": {"units": ["a"]}}}})
    launch.result("ok", "One", res={"benchhub": "text"}, host="db")
    launch.translator.feed({"event": None})
    assert [e["event"] for e in launch.written] == ["stage-begin", "action", "ansible-task"]


def test_the_time_of_the_stages_begins_with_the_first_of_them(launch: Launch) -> None:
    launch.play("Prepare")
    assert launch.beginnings == 0
    launch.play("One")
    launch.play("Two")
    launch.play("Teardown")
    assert launch.beginnings == 1


def test_a_teardown_alone_has_no_stages(launch: Launch) -> None:
    launch.play("Teardown")
    launch.play("Tidy")
    assert launch.beginnings == 0


def test_the_error_of_ansible_is_not_pushed_out_by_the_help_that_follows(launch: Launch) -> None:
    for line in (
        "[WARNING]: x",
        "ansible-playbook: error: unrecognized arguments: --nonsense",
        *(f"-{n}" for n in range(40)),
    ):
        launch.translator.feed({"event": "verbose", "stdout": line})
    assert launch.translator.last_lines[0] == "ansible-playbook: error: unrecognized arguments: --nonsense"
    assert len(launch.translator.last_lines) == 5
