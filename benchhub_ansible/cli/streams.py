"""Standard streams that cannot end a verb: a run must not be lost because nobody can read of it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import IO


class _Lasting(io.FileIO):
    """A stream that takes everything, although its reader has gone or its device is full; it remembers the cause."""

    failure: OSError | None = None

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        while self.failure is None:
            try:
                written = super().write(view)
            except OSError as error:
                self.failure = error
                break
            if written is not None:
                return written
            # Somebody has made it non-blocking, ssh for one, and it is full: wait until it is not.
            select.select([], [self.fileno()], [])
        return len(view)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Makes stdout and stderr last, and lets closed standard streams be empty ones, for as long as it is entered."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its place, and what is printed would go there
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so this one
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = before[0] or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 - lives as long as we do
    sys.stdout, sys.stderr = _lasting(1, before[1]), _lasting(2, before[2])
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _lasting(number: int, like: IO[str] | None) -> io.TextIOWrapper:
    raw = _Lasting(number, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors="backslashreplace",  # a name that the terminal's encoding lacks must not end a verb either
        line_buffering=number == 2 or raw.isatty(),
    )


def output_lost() -> str | None:
    """Why what was printed did not arrive; None when it did, or when its reader had seen enough and closed the pipe."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Lasting) or raw.failure is None or raw.failure.errno == errno.EPIPE:
        return None
    return raw.failure.strerror
