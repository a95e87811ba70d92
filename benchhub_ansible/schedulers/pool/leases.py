"""The book of leases: who has which machine until when, and who waits; one SQLite file that many processes share.

A machine is a primary key of the table of what is held, so the file itself refuses to lease one twice. All times are
epoch seconds of the one host that everybody who shares the file works on.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.pool import presence
from benchhub_ansible.schedulers.pool.mounts import NETWORK, filesystem_of
from benchhub_ansible.schedulers.pool.turns import Ask, machines_for

#: Seconds after which a waiter that was not heard of has left the queue, whether or not its process is seen to live.
AWAY = 30.0
_FORMAT = 1
_BUSY = 30.0  # seconds a transaction waits for others
_REMEMBERED = 7 * 86_400.0  # seconds that ended leases stay in the book, to tell their holders why

_TABLES = """
CREATE TABLE waiting (
  ticket INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE, holder TEXT NOT NULL, process TEXT NOT NULL,
  since REAL NOT NULL, seen REAL NOT NULL,
  needs TEXT NOT NULL,   -- in words
  fitting TEXT NOT NULL  -- JSON: for each slot the machines that fit
);
CREATE TABLE lease (
  run_id TEXT PRIMARY KEY, holder TEXT NOT NULL, process TEXT NOT NULL, ticket INTEGER NOT NULL,
  granted REAL NOT NULL,
  length REAL NOT NULL,   -- seconds that a renewal is good for
  expires REAL NOT NULL,
  latest REAL NOT NULL,   -- when the run ends by its own limit, or is kept until
  kept INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE held (
  machine TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES lease ON DELETE CASCADE
);
CREATE TABLE ended (
  run_id TEXT NOT NULL, holder TEXT NOT NULL, ticket INTEGER NOT NULL, machines TEXT NOT NULL,
  granted REAL, ended REAL NOT NULL, how TEXT NOT NULL
);
"""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right of a run to its machines until ``expires``, as long as nobody renews it."""

    run_id: str
    holder: str
    process: str
    ticket: int
    granted: float
    length: float
    expires: float
    latest: float
    kept: bool
    machines: tuple[str, ...]

    @property
    def live(self) -> bool:
        """Whether somebody uses it: a controller that may live, or a user for whom the nodes are kept."""
        return self.kept or not presence.gone(self.process)


@dataclass(frozen=True, kw_only=True)
class Waiter(Ask):
    """A run in the queue."""

    ticket: int
    holder: str
    process: str
    since: float
    seen: float
    needs: str

    def alive(self, now: float) -> bool:
        """Whether it still waits, as far as anybody can tell."""
        return now - self.seen < AWAY and not presence.gone(self.process)


@dataclass(frozen=True, kw_only=True)
class Glance:
    """What a waiting run sees: its position among all that wait (or did a moment ago), the leases, is it its turn."""

    position: int
    waiting: int
    leases: tuple[Lease, ...]
    turn: bool


class LeaseBook:
    """The book in one file; a context manager, used by one thread. Every method is one transaction.

    SchedulerError, with the next step, for a file that cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        with self._told():
            kind = filesystem_of(self.path.parent)
            if kind in NETWORK:
                raise sqlite3.OperationalError(f"its filesystem is {kind}, and leases need one of this host alone")
            _create(self.path)
            connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            self._connection = connection
            connection.row_factory = _row
            try:
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA synchronous = NORMAL")  # who loses power loses the runs too
                self._begin_with_wal(connection)
            except BaseException:
                connection.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def _begin_with_wal(self, connection: sqlite3.Connection) -> None:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()["journal_mode"]
        if mode != "wal":
            raise sqlite3.OperationalError(f"its filesystem allows no write-ahead log (journal mode {mode})")
        version = _version(connection.cursor())
        if version == 0:
            with self._writing() as cursor:
                if _version(cursor) == 0:  # nobody else was faster
                    for statement in _TABLES.split(";\n"):
                        cursor.execute(statement)
                    cursor.execute(f"PRAGMA user_version = {_FORMAT}")
        elif version != _FORMAT:
            raise sqlite3.OperationalError(f"it is of format {version}, and this benchhub knows format {_FORMAT}")

    # -- asking --------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[tuple[Lease, ...], tuple[Waiter, ...]]:
        """Leases and queue at one instant."""
        with self._reading() as cursor:
            now = time.time()
            return _leases(cursor, now), _queue(cursor, now)

    def glance(self, run_id: str, machines: frozenset[str]) -> Glance | None:
        """Where a waiting run stands, and whether it is its turn on these machines; None when it is not in the queue.

        Nothing is written, so that the many who wait are in nobody's way.
        """
        with self._reading() as cursor:
            now = time.time()
            own = next(_waiters(cursor, "run_id = ?", run_id), None)
            if own is None:
                return None
            leases = _leases(cursor, now)
            counts = "SELECT count(*) AS waiting, total(ticket <= ?) AS position FROM waiting"
            row = cursor.execute(counts, (own.ticket,)).fetchone()
            turn = _chosen(cursor, own, leases, machines, now) is not None
        return Glance(position=int(row["position"]), waiting=row["waiting"], leases=leases, turn=turn)

    def good_until(self, run_id: str) -> float | None:
        """Until when the lease of a run is good; None when it has none."""
        with self._reading() as cursor:
            lease = _lease_of(cursor, run_id, time.time())
        return None if lease is None else lease.expires

    def how_ended(self, run_id: str) -> str | None:
        """In words how the lease of a run, or its place in the queue, ended; None when the book does not say."""
        with self._reading() as cursor:
            row = cursor.execute(
                "SELECT how FROM ended WHERE run_id = ? ORDER BY ended DESC, rowid DESC LIMIT 1", (run_id,)
            ).fetchone()
        return str(row["how"]) if row else None

    # -- waiting and getting -------------------------------------------------------------------------------------------

    def enter(self, run_id: str, *, holder: str, needs: str, fitting: tuple[tuple[str, ...], ...]) -> None:
        """Puts a run of this process at the end of the queue."""
        with self._writing() as cursor:
            now = time.time()
            if cursor.execute("SELECT 1 FROM lease WHERE run_id = ?", (run_id,)).fetchone():
                raise SchedulerError(f"run {run_id} has a lease already", hint=f"benchhub nodes release {run_id}")
            cursor.execute(
                "INSERT OR REPLACE INTO waiting (run_id, holder, process, since, seen, needs, fitting)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run_id, holder, presence.me(), now, now, needs, json.dumps(fitting)),
            )

    def seen(self, run_id: str) -> bool:
        """Tells that a run still waits; whether it is still in the queue."""
        with self._writing() as cursor:
            cursor.execute("UPDATE waiting SET seen = ? WHERE run_id = ?", (time.time(), run_id))
            return cursor.rowcount == 1

    def grant(self, run_id: str, machines: frozenset[str], *, length: float, limit: float) -> Lease | None:
        """The lease of a waiting run, whose machines are in the order of its slots, if it is its turn; None: not yet.

        ``length``: seconds a renewal is good for. ``limit``: seconds the run may take.
        """
        with self._writing() as cursor:
            now = time.time()
            _forget(cursor, now)
            waiter = next(_waiters(cursor, "run_id = ?", run_id), None)
            chosen = _chosen(cursor, waiter, _leases(cursor, now), machines, now) if waiter else None
            if waiter is None or chosen is None:
                return None
            cursor.execute("DELETE FROM waiting WHERE run_id = ?", (run_id,))
            cursor.execute(
                "INSERT INTO lease (run_id, holder, process, ticket, granted, length, expires, latest)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (run_id, waiter.holder, waiter.process, waiter.ticket, now, length, now + length, now + limit),
            )
            cursor.executemany("INSERT INTO held VALUES (?, ?)", [(machine, run_id) for machine in chosen])
            return _lease_of(cursor, run_id, now)

    # -- keeping and ending --------------------------------------------------------------------------------------------

    def renew(self, run_id: str) -> float | None:
        """Until when the lease is good now; None when it has ended. A lease that was extended is not shortened."""
        with self._writing() as cursor:
            now = time.time()
            cursor.execute(
                "UPDATE lease SET expires = max(expires, ? + length) WHERE run_id = ? AND expires > ?",
                (now, run_id, now),
            )
            lease = _lease_of(cursor, run_id, now)
        return None if lease is None else lease.expires

    def extend(self, run_id: str, *, until: float, expires: float) -> bool:
        """Keeps the machines of a run without its controller; whether there still was a lease."""
        with self._writing() as cursor:
            cursor.execute(
                "UPDATE lease SET expires = max(expires, ?), latest = ?, kept = 1 WHERE run_id = ? AND expires > ?",
                (expires, until, run_id, time.time()),
            )
            return cursor.rowcount == 1

    def end(self, run_id: str, how: str) -> bool:
        """Ends the lease of a run and its place in the queue; whether there was any."""
        with self._writing() as cursor:
            now = time.time()
            _forget(cursor, now)
            return _end(cursor, run_id, how=how, now=now)

    # -- transactions --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Cursor]:
        yield from self._transaction("BEGIN")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        yield from self._transaction("BEGIN IMMEDIATE")

    def _transaction(self, begin: str) -> Iterator[sqlite3.Cursor]:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the book is not open")
        with self._told(), contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(begin)
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise SchedulerError(f"the leases in {self.path} cannot be used: {error}", hint=_hint(error)) from None


def _version(cursor: sqlite3.Cursor) -> int:
    return int(cursor.execute("PRAGMA user_version").fetchone()["user_version"])


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _hint(error: Exception) -> str | None:
    said = str(error)
    if isinstance(error, sqlite3.OperationalError) and "locked" in said:
        return "another process holds the file for long: see who with `fuser`"
    if "not a database" in said or "malformed" in said:
        return "it is no book of leases, or a broken one: when no run is under way, move it away"
    if "format" in said or "filesystem" in said:
        return "say in the lab file where else they are: `leases: /var/lib/benchhub/lab.leases`, on a local disk"
    if "readonly" in said or "unable to open" in said or isinstance(error, PermissionError):
        return "who shares a pool needs to write that file and its folder: chgrp and chmod g+ws, say"
    return None


def _create(path: Path) -> None:
    """Makes the file, if there is none, so that whoever may write its folder may write it too."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o600 | (path.parent.stat().st_mode & 0o060)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        with contextlib.closing(os.fdopen(descriptor, "wb")):
            os.fchmod(descriptor, mode)  # the umask is of one user, the file of all


def _leases(cursor: sqlite3.Cursor, now: float) -> tuple[Lease, ...]:
    machines: dict[str, list[str]] = {}
    for row in cursor.execute("SELECT machine, run_id FROM held ORDER BY rowid").fetchall():
        machines.setdefault(row["run_id"], []).append(row["machine"])
    rows = cursor.execute("SELECT * FROM lease WHERE expires > ? ORDER BY granted, run_id", (now,)).fetchall()
    return tuple(Lease(**{**row, "kept": bool(row["kept"])}, machines=tuple(machines[row["run_id"]])) for row in rows)


def _lease_of(cursor: sqlite3.Cursor, run_id: str, now: float) -> Lease | None:
    return next((lease for lease in _leases(cursor, now) if lease.run_id == run_id), None)


def _waiters(cursor: sqlite3.Cursor, condition: str = "true", *values: object) -> Iterator[Waiter]:
    """Those in the queue for whom a condition holds, the next one first, alive or not; read one by one."""
    rows = cursor.connection.execute(
        f"SELECT * FROM waiting WHERE {condition} ORDER BY ticket",  # noqa: S608 - ours, from this file
        values,
    )
    for row in rows:
        fitting = tuple(tuple(machines) for machines in json.loads(row["fitting"]))
        yield Waiter(**{**row, "fitting": fitting})


def _queue(cursor: sqlite3.Cursor, now: float) -> tuple[Waiter, ...]:
    return tuple(waiter for waiter in _waiters(cursor) if waiter.alive(now))


def _chosen(
    cursor: sqlite3.Cursor, own: Waiter, leases: tuple[Lease, ...], machines: frozenset[str], now: float
) -> tuple[str, ...] | None:
    """The machines for a waiter, if it is its turn."""
    free = machines - {machine for lease in leases for machine in lease.machines}
    ahead = (waiter for waiter in _waiters(cursor, "ticket < ?", own.ticket) if waiter.alive(now))
    return machines_for(own, ahead, free)


def _forget(cursor: sqlite3.Cursor, now: float) -> None:
    """Takes out what has expired, who waits no more, and what need not be remembered."""
    for row in cursor.execute("SELECT run_id, expires FROM lease WHERE expires <= ?", (now,)).fetchall():
        _end(cursor, row["run_id"], how="expired", now=row["expires"])
    for waiter in list(_waiters(cursor)):
        if not waiter.alive(now):
            _end(cursor, waiter.run_id, how="left", now=now)
    cursor.execute("DELETE FROM ended WHERE ended < ?", (now - _REMEMBERED,))


def _end(cursor: sqlite3.Cursor, run_id: str, *, how: str, now: float) -> bool:
    ended = False
    for table, granted in (("lease", "granted"), ("waiting", "NULL")):
        cursor.execute(
            f"INSERT INTO ended SELECT run_id, holder, ticket,"  # noqa: S608 - both texts are from the line above
            f" coalesce((SELECT group_concat(machine, ' ') FROM held WHERE held.run_id = ?), ''), {granted}, ?, ?"
            f" FROM {table} WHERE run_id = ?",
            (run_id, now, how, run_id),
        )
        cursor.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - as above
        ended = ended or cursor.rowcount == 1
    return ended
