"""A standing line to a real supervisor: one call at a time, and an end to it whatever happens at either side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import COLLECTION, Node, all_gone, eventually, load

lines = load("lines", "plugin_utils")
shells = load("shells", "plugin_utils")
CLOCK = b'{"op": "clock"}\n'


class Ssh:
    """A connection whose ssh is a shell on this machine: the line's own ssh cannot be told from it."""

    host = "here"
    shell = "/bin/sh"
    greeting = "echo Welcome to here; "

    @staticmethod
    def get_option(name: str) -> str:
        return f"the option {name}"

    def _build_command(self, _executable: str, _kind: str, _host: str, command: str) -> list[str]:
        return [self.shell, "-c", f"{self.greeting}exec {command}"]


@pytest.fixture
def line(node: Node, tmp_path: Path) -> Iterator[Any]:
    one = lines.Line(str(tmp_path), node.config["run"], "db")
    one.begin(Ssh(), served(node))
    assert json.loads(one.call(CLOCK))["ok"]
    yield one
    one.hang_up()


def served(node: Node) -> str:
    command: str = shells.by_sh(lines.SERVE, str(node.folder))
    return command


def session(node: Node) -> psutil.Process:
    """The shell at the node's side."""
    return psutil.Process(int((node.folder / "line").read_text()))


def ends(process: psutil.Process) -> bool:
    eventually(lambda: all_gone([process]))
    return True


def wait_for_store(node: Node, line: Any) -> tuple[threading.Thread, list[Any]]:
    """A thread that waits on the line for a service, and what it is told: the reply, or that the line broke."""
    node.service("sleep 60", "store")
    request = json.dumps({"op": "wait", "units": ["store"], "bound": 20}).encode() + b"\n"
    told: list[Any] = []

    def wait() -> None:
        try:
            told.append(line.call(request))
        except lines.BrokenLineError as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    return waiting, told


@pytest.mark.real  # `make fast` needs no Debian package
@pytest.mark.parametrize("shell", ["bash", "tcsh", "bsd-csh", "fish"])
def test_any_login_shell_holds_a_line(node: Node, tmp_path: Path, shell: str) -> None:
    ssh, one = Ssh(), lines.Line(str(tmp_path), node.config["run"], "db")
    ssh.shell = shell
    one.begin(ssh, served(node))
    assert [json.loads(one.call(CLOCK))["ok"] for _ in range(3)] == [True] * 3
    one.hang_up()


def test_calls_follow_each_other_on_one_session(node: Node, line: Any) -> None:
    shell = session(node)
    for number in range(20):
        request = {"op": "start", "unit": f"u{number}", "kind": "steps", "steps": [{"kind": "shell", "text": "true"}]}
        wait = {"units": [f"u{number}"], "bound": 20}
        reply = json.loads(line.call(json.dumps({**request, "wait": wait}).encode() + b"\n"))
        assert reply["units"][f"u{number}"]["state"] == "ok"
    assert len(json.loads(line.call(b'{"op": "status"}\n'))["units"]) == 20  # a reply of several pages
    assert session(node) == shell


def test_while_one_waits_nobody_else_finds_the_line(node: Node, line: Any) -> None:
    waiting, replies = wait_for_store(node, line)
    eventually(lambda: not line.stands())
    assert line.call(CLOCK) is None
    assert node("stop", units=["store"])["ok"]
    waiting.join()
    assert json.loads(replies[0])["units"]["store"]["state"] == "stopped"
    assert json.loads(line.call(CLOCK))["ok"]


def test_a_reply_that_nobody_read_reaches_nobody_else(node: Node, line: Any, tmp_path: Path) -> None:
    node.service("sleep 60", "store")
    caller = f"""
import importlib.util, json
spec = importlib.util.spec_from_file_location("lines", {str(COLLECTION / "plugins/plugin_utils/lines.py")!r})
lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lines)
line = lines.Line({str(tmp_path)!r}, {node.config["run"]!r}, "db")
line.call(json.dumps({{"op": "wait", "units": ["store"], "bound": 1}}).encode() + b"\\n")
"""
    with subprocess.Popen([sys.executable, "-c", caller]) as process:
        eventually(lambda: not line.stands())
        process.kill()
    assert line.call(CLOCK) is None
    shell = session(node)
    line.hang_up()
    assert ends(shell)
    assert not list(tmp_path.glob("line-*"))


