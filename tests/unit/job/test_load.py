"""What the two notations mean, form by form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from benchhub_ansible.cli.convert import convert
from benchhub_ansible.cli.init import init, job_text
from benchhub_ansible.cli.schema import schema
from benchhub_ansible.cli.validate import validate
from benchhub_ansible.errors import JobError, UsageError
from benchhub_ansible.job.load import load_file, load_job
from benchhub_ansible.job.model import Job, Task
from benchhub_ansible.source import Source
from tests.unit.job.equality import assert_same

DOCS = Path(__file__).parents[3] / "docs" / "reference"


def load(text: str, name: str = "a.yml") -> Job:
    return load_job(Source(name=name, text=text)).job


def brace_task(text: str) -> Task:
    stage = f"stage {{\nname a\nnodes all\ntask {{\n{text}\n}}\n}}"
    return load(f"name x\nnodes {{ n {{ type = t }} }}\n{stage}\npipeline = [[a]]", "a.job").stages[0].tasks[0]


def yaml_task(text: str) -> Task:
    return (
        load(
            f"name: x\nnodes: {{n: {{type: t}}}}\nstages:\n- name: a\n  nodes: all\n  tasks: [{text}]\npipeline: [[a]]"
        )
        .stages[0]
        .tasks[0]
    )


def test_the_example_of_the_brace_notation_page() -> None:
    page = (DOCS / "brace-notation.md").read_text(encoding="utf-8")
    job = load(page, "brace-notation.md")
    assert [node.count for node in job.nodes] == [1, 2]
    assert job.stages[1].tasks[0].params["text"].endswith("echo size=$(wc -c < page)")
    assert job.stages[0].tasks[0].long


@pytest.mark.parametrize(
    ("brace", "driver", "params"),
    [
        ("docker pull x", "shell", {"text": "docker pull x", "executable": None}),
        ("driver docker\ndocker start i n\ntype finish", "docker", {"run": "i", "name": "n"}),
        ("driver docker\ndocker stop n", "docker", {"stop": "n"}),
        ("driver docker\ndocker pull n", "docker", {"pull": "n"}),
        ("driver docker\ndocker build -t kdb .", "docker", {"build": ".", "tag": "kdb"}),
        ("driver docker\ndocker build -f F --tag 'k d' x", "docker", {"build": "x", "file": "F", "tag": "k d"}),
        ("driver exec\na 'b c' -d", "exec", {"argv": ("a", "b c", "-d")}),
        ("driver exec\na \\\n  'b c'", "exec", {"argv": ("a", "b c")}),
        ("exec = [a, b c]", "exec", {"argv": ("a", "b c")}),
        ("exec ./a", "shell", {"text": "exec ./a", "executable": None}),
        ("shell timeout 5 x", "shell", {"text": "timeout 5 x", "executable": None}),
        ("a \\\n  b", "shell", {"text": "a \\\n  b", "executable": None}),
        ("[ -f x ] # y", "shell", {"text": "[ -f x ] # y", "executable": None}),
        ("docker ps --format '{{.Names}}'", "shell", {"text": "docker ps --format '{{.Names}}'", "executable": None}),
        ("<<E\n  a\n b\n E", "shell", {"text": " a\nb\n", "executable": None}),
        ("shell <<E\na\nE\nexecutable /bin/bash", "shell", {"text": "a\n", "executable": "/bin/bash"}),
        ('shell "a\\tb"', "shell", {"text": "a\tb", "executable": None}),
        ("fetch { src = /x }", "fetch", {"src": "/x"}),
        (
            "module { name = a.b.c args { x = 1 y = [true, null] } }",
            "module",
            {"name": "a.b.c", "args": {"x": 1, "y": [True, None]}},
        ),
    ],
)
def test_commands_of_the_brace_notation(brace: str, driver: str, params: Any) -> None:
    task = brace_task(brace)
    assert (task.driver, task.params) == (driver, params)


def test_inline_blocks() -> None:
    task = brace_task("sleep 9\ntype long\nready { tcp localhost:1 timeout 2m }\nshutdown { docker stop '{{x}}' }")
    assert task.ready is not None
    assert (task.ready.target, task.ready.timeout) == ("localhost:1", 120.0)
    assert task.shutdown is not None
    assert task.shutdown.params["text"] == "docker stop '{{x}}'"


def test_a_command_of_shutdown_belongs_to_docker_or_to_the_shell() -> None:
    start = "driver docker\ndocker start i n\ntype long\nready { file /x }\n"
    docker = brace_task(start + "shutdown {\ndocker stop n\n}").shutdown
    shell = brace_task(start + "shutdown {\nkill 1\n}").shutdown
    assert docker is not None
    assert shell is not None
    assert (docker.driver, docker.params) == ("docker", {"stop": "n"})
    assert shell.driver == "shell"


@pytest.mark.parametrize(
    ("yaml", "name"),
    [
        ("{shell: 'curl -f x y'}", "curl -f x"),
        ("{shell: 'xb --t=${node.name}'}", "xb"),
        ("{shell: '${node.name}'}", "shell"),
        ("{docker: {run: i, name: c}}", "c"),
        ("{docker: {pull: i}}", "docker pull i"),
        ("{role: {name: r}}", "role r"),
    ],
)
def test_names_of_tasks_that_have_none(yaml: str, name: str) -> None:
    assert yaml_task(yaml).name == name


def test_booleans_and_numbers_of_yaml() -> None:
    task = yaml_task("{module: {name: a.b.c, args: {x: yes, y: 1.5}}, become: yes, env: {A: 3.11, B: true, C: 5}}")
    assert task.become
    assert task.env == {"A": "3.11", "B": "true", "C": "5"}
    assert task.params["args"]["x"] is True


def test_aliases_and_merge_keys() -> None:
    job = load(
        "name: x\nvars: &v {a: b}\nnodes: {m: {type: t}}\nstages:\n"
        "- &s {name: a, nodes: m, tasks: [{shell: date, env: {<<: *v, c: d}}]}\n"
        "- {<<: [*s], name: b}\npipeline: [[a, b]]"
    )
    assert job.stages[1].tasks[0].env == {"c": "d", "a": "b"}


def test_nodes_are_implied_by_types() -> None:
    job = load("name: x\nstages:\n- {name: a, nodes: {type: [t, u]}, tasks: [{shell: date}]}\npipeline: [[a]]")
    assert [(node.name, node.type, node.count) for node in job.nodes] == [("t", "t", 1), ("u", "u", 1)]


def test_warnings_do_not_stop_a_job() -> None:
    loaded = load_job(
        Source(
            name="a.yml",
            text="name: x\nstages:\n- {name: a, nodes: t, tasks: [{shell: sleep 9, type: long}]}\npipeline: [[a]]",
        )
    )
    assert [item.code for item in loaded.warnings] == ["long-without-ready"]


def test_the_schema_is_a_schema_and_explains_everything() -> None:
    data = json.loads(CliRunner().invoke(schema, ["job"]).output)
    Draft202012Validator.check_schema(data)
    for name, definition in [("job", data), *data["$defs"].items()]:
        assert definition["title"], name
        assert definition["description"], name
        for key, value in definition.get("properties", {}).items():
            target = data["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert value.get("description") or target["description"], f"{name}.{key}"


def test_every_code_of_the_corpus_is_documented() -> None:
    page = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
    broken = Path(__file__).parents[2] / "golden" / "broken"
    for expected in broken.glob("*/expected.txt"):
        for code in re.findall(r": (?:error|warning)\[([a-z-]+)\]", expected.read_text(encoding="utf-8")):
            assert f"| `{code}` |" in page


def test_init_validate_convert(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(init, [str(tmp_path / "new")]).exit_code == 0
    path = tmp_path / "new" / "job.yml"
    assert path.read_text(encoding="utf-8") == job_text()
    assert isinstance(runner.invoke(init, [str(tmp_path / "new")]).exception, UsageError)
    assert "valid (first-benchmark: 3 stages, 3 nodes)" in runner.invoke(validate, [str(path)]).output
    assert json.loads(runner.invoke(validate, ["--json", "-"], input=job_text()).output) == {
        "valid": True,
        "findings": [],
    }
    assert runner.invoke(convert, [str(path), "-o", str(tmp_path / "new.job")]).exit_code == 0
    assert_same(load_file(path).job, load_file(tmp_path / "new.job").job)
    assert runner.invoke(convert, [str(tmp_path / "new.job")]).output.startswith("# yaml-language-server")
    assert isinstance(runner.invoke(convert, [str(path), "-o", str(tmp_path / "no" / "x")]).exception, UsageError)


def test_validate_tells_machines_and_ends_with_3(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("name: x\n", encoding="utf-8")
    result = CliRunner().invoke(validate, ["--json", str(path)])
    assert result.exit_code == 3
    assert {item["code"] for item in json.loads(result.output)["findings"]} == {"missing-key"}
    assert isinstance(CliRunner().invoke(validate, [str(path)]).exception, JobError)
