"""Services: ending early, ending when told, ending however hard that is, live checks, the file of the async job."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import Node, eventually


def status(node: Node, name: str = "service") -> dict[str, Any]:
    found: dict[str, Any] = node("status")["units"][name]
    return found


def ended(node: Node) -> dict[str, Any]:
    """The status of the service, once it has ended by itself."""
    reply = node("wait", units=[], watch=True, bound=15)
    assert reply["state"] == "service-died", reply
    found: dict[str, Any] = reply["services"]["service"]
    return found


def stop(node: Node) -> dict[str, Any]:
    reply = node("stop", units=["service"], bound=20)
    assert reply["state"] == "done", reply
    eventually(lambda: not node.members())
    found: dict[str, Any] = reply["units"]["service"]
    return found


def test_one_that_ends_early_has_failed_even_with_code_0(node: Node) -> None:
    node.service("echo out; echo 'last words' >&2; exit 0")
    found = ended(node)
    assert (found["state"], found["exit"], found["told"]) == ("failed", 0, False)
    assert found["error"] is None  # it just ended: whoever reports it says so
    assert found["tail"] == ["last words"]


def test_one_that_is_told_to_end_is_stopped(node: Node) -> None:
    node.service("echo up; exec sleep 300")
    eventually(lambda: node.has_said("service", b"up\n"), limit=60)
    found = stop(node)
    assert (found["state"], found["signal"], found["told"], found["error"]) == ("stopped", 15, True, None)
    assert node("stop", units=["service", "unknown"])["state"] == "done"


@pytest.mark.parametrize(
    "text",
    [
        "trap '' TERM; while :; do sleep 1; done",
        "exec >/dev/null 2>&1 <&-; sleep 300",
        "for i in $(seq 50); do sleep 300 & done; wait",
        "env -i setsid sh -c 'env -i setsid sleep 300 & env -i sleep 300' & sleep 300",
        "(setsid sh -c 'trap \"\" TERM HUP; setsid sleep 300 & wait' &) ; sleep 300",
    ],
    ids=["ignores-term", "closes-output", "forks-50", "clears-environment", "double-fork"],
)
def test_nothing_of_a_service_gets_away(node: Node, text: str) -> None:
    node.service(text, grace=0.3)
    time.sleep(0.2)
    assert stop(node)["state"] == "stopped"


def test_one_that_daemonises_lives_until_told(node: Node) -> None:
    node.service("setsid sh -c 'sleep 0.6; echo late; exec sleep 300' & exit 0")
    assert node("check", kind="log", target="late", service="service", timeout=10, bound=15)["state"] == "ready"
    assert status(node)["state"] == "running"
    assert stop(node)["state"] == "stopped"


def test_a_large_log_costs_no_memory(node: Node) -> None:
    node.service("yes 0123456789abcdef0123456789abcdef | head -c 150000000; echo; echo done; exec sleep 300")
    check = node("check", kind="log", target="^done$", service="service", timeout=30, bound=30)
    assert check["state"] == "ready", check
    daemon = psutil.Process(node.pid)
    for process in [daemon, *daemon.children()]:
        assert process.memory_info().rss < 60 * 2**20
    reply = node("finish", limit=1 << 20)
    assert reply["ok"]
    assert len(reply["inline"]) < 300_000


def test_a_shutdown_command_ends_it(node: Node) -> None:
    shutdown = {"kind": "shell", "text": "touch stop; echo bye; sleep 0.2"}
    text = "trap '' TERM; until [ -e stop ]; do sleep 0.05; done; echo graceful"
    node.service(text, shutdown=shutdown, grace=5)
    found = stop(node)
    assert (found["state"], found["exit"]) == ("stopped", 0)
    assert found["shutdown"]["rc"] == 0
    assert node.output("service") == b"graceful\n"
    assert node.output("service", "shutdown.out") == b"bye\n"


def test_a_shutdown_command_that_hangs_delays_only(node: Node) -> None:
    node.service("exec sleep 300", shutdown={"kind": "shell", "text": "sleep 300", "timeout": 0.3})
    found = stop(node)
    assert found["state"] == "stopped"
    assert "in time" in found["shutdown"]["error"]


def test_services_stop_in_the_given_order(node: Node) -> None:
    for name in ("one", "two"):
        node.service("exec sleep 300", name=name, shutdown={"kind": "shell", "text": f"echo {name} >> order"})
    assert list(node("stop", units=["one", "two"])["units"]) == ["one", "two"]
    assert (node.dir / "order").read_text() == "one\ntwo\n"


def test_a_live_check_that_fails_fails_the_service(node: Node) -> None:
    live = {"kind": "command", "target": "test -e alive", "interval": 0.1, "timeout": 1, "failures": 2}
    (node.dir / "alive").touch()
    node.service("exec sleep 300", live=live)
    time.sleep(0.5)
    assert status(node)["state"] == "running"
    (node.dir / "alive").unlink()
    found = ended(node)
    assert found["state"] == "failed"
    assert "live check failed 2 times" in found["error"]
    eventually(lambda: not node.members())


def test_a_live_check_that_hangs_leaves_nothing_behind(node: Node) -> None:
    live = {"kind": "command", "target": "sleep 300", "interval": 0.1, "timeout": 0.2, "failures": 3}
    node.service("exec sleep 300", live=live)
    assert "live check failed 3 times" in ended(node)["error"]
    eventually(lambda: not node.members())


def test_the_deadline_of_a_service(node: Node) -> None:
    node.service("exec sleep 300", deadline=0.3)
    assert ended(node)["error"] == "its deadline passed"


def test_async_status_can_read_the_job(node: Node, tmp_path: Path) -> None:
    node.service("echo out; echo err >&2; touch said; exec sleep 300", async_jid="benchhub.1")
    job = tmp_path / "async" / "benchhub.1"
    eventually(job.exists)
    eventually((node.dir / "said").exists)
    assert json.loads(job.read_text()) == {"started": 1, "finished": 0, "ansible_job_id": "benchhub.1"}
    stop(node)
    content = json.loads(job.read_text())
    assert (content["finished"], content["failed"], content["rc"]) == (1, False, -15)
    assert (content["stdout"], content["stderr"]) == ("out", "err")
    node("finish")
    assert not job.exists()