def test_a_supervisor_that_is_gone_is_told(node: Node, line: Any) -> None:
    supervisor = psutil.Process(node.pid)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert ends(supervisor)
    assert json.loads(line.call(CLOCK)) == {"ok": False, "error": "gone"}


def test_a_line_that_breaks_says_so_and_is_not_used_again(node: Node, line: Any) -> None:
    waiting, told = wait_for_store(node, line)
    shell = session(node)
    eventually(shell.children)
    for process in [shell, *shell.children(recursive=True)]:  # as when the connection is cut
        process.kill()
    waiting.join()
    assert [type(error) for error in told] == [lines.BrokenLineError]
    assert line.call(CLOCK) is None


def test_a_line_whose_ssh_never_came_up_is_not_used(node: Node, tmp_path: Path) -> None:
    class Refused(Ssh):
        def _build_command(self, *_words: str) -> list[str]:
            return ["/bin/false"]

    one = lines.Line(str(tmp_path), node.config["run"], "db")
    one.begin(Refused(), served(node))
    eventually(lambda: not _is_read(next(tmp_path.glob("line-*.in"))))
    assert one.call(CLOCK) is None
    assert not one.stands()


def _is_read(fifo: Path) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_when_the_lease_is_over_the_line_ends(tmp_path: Path, python: str) -> None:
    parent = tmp_path / "it's a path"
    parent.mkdir()
    node = Node(parent, python, retention=600)
    assert node.boot()["ok"]
    one = lines.Line(str(tmp_path), node.config["run"], "db")
    try:
        one.begin(Ssh(), served(node))
        assert json.loads(one.call(CLOCK))["ok"]
        shell = session(node)
        os.kill(node.pid, signal.SIGTERM)  # it ends at once as if its lease were over
        assert ends(shell)
        assert one.call(CLOCK) is None
    finally:
        one.hang_up()
        node.close()


@pytest.mark.parametrize(
    "greeting",
    [
        """echo '{"ok": true, "state": "a greeting"}'; """,
        "printf 'no end of line'; ",
        "(for i in 1 2 3 4 5 6 7 8 9; do echo and on; sleep 0.05; done) & ",
    ],
    ids=["looks-like-a-reply", "unended", "goes-on"],
)
def test_what_a_login_shell_says_is_no_reply(node: Node, tmp_path: Path, greeting: str) -> None:
    ssh = Ssh()
    ssh.greeting = greeting
    one = lines.Line(str(tmp_path), node.config["run"], "db")
    one.begin(ssh, served(node))
    try:
        for _unused in range(3):
            assert "now" in json.loads(one.call(CLOCK))
    finally:
        one.hang_up()


def test_a_line_begun_anew_ends_the_one_before(node: Node, line: Any) -> None:
    before = session(node)
    line.begin(Ssh(), served(node))
    assert ends(before)
    assert json.loads(line.call(CLOCK))["ok"]


def test_a_supervisor_that_goes_ends_every_line_to_it(node: Node, line: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = lines.Line(str(elsewhere), node.config["run"], "db")
    other.begin(Ssh(), served(node))
    assert json.loads(other.call(CLOCK))["ok"]
    shells = [psutil.Process(int(number)) for number in (node.folder / "line").read_text().split()]
    assert len(shells) == 2
    assert json.loads(line.call(b'{"op": "remove"}\n'))["ok"]
    assert all(ends(shell) for shell in shells)
    assert line.call(CLOCK) is None
    other.hang_up()


def test_a_line_that_was_hung_up_meanwhile_still_gives_its_reply(node: Node, line: Any) -> None:
    waiting, replies = wait_for_store(node, line)
    eventually(lambda: not line.stands())
    shell = session(node)
    eventually(shell.children)
    line.hang_up()
    assert node("stop", units=["store"])["ok"]
    waiting.join()
    assert json.loads(replies[0])["units"]["store"]["state"] == "stopped"


def test_fifos_that_nobody_holds_are_removed_and_others_are_not(node: Node, line: Any, tmp_path: Path) -> None:
    for name in ("line-old.out", "line-old.in.12.34", "line-new.out", "line-new.in"):
        os.mkfifo(tmp_path / name, 0o600)
    for path in tmp_path.glob("line-*"):
        if "new" not in path.name:
            os.utime(path, (0, 0))
    before = set(tmp_path.glob("line-*"))
    lines.tidy(str(tmp_path))
    assert {path.name for path in before - set(tmp_path.glob("line-*"))} == {"line-old.out", "line-old.in.12.34"}
    assert json.loads(line.call(CLOCK))["ok"]
