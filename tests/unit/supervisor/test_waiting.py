"""Starting together, waiting for units, and checks."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Node, all_gone, eventually


def arm(node: Node, *texts: str, unit: str = "work", **keys: Any) -> dict[str, Any]:
    steps = [{"name": text, "kind": "shell", "text": text, **keys} for text in texts]
    return node("start", unit=unit, kind="steps", steps=steps, together=True)


def start(node: Node, text: str, unit: str) -> None:
    assert node("start", unit=unit, kind="steps", steps=[{"kind": "shell", "text": text}])["ok"]


def check(node: Node, kind: str, target: str, **keys: Any) -> dict[str, Any]:
    reply = node("check", **{"kind": kind, "target": target, "timeout": 10, "bound": 15, **keys})
    assert reply["ok"], reply
    return reply


# -- together ---------------------------------------------------------------------------------------------------------


def test_an_armed_unit_starts_at_its_instant(node: Node) -> None:
    assert arm(node, "date +%s.%N", "echo second")["state"] == "armed"
    time.sleep(0.1)
    assert node("status")["units"]["work"]["state"] == "armed"
    assert node.output() == b""
    instant = time.time() + 0.2
    reply = node("wait", units=["work"], release=instant, bound=10)
    assert reply["state"] == "done"
    together = reply["units"]["work"]["together"]
    assert together["target"] == instant
    assert together["late"] == together["started"] - instant >= 0
    assert float(node.output()) >= instant
    assert node.output(name="02.out") == b"second\n"


def test_a_late_release_is_told(node: Node) -> None:
    arm(node, "true")
    reply = node("wait", units=["work"], release=time.time() - 5, bound=10)
    assert reply["units"]["work"]["together"]["late"] > 4.9


def test_an_armed_unit_can_be_stopped(node: Node) -> None:
    arm(node, "touch ran")
    reply = node("stop", units=["work"], bound=10)
    assert reply["units"]["work"]["state"] == "stopped"
    assert not (node.dir / "ran").exists()
    assert not node.members()


def test_a_released_unit_can_be_stopped_before_its_instant(node: Node) -> None:
    arm(node, "touch ran")
    assert node("wait", units=["work"], release=time.time() + 300, bound=0.1)["state"] == "waiting"
    assert node("stop", units=["work"], bound=10)["units"]["work"]["state"] == "stopped"
    assert not (node.dir / "ran").exists()


def test_an_armed_command_ends_with_its_supervisor(node: Node) -> None:
    arm(node, "touch ran")
    members = node.members()
    assert len(members) == 2
    os.kill(node.pid, signal.SIGKILL)
    eventually(lambda: all_gone(members))
    assert not (node.dir / "ran").exists()


def test_an_armed_command_that_cannot_start_fails_at_once(node: Node) -> None:
    arm(node, "true", chdir="missing")
    reply = node("wait", units=["work"], bound=5)
    assert reply["state"] == "failed"
    assert "cannot start" in reply["units"]["work"]["steps"][0]["tail"][0]


def test_conditions_are_looked_at_before_arming(node: Node) -> None:
    assert arm(node, "true", when="false")["ok"]
    assert node("wait", units=["work"], bound=5)["units"]["work"]["steps"][0]["state"] == "skipped"


# -- wait -------------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_while_others_still_run(node: Node) -> None:
    start(node, "sleep 300", "long")
    start(node, "sleep 0.2; exit 3", "short")
    reply = node("wait", units=["long", "short"], bound=20)
    assert reply["state"] == "failed"
    assert {name: unit["state"] for name, unit in reply["units"].items()} == {"long": "running", "short": "failed"}


def test_a_service_that_dies_ends_the_wait_only_when_watched(node: Node) -> None:
    start(node, "sleep 1.2", "work")
    node.service("sleep 0.2; exit 1")
    watching = node.begin("wait", units=["work"], watch=True, bound=10)
    assert node("wait", units=["work"], bound=10)["state"] == "done"
    reply = node.answer(watching)
    assert reply["state"] == "service-died"
    assert reply["services"]["service"]["exit"] == 1


def test_waiting_at_the_bound(node: Node) -> None:
    start(node, "sleep 300", "work")
    reply = node("wait", units=["work"], bound=0.1)
    assert (reply["state"], reply["units"]["work"]["state"]) == ("waiting", "running")


def test_unknown_units_are_refused(node: Node) -> None:
    assert "no unit" in node("wait", units=["nonesuch"])["error"]


# -- checks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        moved = self.path == "/moved"
        self.send_response({"/busy": 503, "/moved": 302}.get(self.path, 200))
        if moved:
            self.send_header("Location", "/")
        self.end_headers()
        self.wfile.write(b"" if moved else b'{"status": "green", "path": "%s"}' % self.path.encode())

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_port(node: Node, port: int) -> None:
    assert check(node, "tcp", f"127.0.0.1:{port}")["state"] == "ready"
    assert check(node, "tcp", f"localhost:{port}")["state"] == "ready"
    closed = check(node, "tcp", f"127.0.0.1:{free_port()}", timeout=0.2)
    assert closed["state"] == "timeout"
    assert "refused" in closed["last_error"]
    assert closed["attempts"] > 1
    assert check(node, "tcp", f"127.0.0.1:{port}", state="stopped", timeout=0.2)["state"] == "timeout"
    assert check(node, "tcp", f"127.0.0.1:{free_port()}", state="stopped")["state"] == "ready"


def test_what_a_port_says(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.sendall(b"SSH-2.0-test\r\n")
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        target = f"127.0.0.1:{server.getsockname()[1]}"
        assert check(node, "tcp", target, search_regex=r"^SSH-\d")["state"] == "ready"
        assert check(node, "tcp", target, search_regex="220", timeout=0.2)["state"] == "timeout"
        server.shutdown(socket.SHUT_RDWR)


def test_drained(node: Node, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        reply = check(node, "drained", f"127.0.0.1:{port}", timeout=0.2)
        assert reply["last_error"] == f"port {port} still has connections"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert check(node, "drained", f"127.0.0.1:{port}")["state"] == "ready"


def test_http(node: Node, url: str) -> None:
    assert check(node, "http", f"{url}/a?b#c", body=r'"/a\?b"')["state"] == "ready"
    assert check(node, "http", url, body="green", status=[200, 204])["state"] == "ready"
    assert check(node, "http", f"{url}/moved", body="green")["state"] == "ready"
    assert check(node, "http", f"{url}/busy", timeout=0.1)["last_error"].endswith("answers with status 503")
    assert check(node, "http", f"{url}/busy", status=[503])["state"] == "ready"
    assert "does not match" in check(node, "http", url, body="red", timeout=0.1)["last_error"]
    assert check(node, "http", "http://127.0.0.1:1/", timeout=0.1)["state"] == "timeout"
    assert check(node, "http", "ftp://x/", timeout=0.1)["state"] == "timeout"


def test_successes_in_a_row(node: Node) -> None:
    text = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; [ $n -ne 1 ]"
    reply = check(node, "command", text, successes=3, interval=0.01)
    assert (reply["state"], reply["attempts"]) == ("ready", 5)


def test_a_command_leaves_the_machine_to_what_it_waits_for(node: Node) -> None:
    """It may have a tenth of the time; whoever gives an interval gets that."""
    left = check(node, "command", "sleep 0.1; false", timeout=2.5)
    assert (left["state"], left["attempts"] <= 4) == ("timeout", True)
    asked = check(node, "command", "sleep 0.1; false", timeout=2.5, interval=0.01)
    assert asked["attempts"] > 4


def test_files(node: Node) -> None:
    assert check(node, "file", "ready", state="absent")["state"] == "ready"
    (node.dir / "ready").write_text("one\nready: yes\n")
    assert check(node, "file", "ready", search_regex="^ready: y")["state"] == "ready"
    assert check(node, "file", "ready", state="absent", timeout=0.1)["last_error"] == "ready still exists"


def test_a_log_line_that_comes_in_pieces(node: Node) -> None:
    node.service("printf 'server is '; sleep 0.4; echo ready; exec sleep 300")
    reply = check(node, "log", "server is (ready|up)", service="service")
    assert reply["state"] == "ready"
    assert reply["attempts"] > 1


def test_a_check_ends_with_its_service(node: Node) -> None:
    node.service("sleep 0.3; echo gone >&2; exit 4")
    reply = check(node, "tcp", f"127.0.0.1:{free_port()}", service="service")
    assert reply["state"] == "service-died"
    assert reply["services"]["service"]["exit"] == 4


def test_a_check_that_takes_longer_than_its_call(node: Node) -> None:
    assert check(node, "command", "sleep 300", bound=0.2)["state"] == "waiting"
    eventually(lambda: not node.members())


def test_a_check_ends_with_its_client(node: Node) -> None:
    client = node.begin("check", kind="command", target="exec sleep 300", timeout=60, bound=60)
    eventually(lambda: len(node.members()) == 2)
    client.kill()
    client.communicate()
    eventually(lambda: not node.members())


def test_a_check_ends_with_the_supervisor(node: Node) -> None:
    client = node.begin("check", kind="command", target="exec sleep 300", timeout=60, bound=60)
    eventually(lambda: len(node.members()) == 2)
    members = node.members()
    os.kill(node.pid, signal.SIGKILL)
    eventually(lambda: all_gone(members))
    assert node.answer(client) == {"ok": False, "error": "gone"}


def test_a_wrong_pattern_is_told(node: Node) -> None:
    node.service("exec sleep 300")
    reply = node("check", kind="log", target="(", service="service", timeout=1, bound=5)
    assert not reply["ok"]
    assert "unterminated subpattern" in reply["error"]


def test_a_check_goes_on_between_two_calls_and_counts_all_its_tries(node: Node) -> None:
    tries = node.dir / "tries"
    request = {"id": "one", "kind": "command", "target": f"echo x >> '{tries}'; false", "timeout": 3, "interval": 0.1}
    states, reply = [], node("check", **request, bound=0.5)
    while reply["state"] == "waiting":
        states.append(reply["state"])
        reply = node("check", **request, bound=0.5)
    assert len(states) >= 2
    assert reply["state"] == "timeout"
    assert reply["attempts"] == len(tries.read_text().split())
    assert reply["elapsed"] >= 3
    assert node.members() == []


def test_a_check_slower_than_a_call_comes_to_its_end(node: Node) -> None:
    request = {"id": "slow", "kind": "command", "target": "sleep 1.5", "timeout": 60}
    reply = node("check", **request, bound=0.4)
    assert reply["state"] == "waiting"
    while reply["state"] == "waiting":
        reply = node("check", **request, bound=0.4)
    assert (reply["state"], reply["attempts"]) == ("ready", 1)


def test_a_check_that_nobody_asks_for_any_more_ends(node: Node) -> None:
    reply = node("check", id="left", kind="command", target="exec sleep 300", timeout=300, bound=0.2)
    assert reply["state"] == "waiting"
    assert node.members() != []
    eventually(lambda: node.members() == [], 60)


def test_a_check_ends_with_the_client_that_waits_for_it(node: Node) -> None:
    client = node.begin("check", id="dead", kind="command", target="exec sleep 300", timeout=300, bound=300)
    eventually(lambda: len(node.members()) == 2, 60)
    client.kill()
    client.communicate()
    eventually(lambda: node.members() == [], 60)
