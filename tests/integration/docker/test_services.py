"""A container is a service like any other: ready, live, its output and exit code brought home, stopped in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchhub_ansible.testing.engine import TINY_IMAGE
from tests.integration.docker.conftest import Containers

pytestmark = pytest.mark.real

SERVICE = """\
- name: serve
  nodes: db
  tasks:
    - name: web
      docker:
        run: IMAGE
        engine: ENGINE
        name: NAME-web
        publish: ["127.0.0.1:PORT:80"]
        env: {GREETING: "a b {{c}} $HOME"}
        volumes: ["NAME-data:/www", /anonymous]
        network: NAME-net
        ulimits: {nofile: "1000:1000", nproc: "20000:20000"}
        command: [sh, -c, 'echo "$GREETING" > /www/index.html; ulimit -n; httpd -p 80 -h /www; SERVE']
      type: long
      ready: {http: "http://127.0.0.1:PORT/", body: "a b", timeout: 60s}
      live: {command: "true", interval: 1s}
- name: look
  nodes: db
  tasks:
    - shell: ENGINE inspect --format '{{range .Mounts}}{{.Name}} {{end}}' NAME-web
    - docker: {exec: NAME-web, engine: ENGINE, user: guest, command: [sh, -c, 'cat /www/index.html; id -u']}
    - docker: {run: IMAGE, engine: ENGINE, volumes: ["NAME-data:/www"], command: [cat, /www/index.html]}
"""


def test_it_is_ready_and_stopped_in_order(containers: Containers, free_port: int) -> None:
    serves(containers, free_port, "default")


def test_the_portable_profile_does_the_same(docker: Containers, free_port: int) -> None:
    serves(docker, free_port, "portable")


def serves(containers: Containers, free_port: int, profile: str) -> None:
    containers.job(SERVICE, "[[serve], [look]]", PORT=str(free_port))
    containers.run("--profile", profile)
    assert containers.output("web") == "1000\nup\ntold\n"
    assert containers.output("look", 2) == "a b {{c}} $HOME\n1000\n"
    assert containers.output("look", 3) == "a b {{c}} $HOME\n"
    mounted = containers.output("look", 1).split()
    assert len(mounted) == 2
    assert not set(mounted) & containers.engine.volumes()  # the anonymous one has no label of ours
    result = containers.benchhub.result()
    (service,) = result["services"]
    assert (service["state"], service["exit_code"], service["told"]) == ("stopped", 7, True)
    image_id = containers.engine("image", "inspect", "--format", "{{.Id}}", TINY_IMAGE).removeprefix("sha256:")
    ran = [(one["stage"], one["engine"], one["image_id"], one["exit_code"]) for one in result["containers"]]
    engine = containers.engine.name
    assert ran == [("serve", engine, f"sha256:{image_id}", 7), ("look", engine, f"sha256:{image_id}", 0)]
    report = (containers.benchhub.run_folder() / "report.md").read_text()
    assert all((one["digest"] or one["image_id"]) in report for one in result["containers"])


@pytest.mark.parametrize("command", ["echo last words; exit 3", "echo last words"])
def test_one_that_ends_by_itself_has_failed_at_once(containers: Containers, command: str) -> None:
    containers.job(
        """\
        - name: serve
          nodes: db
          tasks:
            - docker: {run: IMAGE, engine: ENGINE, name: NAME, command: [sh, -c, COMMAND]}
              type: long
              ready: {file: /never, timeout: 300s}
        """,
        "[[serve]]",
        COMMAND=json.dumps(command),
    )
    said = containers.run(code=1)
    code = 3 if "exit" in command else 0
    assert f"with exit code {code}" in said
    assert "last words" in said
    assert "job.yml:8" in said


def test_one_that_needs_too_much_memory(containers: Containers) -> None:
    containers.job(
        """\
        - name: serve
          nodes: db
          tasks:
            - docker: {run: IMAGE, engine: ENGINE, memory: 16m, command: [tail, /dev/zero]}
              name: eats
              type: long
              ready: {file: /never, timeout: 300s}
        """,
        "[[serve]]",
    )
    said = containers.run(code=1)
    assert "want of memory" in said
    assert "its limit is 16 MiB" in said
    (service,) = containers.benchhub.result()["services"]
    assert service["exit_code"] == 137


def test_slots_in_turn_each_by_its_own_name_and_the_first_ones_address(docker: Containers) -> None:
    docker.job(
        """\
        - name: ring
          nodes: all
          serial: true
          tasks:
            - name: member
              docker:
                run: IMAGE
                name: NAME-${node.name}
                env: {SEED: '${nodes.db[0].address}'}
                command: [sh, -c, 'echo "seed $SEED"; SERVE']
              type: long
              ready: {log: ^up$, timeout: 60s}
            - shell: docker ps --filter name=NAME- --format '{{.Names}}' | sort
        """,
        "[[ring]]",
    )
    path: Path = docker.benchhub.folder / "job.yml"
    path.write_text(path.read_text().replace("db: {type: database}", "db: {type: database, count: 2}"))
    docker.run()
    collected = docker.benchhub.run_folder() / "collected"
    assert (collected / "db-1/units/ring/01.out").read_text() == f"{docker.tag}-db-1\n"
    assert (collected / "db-2/units/ring/01.out").read_text() == f"{docker.tag}-db-1\n{docker.tag}-db-2\n"
    for slot in ("db-1", "db-2"):
        assert (collected / slot / "units/member/01.out").read_text().startswith("seed 127.0.0.1\nup\n")


def test_an_image_built_from_a_folder_of_the_job(containers: Containers) -> None:
    folder = containers.benchhub.folder / "my image"
    folder.mkdir()
    (folder / "Recipe").write_text("ARG FROM\nFROM $FROM\nARG WORD\nCOPY data /data\nRUN echo $WORD >> /data\n")
    (folder / "data").write_text("sent\n")
    containers.job(
        """\
        - name: build
          nodes: db
          tasks:
            - docker:
                build: my image
                engine: ENGINE
                tag: NAME:1
                file: Recipe
                build_args: {WORD: built, FROM: IMAGE}
            - docker: {run: "NAME:1", engine: ENGINE, command: [cat, /data]}
            - shell: ENGINE rmi NAME:1
        """,
        "[[build]]",
    )
    containers.run()
    assert containers.output("build", 2) == "sent\nbuilt\n"
