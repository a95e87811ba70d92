"""The pool's promises, one by one, on a real file; many processes at once are in tests/integration/pool."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from benchhub_ansible.errors import SchedulerError, UsageError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Allocation, Loss, Request
from benchhub_ansible.schedulers.pool.leases import LeaseBook
from benchhub_ansible.schedulers.pool.scheduler import SETTLE, PoolScheduler
from benchhub_ansible.source import Span
from benchhub_ansible.testing.scheduler_contract import request_of

LAB = """\
lease: 10m
vars: {ansible_user: bench}
machines:
  - {name: both, types: [database, loader], address: 192.0.2.1}
  - {name: small, types: loader, cpus: 2, memory: 4GiB}
  - {name: big, types: loader, cpus: 32, features: [ssd], vars: {ansible_port: 2222}}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yml"
    path.write_text(LAB)
    return path


@pytest.fixture
def pool(lab: Path) -> PoolScheduler:
    return PoolScheduler.from_where(str(lab))


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def acquire(pool: PoolScheduler, request: Request, run_id: str, **given: Callable[..., object]) -> Allocation:
    said = given.get("progress", lambda _text: None)
    cancelled = given.get("cancelled", lambda: False)
    return pool.acquire(request, run_id=run_id, progress=said, cancelled=cancelled)  # type: ignore[arg-type]


def one(**needs: object) -> Request:
    node = NodeRequest(name="n", type="loader", span=Span(line=1, column=1), **needs)  # type: ignore[arg-type]
    return Request(slots=(Slot(name="n", node="n", type="loader", index=0),), nodes=(node,), limit=600.0)


