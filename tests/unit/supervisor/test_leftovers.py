"""A slot that nobody serves any more: what it ran is found by its marks and ended, and its folder is removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil

from .conftest import Node, all_gone, bootstrap, eventually, program


def end(node: Node) -> dict[str, Any]:
    """What the controller does when a slot has no supervisor."""
    config = {key: node.config[key] for key in ("run", "slot", "dir", "async_dir")}
    command = ["/bin/sh", "-c", bootstrap.end_script(config, node.python)]
    done = subprocess.run(command, input=program(), capture_output=True, timeout=120, check=False)
    assert done.stdout, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def kill_supervisor_and_monitors(node: Node) -> list[psutil.Process]:
    """What they ran lives on, as children of init; returned."""
    daemon = psutil.Process(node.pid)
    monitors = daemon.children()
    ran = [process for monitor in monitors for process in monitor.children(recursive=True)]
    daemon.suspend()  # it would see to what its monitors ran
    for process in (*monitors, daemon):
        process.kill()
    eventually(lambda: all_gone([*monitors, daemon]), 60)
    assert ran
    assert not all_gone(ran)
    return ran


def serve(node: Node, text: str, **keys: Any) -> None:
    """A service that runs: its command has taken the place of the supervisor's fork."""
    node.service(text, **keys)
    eventually(lambda: any("benchhub_supervisor" not in words for words in commands(node)), 60)


def commands(node: Node) -> list[str]:
    """The command lines of what runs below the supervisor."""
    found = []
    for process in node.members():
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(process.cmdline()))
    return found


def test_what_a_killed_supervisor_and_its_killed_monitors_ran_is_ended_and_removed(node: Node) -> None:
    serve(node, "setsid env -i setsid sleep 300 & trap '' TERM; while :; do sleep 1; done", async_jid=job(node))
    text = "setsid sleep 300 </dev/null >/dev/null 2>&1 & exec env -i sleep 300"
    assert node("start", unit="work", kind="steps", steps=[{"kind": "shell", "text": text}])["ok"]
    eventually(lambda: len(node.members()) >= 6, 60)
    eventually(lambda: job_file(node).exists(), 60)
    ran = kill_supervisor_and_monitors(node)
    answer = end(node)
    assert answer["ok"]
    assert answer["found"]
    assert answer["ended"] >= len(ran)
    assert answer["left"] == []
    assert all_gone(ran)
    assert not node.dir.parent.exists()
    assert not job_file(node).exists()


def job(node: Node) -> str:
    return f"benchhub.{node.config['run']}.{node.config['slot']}.service"


def job_file(node: Node) -> Path:
    return Path(node.config["async_dir"], job(node))


def test_a_supervisor_whose_folder_was_removed_ends_its_units_in_order(node: Node, tmp_path: Path) -> None:
    serve(node, "exec sleep 300", shutdown={"kind": "shell", "text": f"touch '{tmp_path}/asked'"}, grace=0.1)
    daemon = psutil.Process(node.pid)
    members = [daemon, *node.members()]
    shutil.rmtree(node.folder)
    answer = end(node)
    assert answer["found"]
    assert answer["left"] == []
    assert all_gone(members)
    assert (tmp_path / "asked").exists()
    assert not node.dir.parent.exists()


def test_the_whole_run_folder_may_be_gone(node: Node) -> None:
    serve(node, "exec sleep 300")
    members = [psutil.Process(node.pid), *node.members()]
    shutil.rmtree(node.dir.parent)
    answer = end(node)
    assert answer["found"]
    assert all_gone(members)


def test_there_may_be_nothing_at_all(node: Node) -> None:
    assert node("finish")["ok"]
    answer = end(node)
    assert answer == {"ok": True, "ended": 0, "found": False, "left": []}


def test_what_others_do_with_the_run_folder_is_let_alone(node: Node, tmp_path: Path) -> None:
    serve(node, "exec sleep 300")
    other = Node(tmp_path, node.python, slot="second")
    assert other.boot()["ok"]
    log = node.folder / "units" / "service" / "01.out"
    eventually(log.exists, 60)
    tail = subprocess.Popen(["tail", "-f", str(log)], cwd="/", stdout=subprocess.PIPE)  # noqa: S607
    try:
        serve(other, "exec sleep 300")
        kill_supervisor_and_monitors(node)
        assert end(node)["left"] == []
        assert tail.poll() is None
        assert other("status")["units"]["service"]["state"] == "running"
        assert other.dir.exists()
    finally:
        os.kill(tail.pid, signal.SIGKILL)
        tail.communicate()
        other.close()


def test_one_that_leaves_all_its_marks_is_found_by_its_program_and_by_its_folder(node: Node) -> None:
    """Two forks, sessions of their own, no environment, no output: not even their parent is ours any more."""
    hide = "</dev/null >/dev/null 2>&1 &"
    serve(
        node,
        f"cp /bin/sleep own; (env -i setsid ./own 321 {hide}) ; (env -i setsid sleep 321 {hide}) ; "
        f"(cd / && env -i setsid '{node.dir}/own' 321 {hide}) ; exec sleep 321",
    )
    eventually(lambda: sum(words.endswith(" 321") for words in commands(node)) == 4, 60)
    ran = kill_supervisor_and_monitors(node)
    assert end(node)["left"] == []
    assert all_gone(ran)


def test_a_new_supervisor_ends_them_too(node: Node) -> None:
    serve(node, "exec env -i sleep 300")
    ran = kill_supervisor_and_monitors(node)
    assert node.boot()["ok"]
    assert all_gone(ran)
