"""What a job says reaches the node byte for byte, in every driver and profile, and nothing of it is evaluated."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchhub_ansible.testing.sshd import SshFarm

pytestmark = pytest.mark.real

HOSTILE = [
    """it's "quoted" `and` more""",
    "two\nlines\n\n  and a third\n",
    "$HOME $(id) $$ \\$ $x",
    "back\\slash \\n \\\\ \\",
    "{{ 7 * 7 }} {{ lookup('pipe', 'id') }}",
    "{% if true %}evaluated{% endif %} {# a comment #}",
    "{%raw%}{{x}}{%endraw%} }} %} #} {{",
    "# not a comment",
    "ünïcödé 日本 🦀",
    "-n",
    "--help",
    "- item: [a, {b: c}]",
    "!unsafe {{ x }}",
    " leading and trailing ",
    "a,b=c;d&e|f>g<h*?[i]~",
    "%s %d %%",
    "yes",
    "0x1F",
    "null",
    "docker ps --format '{{.Names}}'",
]

#: What hurts wherever it stands, in two texts: a task that is a module of Ansible takes its time.
JOINED = ["\n".join(HOSTILE[:9]), "\n".join(HOSTILE[11:])]
FEW = [*JOINED, *HOSTILE[9:11], HOSTILE[13], "yes"]

VARIANTS = [
    ("default", "local", [*HOSTILE, *JOINED]),
    ("default", "inventory", FEW),
    ("portable", "local", [*JOINED, "yes"]),  # where every task is a module
    ("portable", "inventory", [*JOINED, "-n", HOSTILE[13]]),
]


def job(texts: list[str]) -> dict[str, Any]:
    """Every text through every driver, a few through modules; each task prints exactly the text it was given."""
    tasks: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        value = text.replace("${", "$${")
        file = f"${{run.dir}}/f{number}"
        tasks += [
            {"name": f"exec {number}", "exec": ["printf", "%s", value]},
            {"name": f"shell {number}", "shell": f"printf %s {shlex.quote(value)}"},
            {"name": f"env {number}", "exec": ["sh", "-c", 'printf %s "$VALUE"'], "env": {"VALUE": value}},
            {"name": f"write {number}", "copy": {"content": value, "dest": file}},
            {"name": f"copy {number}", "exec": ["cat", file]},
        ]
        if text not in FEW:
            continue
        tasks += [
            {
                "name": f"set {number}",
                "module": {"name": "ansible.builtin.copy", "args": {"content": value, "dest": file + "m"}},
            },
            {"name": f"module {number}", "exec": ["cat", file + "m"]},
        ]
    return {
        "version": 2,
        "name": "bytes",
        "nodes": {"db": {"type": "database"}},
        "stages": [{"name": "all", "nodes": {"type": "database"}, "tasks": tasks}],
        "pipeline": [["all"]],
    }


@pytest.mark.parametrize(("profile", "where", "texts"), VARIANTS)
def test_texts_arrive_as_they_stand(benchhub: Any, tmp_path: Path, profile: str, where: str, texts: list[str]) -> None:
    file = benchhub.folder / "job.yml"
    file.write_text(yaml.safe_dump(job(texts), allow_unicode=True))
    if where == "local":
        done = benchhub.call("run", file, "--profile", profile)
    else:
        with SshFarm(tmp_path / "farm", 1) as farm:
            done = benchhub.call("run", file, "--profile", profile, "--on", f"inventory:{farm.inventory}")
    assert done.returncode == 0, done.stdout
    (stage,) = benchhub.result()["stages"]
    seen = 0
    for step in stage["steps"]:
        driver, number = step["name"].split()
        if driver in {"exec", "shell", "env", "copy", "module"} and step["stdout"] is not None:
            output = (benchhub.run_folder() / step["stdout"]).read_bytes()
            assert output == texts[int(number)].encode(), f"{driver} of text {number}"
            seen += 1
    assert seen == 4 * len(texts) + len(set(texts) & set(FEW))


def test_what_a_node_prints_is_never_evaluated(benchhub: Any) -> None:
    file = benchhub.folder / "job.yml"
    evil = "{{ lookup('pipe', 'touch evaluated') }} {% set x = 1 %} \x1b[31m${run.id}"
    description = {
        "version": 2,
        "name": "evil output",
        "nodes": {"db": {"type": "database"}},
        "stages": [
            {
                "name": "print",
                "nodes": "db",
                "tasks": [
                    {
                        "name": "evil",
                        "exec": ["sh", "-c", 'printf %s "$E" >&2; printf %s "$E"; exit 3'],
                        "env": {"E": evil},
                    }
                ],
            }
        ],
        "pipeline": [["print"]],
    }
    file.write_text(yaml.safe_dump(description))
    done = benchhub.call("run", file)
    assert done.returncode == 1, done.stdout
    assert "\x1b[31m" not in done.stdout
    assert "\x1b[31m" not in (benchhub.run_folder() / "report.md").read_text()
    assert not list(benchhub.folder.rglob("evaluated"))