def until(reached: Callable[[], object], what: str, limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {what}"
        time.sleep(0.02)


def holders(pool: PoolScheduler) -> dict[str, str]:
    return {node.name: node.lease for node in pool.nodes() if node.lease}


def test_a_machine_of_two_types_is_left_for_the_type_that_needs_it(pool: PoolScheduler) -> None:
    allocation = acquire(pool, request_of(loader=2, database=1), "run-1")
    assert {node.host for node in allocation.nodes[:2]} == {"small", "big"}
    (big,) = [node for node in allocation.nodes if node.host == "big"]
    assert big.vars == {"ansible_host": "big", "ansible_user": "bench", "ansible_port": 2222}
    assert allocation.nodes[2].host == "both"
    assert allocation.nodes[2].address == "192.0.2.1"


def test_what_a_machine_must_have_decides(pool: PoolScheduler) -> None:
    assert acquire(pool, one(features=("ssd",)), "run-1").nodes[0].host == "big"
    assert acquire(pool, one(cpus=4), "run-2").nodes[0].host == "both", "of its cores nothing is known"


def test_never_is_told_at_once_with_what_is_missing(pool: PoolScheduler) -> None:
    for request, told in (
        (request_of(loader=4), "needs 4 loader, and only 3 machines of the pool fit: both, small, big"),
        (request_of(database=2), "needs 2 database, and only 1 machine of the pool fits: both"),
        (request_of(database=1, loader=3), "needs 1 database and 3 loader, and only 3 machines of the pool fit"),
        (one(features=("gpu",), cpus=4), "needs 1 loader with gpu and 4 cpus, and no machine of the pool is like that"),
    ):
        with pytest.raises(SchedulerError) as caught:
            pool.check(request)
        assert told in str(caught.value)
        assert "database, loader" in str(caught.value.diagnostics[0].hint)


def test_all_or_none_and_the_wait_is_told(pool: PoolScheduler, executor: ThreadPoolExecutor) -> None:
    first = acquire(pool, one(features=("ssd",)), "run-1")
    told: list[str] = []
    waits = executor.submit(acquire, pool, request_of(loader=3), "run-2", progress=told.append)
    until(lambda: told, "the wait is told")
    assert "position 1 of 1 in the queue of lab.yml" in told[0]
    assert "has big for run-1 (until " in told[0]
    (waiting,) = pool.waiting()
    assert (waiting.run_id, waiting.needs) == ("run-2", "3 loader")
    assert "run-1" in waiting.reason
    assert holders(pool) == {"big": "run-1"}, "nothing is taken before all of it can be"
    pool.release(first)
    assert len(waits.result(60).nodes) == 3
    assert pool.waiting() == ()


def test_a_later_request_passes_only_where_the_earlier_does_not_lose(
    pool: PoolScheduler, executor: ThreadPoolExecutor
) -> None:
    first = acquire(pool, one(features=("ssd",)), "run-1")
    earlier = executor.submit(acquire, pool, request_of(loader=3), "run-2")
    until(pool.waiting, "the earlier one waits")
    later = executor.submit(acquire, pool, one(), "run-3")
    until(lambda: len(pool.waiting()) == 2, "the later one waits although a machine is free")
    pool.release(first)
    pool.release(earlier.result(60))
    assert later.result(60).nodes[0].host == "both"


def test_who_asks_for_the_end_leaves_the_queue(pool: PoolScheduler, executor: ThreadPoolExecutor) -> None:
    acquire(pool, request_of(database=1), "run-1")
    asked = threading.Event()
    waits = executor.submit(acquire, pool, request_of(database=1), "run-2", cancelled=asked.is_set)
    until(pool.waiting, "it waits")
    asked.set()
    with pytest.raises(SchedulerError, match="left the queue"):
        waits.result(60)
    assert pool.waiting() == ()


def test_a_wait_has_a_limit_and_says_why_it_was_in_vain(lab: Path, pool: PoolScheduler) -> None:
    acquire(pool, request_of(database=1), "run-1")
    hasty = PoolScheduler.from_where(f"{lab},wait=200ms")
    with pytest.raises(SchedulerError, match=r"within 200ms: position 1 of 1 .* has both for run-1"):
        acquire(hasty, request_of(database=1), "run-2")
    assert pool.waiting() == ()


def test_a_lease_that_nobody_renews_ends(lab: Path, pool: PoolScheduler) -> None:
    allocation = acquire(pool, request_of(database=1), "run-1")
    assert allocation.expires is not None
    (held,) = [node for node in pool.nodes() if node.lease]
    assert (held.name, held.until) == ("both", allocation.expires)
    assert held.holder
    assert "@" in held.holder
    shortened(lab, "run-1", seconds=0.5)
    acquire(pool, request_of(database=1), "run-2")
    assert holders(pool) == {"both": "run-2"}


def shortened(lab: Path, run_id: str, *, seconds: float) -> None:
    """Makes a lease as good as one that was renewed longer ago."""
    with contextlib.closing(sqlite3.connect(lab.with_name("lab.yml.leases"), timeout=30)) as connection:
        connection.execute("UPDATE lease SET expires = ? WHERE run_id = ?", (time.time() + seconds, run_id))
        connection.commit()


def test_a_lease_is_renewed_while_a_run_uses_it(pool: PoolScheduler) -> None:
    allocation = acquire(pool, request_of(database=1), "run-1")
    before = allocation.expires or 0.0
    lost: list[Loss] = []
    with pool.keep(allocation, lost.append):
        until(lambda: any((node.until or 0.0) > before for node in pool.nodes()), "it is renewed")
    assert lost == []


def test_a_lease_that_was_lost_is_told_with_its_cause(lab: Path, pool: PoolScheduler) -> None:
    allocation, lost = acquire(pool, request_of(database=1), "run-1"), list[Loss]()
    with pool.keep(allocation, lost.append):
        shortened(lab, "run-1", seconds=-1)
        until(lambda: lost, "the loss is told")
    assert "has expired: the controller did not run for too long" in lost[0].reason
    assert lost[0].exit_code == 5
    allocation, lost = acquire(pool, request_of(database=1), "run-2"), []
    with pool.keep(allocation, lost.append):
        pool.end("run-2", force=True)
        until(lambda: lost, "the loss is told")
    assert "was ended: by " in lost[0].reason
    assert "benchhub nodes release" in lost[0].reason


def test_kept_nodes_keep_their_lease_and_a_renewal_does_not_shorten_it(pool: PoolScheduler) -> None:
    allocation = acquire(pool, request_of(database=1), "run-1")
    keep_until = time.time() + 3600
    assert pool.extend(allocation, keep_until) == keep_until
    with LeaseBook(Path(str(allocation.data["leases"]))) as book:
        assert book.renew("run-1") == keep_until + SETTLE
    with pytest.raises(SchedulerError, match=r"run run-1 of .* is kept until"):
        pool.end("run-1", force=False)
    pool.release(allocation)
    with pytest.raises(SchedulerError, match="cannot be kept"):
        pool.extend(allocation, keep_until)


def test_leases_last_as_long_as_nodes_need_to_end_by_themselves(pool: PoolScheduler) -> None:
    request = one()
    request = Request(slots=request.slots, nodes=request.nodes, limit=600.0, lease=500.0)
    allocation = acquire(pool, request, "run-1")
    assert (allocation.expires or 0.0) >= time.time() + 500


def test_a_lease_is_ended_by_name_unless_its_run_lives(pool: PoolScheduler) -> None:
    acquire(pool, request_of(database=1), "20260101-run-1")
    with pytest.raises(SchedulerError, match="is under way") as caught:
        pool.end("run-1", force=False)
    assert "benchhub stop 20260101-run-1" in str(caught.value.diagnostics[0].hint)
    acquire(pool, one(), "20260101-run-2")
    with pytest.raises(SchedulerError, match="could be 2 leases"):
        pool.end("20260101", force=True)
    pool.end("run-1", force=True)
    assert holders(pool) == {"small": "20260101-run-2"}


def test_a_place_in_the_queue_is_ended_by_name_too(pool: PoolScheduler, executor: ThreadPoolExecutor) -> None:
    acquire(pool, request_of(database=1), "run-1")
    waits: Future[Allocation] = executor.submit(acquire, pool, request_of(database=1), "run-2")
    until(pool.waiting, "it waits")
    with pytest.raises(SchedulerError, match="waits in the queue"):
        pool.end("run-2", force=False)
    pool.end("run-2", force=True)
    with pytest.raises(SchedulerError, match=r"no more in the queue.*: by "):
        waits.result(60)


CONTROLLER = """
import os, signal, sys
from pathlib import Path
from benchhub_ansible.schedulers.pool.scheduler import PoolScheduler
from benchhub_ansible.testing.scheduler_contract import request_of
pool = PoolScheduler.from_where(sys.argv[1])
def told(text): print(text, flush=True)
pool.acquire(request_of(database=1), run_id=sys.argv[2], progress=told, cancelled=lambda: False)
print("granted", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def controller(lab: Path, run_id: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that asks for the database and holds it; and the first line it says."""
    command = [sys.executable, "-c", CONTROLLER, str(lab), run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def test_a_killed_waiter_leaves_the_queue(lab: Path, pool: PoolScheduler) -> None:
    allocation = acquire(pool, request_of(database=1), "run-1")
    with controller(lab, "run-2") as (process, said):
        assert "waiting for machines" in said
        process.kill()
        process.wait(60)
        pool.release(allocation)
        assert acquire(pool, request_of(database=1), "run-3").nodes[0].host == "both"
        assert pool.waiting() == ()


def test_a_lease_of_a_killed_controller_ends_with_its_time_or_by_hand_or_by_recover(
    lab: Path, pool: PoolScheduler
) -> None:
    by_hand: Callable[[], None] = lambda: pool.end("run-1", force=False)  # noqa: E731 - the two ways, side by side
    by_recover: Callable[[], None] = lambda: pool.recover("run-1", None)  # noqa: E731
    for end in (by_hand, by_recover):
        with controller(lab, "run-1") as (process, said):
            assert said == "granted\n"
            process.kill()
            process.wait(60)
            assert holders(pool) == {"both": "run-1"}, "its nodes may still be at work"
            end()
            assert holders(pool) == {}
    with controller(lab, "run-2") as (process, said):
        assert said == "granted\n"
        process.kill()
        process.wait(60)
        shortened(lab, "run-2", seconds=0.5)
        allocation = acquire(pool, request_of(database=1), "run-3")  # waits until then
        assert holders(pool) == {"both": "run-3"}
        pool.release(allocation)


@pytest.mark.parametrize(
    "statement", ["INSERT OR REPLACE INTO waiting", "DELETE FROM waiting", "INSERT INTO lease", "COMMIT"]
)
def test_killed_in_the_middle_of_a_transaction_nothing_is_left(lab: Path, pool: PoolScheduler, statement: str) -> None:
    """A controller that ends itself with SIGKILL as SQLite is about to execute a statement."""
    text = CONTROLLER.replace(
        "pool = ",
        "import sqlite3\n"
        "connect = sqlite3.connect\n"
        "def traced(*a, **k):\n"
        "    connection = connect(*a, **k)\n"
        f"    kill = lambda s: s.startswith({statement!r}) and os.kill(os.getpid(), signal.SIGKILL)\n"
        "    connection.set_trace_callback(kill)\n"
        "    return connection\n"
        "sqlite3.connect = traced\n"
        "pool = ",
        1,
    )
    pool.nodes()  # the tables are there
    done = subprocess.run([sys.executable, "-c", text, str(lab), "run-1"], timeout=60, check=False)
    assert done.returncode == -9
    allocation = acquire(pool, request_of(database=1), "run-2")
    assert holders(pool) == {"both": "run-2"}
    pool.release(allocation)


def test_what_is_no_book_of_leases_is_told_with_the_mend(lab: Path, pool: PoolScheduler) -> None:
    (lab.parent / "lab.yml.leases").write_text("a text of some length " * 100)
    with pytest.raises(SchedulerError, match=r"lab\.yml\.leases cannot be used") as caught:
        pool.nodes()
    assert "move it away" in str(caught.value.diagnostics[0].hint)


def test_a_book_of_another_format_is_not_touched(lab: Path, pool: PoolScheduler) -> None:
    pool.nodes()
    with contextlib.closing(sqlite3.connect(lab.parent / "lab.yml.leases")) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(SchedulerError, match="format 9"):
        pool.nodes()


def test_a_folder_that_cannot_be_written_is_told_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(LAB + "leases: /proc/no/lab.leases\n")
    with pytest.raises(SchedulerError, match=r"/proc/no/lab\.leases cannot be used"):
        PoolScheduler.from_where(str(tmp_path / "lab.yml")).nodes()


def test_the_file_is_as_shared_as_its_folder(tmp_path: Path) -> None:
    for mode, wanted in ((0o770, 0o660), (0o755, 0o640), (0o700, 0o600)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        (folder / "lab.yml").write_text(LAB)
        PoolScheduler.from_where(str(folder / "lab.yml")).nodes()
        assert (folder / "lab.yml.leases").stat().st_mode & 0o777 == wanted


def test_recovering_makes_no_file(lab: Path, pool: PoolScheduler) -> None:
    pool.recover("run-1", None)
    assert os.listdir(lab.parent) == ["lab.yml"]  # noqa: PTH208 - names


def test_nonsense_in_where(lab: Path) -> None:
    for text, told in (
        ("", "no path is given"),
        ("no.yml", "no such file"),
        (f"{lab},wiat=1m", "is not an option"),
        (f"{lab},wait=soon", "a duration is"),
        (f"{lab},wait=1m,wait=2m", "given twice"),
    ):
        with pytest.raises(UsageError, match=told) as caught:
            PoolScheduler.from_where(text)
        assert caught.value.diagnostics[0].hint
    odd = lab.with_name("a, b=c.yml")
    odd.write_text(LAB)
    assert len(PoolScheduler.from_where(f"{odd},wait=1m").nodes()) == 3
