from __future__ import annotations

from typing import Any

import pytest

from benchhub_ansible import registry
from benchhub_ansible.drivers import base
from benchhub_ansible.errors import PluginError

STEPS = [
    ("shell", "ls", {"shell": "ls"}),
    ("shell", {"text": "ls", "executable": None}, {"shell": "ls"}),
    ("shell", {"text": "ls", "executable": "/bin/bash"}, {"shell": "ls", "executable": "/bin/bash"}),
    ("exec", ("a", "-b"), {"argv": ["a", "-b"]}),
    ("exec", {"argv": ("a", "")}, {"argv": ["a", ""]}),
    ("copy", {"content": "x", "dest": "/y"}, {"copy": {"content": "x", "dest": "/y", "mode": "0644"}}),
    ("template", {"src": "x", "dest": "/y", "mode": "0600"}, {"template": {"src": "x", "dest": "/y", "mode": "0600"}}),
    ("fetch", {"src": "/x"}, {"fetch": "/x"}),
    ("fetch", "/x", {"fetch": "/x"}),
    ("docker", {"pull": "a:1"}, {"container": {"verb": "pull", "argv": ["a:1"]}}),
    (
        "docker",
        {"pull": "a:1", "engine": "podman", "args": ("--platform", "linux/arm64")},
        {"container": {"verb": "pull", "engine": "podman", "argv": ["--platform", "linux/arm64", "a:1"]}},
    ),
    (
        "docker",
        {"run": "a:1", "name": "n", "publish": ("1:1", "2:2"), "volumes": "v:/v", "env": {"A": "b c"}, "network": "w"},
        {
            "container": {
                "verb": "run",
                "argv": ["--name", "n", "--publish", "1:1", "--publish", "2:2", "--env", "A=b c", "a:1"],
                "volumes": ["v:/v"],
                "network": "w",
            }
        },
    ),
    (
        "docker",
        {
            "run": "a",
            "cpus": "1.5",
            "memory": "2GiB",
            "ulimits": {"nofile": "100:200"},
            "user": "1",
            "args": ("--init", "--shm-size=1g"),
            "command": "x 'y z'",
        },
        {
            "container": {
                "verb": "run",
                "argv": [
                    *("--cpus", "1.5", "--memory", "2GiB", "--ulimit", "nofile=100:200", "--user", "1"),
                    *("--init", "--shm-size=1g", "a", "x", "y z"),
                ],
            }
        },
    ),
    (
        "docker",
        {"run": "a", "env": {"PW": "${secrets.PW}", "B": "1"}},
        {"container": {"verb": "run", "argv": ["--env", "PW", "--env", "B=1", "a"], "env": {"PW": "${secrets.PW}"}}},
    ),
    (
        "docker",
        {"build": ".", "tag": "t", "file": "F", "build_args": {"V": "1"}, "args": ("--pull",)},
        {
            "container": {
                "verb": "build",
                "argv": ["--tag", "t", "--force-rm", "--build-arg", "V=1", "--pull"],
                "context": ".",
                "file": "F",
            }
        },
    ),
    (
        "docker",
        {"exec": "n", "command": ("a", "b c"), "env": ("X=1",), "user": "u"},
        {
            "container": {
                "verb": "exec",
                "argv": ["--env", "X=1", "--user", "u", "n", "a", "b c"],
                "container": "n",
            }
        },
    ),
    ("docker", {"stop": "n", "time": "3"}, {"container": {"verb": "stop", "argv": ["-t", "3", "n"]}}),
]

