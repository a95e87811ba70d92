"""The journal of a run: one JSON object a line, written before a side effect happens and after it did."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchhub_ansible.errors import ResultError

#: Written into every line; raised when the meaning of a field changes.
JOURNAL_VERSION = 1

Event = dict[str, Any]


class Journal:
    """Appends events to ``journal.jsonl``; every line is with the kernel before ``write`` returns.

    When the disk is full, ``write`` goes on and ``on_failure`` is told, once: nodes are given back all the same.
    """

    def __init__(self, path: Path, *, redact: Callable[[Any], Any], listener: Callable[[Event], None]) -> None:
        self._redact = redact
        self._listener = listener
        self._torn = False
        self._failed = False
        self.on_failure: Callable[[OSError], None] = lambda _error: None
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        size = os.fstat(self._descriptor).st_size
        # A controller that was killed while it wrote left a torn line: our first event must not be glued to it.
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, event: str, /, **fields: Any) -> Event:
        """Appends one event, secrets masked, tells the listener, and returns it."""
        entry: Event = self._redact({"v": JOURNAL_VERSION, "t": time.time(), "event": event, **fields})
        line = json.dumps(entry, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
        try:
            self._append(line)
        except OSError as error:
            if not self._failed:
                self._failed = True
                self.on_failure(error)
        self._listener(entry)
        return entry

    def _append(self, line: bytes) -> None:
        line = b"\n" + line if self._torn else line
        while line:
            written = os.write(self._descriptor, line)  # a part of it where the disk has no more room
            self._torn = written < len(line)
            line = line[written:]


def read_journal(path: Path) -> Iterator[Event]:
    """The events of a journal in order; ResultError when it cannot be read, or is of another version.

    A torn line, which a killed controller leaves, is passed over; so is what is no event.
    """
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        for line in file:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
                continue
            if entry.get("v", JOURNAL_VERSION) != JOURNAL_VERSION:
                raise ResultError(
                    f"{path} has version {entry['v']!r}; this benchhub reads version {JOURNAL_VERSION}",
                    hint="use the benchhub that wrote it",
                )
            if isinstance(entry.get("t"), int | float):
                yield entry
