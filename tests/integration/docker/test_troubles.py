"""What users meet with containers: each trouble has its own message with the next step, and the job file's line."""

from __future__ import annotations

import json
import socket

import pytest

from benchhub_ansible.testing.engine import TINY_IMAGE
from tests.integration.docker.conftest import Containers

pytestmark = pytest.mark.real


def one_task(containers: Containers, docker: str, rest: str = "") -> str:
    """The message of a job whose one task fails."""
    containers.job(f"- name: s\n  nodes: db\n  tasks:\n    - docker: {docker}\n{rest}", "[[s]]")
    said = containers.run(code=1)
    assert "job.yml:8" in said or "job line 8" in said, said
    return " ".join(said.split())


def test_a_name_that_somebody_elses_container_has(containers: Containers) -> None:
    containers.engine("create", "--name", containers.tag, TINY_IMAGE, "true")
    try:
        said = one_task(containers, "{run: IMAGE, engine: ENGINE, name: NAME, command: ['true']}")
        assert f"the name {containers.tag} is taken by a container that is not benchhub's" in said
        assert f"{containers.engine.name} rm --force {containers.tag}" in said
        assert containers.engine("inspect", "--format", "{{.State.Status}}", containers.tag) == "created"
    finally:
        containers.engine("rm", "--force", containers.tag)


def test_a_name_that_an_old_run_left(docker: Containers) -> None:
    label = "benchhub.run=20200101-000000-old-abcd"
    docker.engine("create", "--label", label, "--name", docker.tag, TINY_IMAGE, "true")
    try:
        said = one_task(docker, "{run: IMAGE, name: NAME, command: ['true']}")
        assert "by a container of the run 20200101-000000-old-abcd" in said
        assert "benchhub recover 20200101-000000-old-abcd" in said
    finally:
        docker.engine("rm", "--force", docker.tag)


def test_a_port_that_is_taken(containers: Containers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        publish = f"publish: ['127.0.0.1:{port}:80']"
        said = one_task(containers, f"{{run: IMAGE, engine: ENGINE, {publish}, command: ['true']}}")
    assert f"the port {port} of this node is taken" in said


def test_an_image_that_is_not_there(containers: Containers, free_port: int) -> None:
    said = one_task(containers, f"{{run: '127.0.0.1:{free_port}/nosuch:1', engine: ENGINE}}")
    assert "the image is not on the node and cannot be pulled" in said


def test_a_command_that_the_image_does_not_hold(containers: Containers) -> None:
    said = one_task(containers, "{run: IMAGE, engine: ENGINE, command: [nosuch]}")
    assert "the image does not hold the command" in said


def test_a_container_that_is_not_there(containers: Containers) -> None:
    said = one_task(containers, "{exec: NAME, engine: ENGINE, command: [ls]}")
    assert "there is no container of that name" in said


def test_a_folder_to_mount_that_is_not_there(docker: Containers) -> None:
    said = one_task(docker, "{run: IMAGE, volumes: ['/nosuch/NAME:/data']}")
    assert f"there is no /nosuch/{docker.tag} on this node to mount" in said


def test_an_engine_that_does_not_answer(docker: Containers) -> None:
    socket_path = docker.benchhub.folder / "nobody.sock"
    rest = f"      env: {json.dumps({'DOCKER_HOST': f'unix://{socket_path}'})}\n"
    said = one_task(docker, "{run: IMAGE}", rest)
    assert "the engine does not answer: start it" in said


def test_a_node_without_an_engine(docker: Containers) -> None:
    said = one_task(docker, "{run: IMAGE}", "      env: {PATH: /nosuch}\n")
    assert "there is neither docker nor podman on this node: install one" in said


def test_a_user_who_may_not(docker: Containers) -> None:
    said = one_task(docker, "{run: IMAGE, engine: docker}", "      become: true\n      user: nobody\n")
    assert "the user nobody may not use docker" in said


def test_an_unknown_word_of_the_engine_is_passed_on(docker: Containers) -> None:
    said = one_task(docker, "{run: IMAGE, args: [--nosuch]}")
    assert "unknown flag: --nosuch" in said


def test_a_command_in_somebody_elses_container_that_takes_too_long(containers: Containers) -> None:
    """Its client is killed; the command would live on in a container that stays."""
    name = containers.tag
    containers.engine("run", "--detach", "--name", name, TINY_IMAGE, "sleep", "600")
    try:
        said = one_task(
            containers, "{exec: NAME, engine: ENGINE, command: [sh, -c, 'sleep 599']}", "      timeout: 2s\n"
        )
        assert "did not end within 2 s" in said
        assert "sleep 599" not in containers.engine("top", name)
        assert "sleep 600" in containers.engine("top", name)
    finally:
        containers.engine("rm", "--force", name)