PROBLEMS = [
    ("shell", 7, "wants a script"),
    ("shell", {"text": " "}, "empty"),
    ("shell", {"text": "ls", "executable": 3}, "path of a shell"),
    ("shell", {"text": "ls", "x": 3}, "unknown: x"),
    ("exec", "ls", "wants a list"),
    ("exec", {"argv": ()}, "wants a list"),
    ("exec", ("a", 1), "every argument is a text"),
    ("exec", ("", "a"), "name is empty"),
    ("copy", "x", "wants a mapping"),
    ("copy", {"dest": "x"}, "exactly one of src, content"),
    ("copy", {"src": "a", "content": "b", "dest": "x"}, "exactly one of"),
    ("copy", {"src": "a"}, "wants dest"),
    ("copy", {"src": "a", "dest": "b", "mode": 420}, "mode is a text"),
    ("template", {"content": "a", "dest": "b"}, "unknown: content"),
    ("fetch", "", "wants the path"),
    ("fetch", {"dest": "x"}, "unknown: dest"),
    ("docker", "start x", "exactly one of run"),
    ("docker", {"run": "a", "pull": "b"}, "exactly one of run"),
    ("docker", {"pull": "a", "name": "b"}, "docker pull: unknown: name"),
    ("docker", {"pull": ""}, "wants a text"),
    ("docker", {"exec": "n"}, "wants a command"),
    ("docker", {"run": "-v"}, "does not begin with -"),
    ("docker", {"run": "a", "engine": "lxc"}, "no engine lxc"),
    ("docker", {"run": "a", "command": "x 'y"}, "a quote in command is not closed"),
    ("docker", {"run": "a", "args": ("--rm",)}, "benchhub removes every container"),
    ("docker", {"run": "a", "args": ("--detach=true",)}, "`--detach` cannot be given"),
    ("docker", {"run": "a", "args": ("-v", "a:/b")}, "a key of its own: `volumes`"),
    ("module", "ping", "full name"),
    ("module", {"a": 1, "b": 2}, "full name"),
    ("module", {"ansible.builtin.ping": 3}, "mapping"),
    ("role", {"name": "x", "y": 1}, "unknown: y"),
    ("role", {"name": "x", "vars": 3}, "mapping"),
    ("role", {"vars": {}}, "wants the name"),
]


@pytest.mark.parametrize(("name", "params", "step"), STEPS)
def test_a_driver_makes_one_step(name: str, params: Any, step: dict[str, Any]) -> None:
    made = base.driver(name)
    assert made.problem(params) is None
    assert made.step(params) == step


@pytest.mark.parametrize(("name", "params", "problem"), PROBLEMS)
def test_a_driver_says_what_is_wrong(name: str, params: Any, problem: str) -> None:
    found = registry.load("driver", name)().problem(params)
    assert found is not None
    assert problem in found


def test_which_drivers_serve_and_how_they_are_stopped() -> None:
    serving = {name for name in registry.names("driver") if getattr(registry.load("driver", name)(), "serves", False)}
    assert serving >= {"shell", "exec", "docker"}
    assert not serving & {"copy", "template", "fetch", "module", "role"}
    assert base.driver("shell").shutdown("x", 10) is None
    docker = base.driver("docker")
    assert docker.shutdown({"run": "i", "name": "n"}, 10) == {"container": {"verb": "stop", "grace": 10}}
    stopped = {"container": {"verb": "stop", "engine": "podman", "grace": 3}}
    assert docker.shutdown({"run": "i", "engine": "podman"}, 3) == stopped
    assert docker.shutdown({"pull": "i"}, 3) is None


def test_ansible_run_drivers_render_every_text() -> None:
    module = base.ansible_driver("module")
    assert module.problem({"name": "ansible.builtin.ping", "args": {}}) is None
    assert module.task({"ansible.builtin.file": {"path": "a", "list": ("b", 1)}}, str.upper) == {
        "ansible.builtin.file": {"path": "A", "list": ["B", 1]}
    }
    assert module.task("ansible.builtin.ping", str.upper) == {"ansible.builtin.ping": {}}
    assert module.task({"ansible.builtin.ping": None}, str) == {"ansible.builtin.ping": {}}
    role = base.ansible_driver("role")
    assert role.problem("x") is None
    assert role.task("x", str) == {"ansible.builtin.include_role": {"name": "x"}}
    assert role.task({"name": "x", "tasks_from": "y", "vars": {"a": "b"}}, str.upper) == {
        "ansible.builtin.include_role": {"name": "X", "tasks_from": "Y"},
        "vars": {"a": "B"},
    }


def test_the_wrong_kind_of_driver_is_told() -> None:
    with pytest.raises(PluginError, match="makes no steps"):
        base.driver("module")
    with pytest.raises(PluginError, match="not run by Ansible"):
        base.ansible_driver("shell")
    with pytest.raises(PluginError, match="no driver named 'shel'"):
        base.driver("shel")
