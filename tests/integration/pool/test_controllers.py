"""200 controllers on one pool of 10 machines, a fifth of them killed at random instants; the numbers are printed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from benchhub_ansible.schedulers.pool.scheduler import PoolScheduler

pytestmark = pytest.mark.real

CONTROLLERS, KILLED, SEED = 200, 40, 20261129
#: m1 to m3 can be databases and loaders, the other seven loaders.
BOTH = {"m1", "m2", "m3"}
NEEDS = ((0, 1), (0, 2), (1, 0), (1, 2), (0, 4))  # databases and loaders of a controller, by its number modulo 5
LAB = "lease: 10s\nmachines:\n" + "".join(
    f"  - {{name: m{n}, types: {'[database, loader]' if f'm{n}' in BOTH else 'loader'}}}\n" for n in range(1, 11)
)


class Free(NamedTuple):
    """How many machines are free: of both types, and loaders alone."""

    both: int
    loaders: int


def served(needs: Iterable[tuple[int, int]], free: Free) -> int:
    """How many of all the slots wanted could have a machine; by counting, since there are two kinds of machines."""
    wanted = list(needs)
    databases = min(sum(need[0] for need in wanted), free.both)
    return databases + min(sum(need[1] for need in wanted), free.loaders + free.both - databases)


@dataclass(frozen=True, kw_only=True)
class Past:
    """One run of the book: when it had which machines, or that it never had any."""

    number: int
    ticket: int
    machines: frozenset[str]
    granted: float | None
    ended: float
    how: str

    def holds(self, when: float) -> bool:
        return self.granted is not None and self.granted <= when < self.ended

    def waits(self, when: float, killed: dict[int, float]) -> bool:
        """Whether it was in the queue at that time, alive; it had entered before everybody with a larger ticket."""
        return (self.granted or killed.get(self.number, self.ended)) > when


def book(leases: Path) -> list[Past]:
    with closing(sqlite3.connect(leases, timeout=30)) as connection:
        rows = connection.execute("SELECT run_id, ticket, machines, granted, ended, how FROM ended").fetchall()
    return [
        Past(number=int(r[0][4:]), ticket=r[1], machines=frozenset(r[2].split()), granted=r[3], ended=r[4], how=r[5])
        for r in rows
    ]


def free_at(grant: Past, past: list[Past]) -> set[str]:
    """The machines that were free as a lease was granted, its own among them."""
    assert grant.granted is not None
    taken = (other.machines for other in past if other is not grant and other.holds(grant.granted))
    return {f"m{n}" for n in range(1, 11)} - set().union(*taken)


def counted(machines: set[str] | frozenset[str]) -> Free:
    return Free(both=len(machines & BOTH), loaders=len(machines - BOTH))


def at_the_expense_of(grant: Past, past: list[Past], killed: dict[int, float]) -> bool:
    """Whether those who waited before it could be served less well because of a grant."""
    assert grant.granted is not None
    earlier = sorted(
        (p for p in past if p.ticket < grant.ticket and p.waits(grant.granted, killed)), key=lambda p: p.ticket
    )
    free = free_at(grant, past)
    needs = [NEEDS[p.number % len(NEEDS)] for p in earlier]
    return any(
        served(needs[:n], counted(free - grant.machines)) < served(needs[:n], counted(free))
        for n in range(1, len(needs) + 1)
    )


def overlaps(grants: list[Past]) -> int:
    """Pairs of leases that had a machine at the same time."""
    return sum(
        bool(a.machines & b.machines) and a.granted < b.ended and b.granted < a.ended  # type: ignore[operator]
        for n, a in enumerate(grants)
        for b in grants[:n]
    )


def test_many_controllers_share_a_pool_and_some_are_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = tmp_path / "lab.yml"
    lab.write_text(LAB)
    command = [sys.executable, Path(__file__).with_name("controllers.py"), lab, CONTROLLERS, KILLED, SEED]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    killed = {int(number): float(when) for number, when in told["killed"].items()}
    codes = {int(number): code for number, code in told["codes"].items()}

    pool = PoolScheduler.from_where(str(lab))
    last = max((node.until or 0.0 for node in pool.nodes()), default=0.0)
    while time.time() <= last:
        time.sleep(0.1)
    assert [node.name for node in pool.nodes() if node.holder] == [], "leased past its expiry"
    assert pool.waiting() == ()
    pool.recover("nobody", None)  # whoever writes next enters what has expired into the book

    past = book(tmp_path / "lab.yml.leases")
    grants = [p for p in past if p.granted is not None]
    passed = sum(any(p.ticket < g.ticket and p.waits(g.granted or 0.0, killed) for p in past) for g in grants)
    unfair = [g for g in grants if at_the_expense_of(g, past, killed)]
    numbers = {
        "controllers": CONTROLLERS,
        "killed": len(killed),
        "killed with machines": sum(p.how == "expired" for p in past),
        "killed in the queue": sum(p.granted is None for p in past),
        "leases": len(grants),
        "survivors that ran": sum(code == 0 for code in codes.values()),
        "machines given twice": overlaps(grants) + sum(code == 3 for code in codes.values()),
        "grants ahead of an earlier one": passed,
        "of these at its expense": len(unfair),
        "seconds": round(told["took"], 1),
    }
    with capsys.disabled():
        print(f"\npool: {json.dumps(numbers)}")  # noqa: T201 - the numbers are asked for
    assert len(killed) == KILLED
    assert {codes[number] for number in killed} == {-9}
    assert {code for number, code in codes.items() if number not in killed} == {0}, (numbers, done.stderr[-3000:])
    assert numbers["machines given twice"] == 0
    assert unfair == []
    released = {grant.number for grant in grants if grant.how == "released"}
    assert codes.keys() - killed.keys() <= released, "a survivor lost its lease"
    for grant in grants:
        wanted = NEEDS[grant.number % len(NEEDS)]
        assert len(grant.machines) == sum(wanted), "all or none"
        assert len(grant.machines & BOTH) >= wanted[0]
