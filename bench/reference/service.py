"""A long-running task of the reference job: a TCP server that is ready 0.2 s after its start and ends on TERM.

service.py DIR NAME ADDRESS PORT [NEEDED_PORT]: with NEEDED_PORT it dies at once when nothing answers there, as KairosDB
does without Cassandra.
"""

import os
import signal
import socket
import sys
import time

START_SECONDS = 0.2


def main(directory: str, name: str, address: str, port: str, needed: str | None = None) -> None:
    log = os.open(f"{directory}/steps.log", os.O_WRONLY | os.O_APPEND)

    def note(what: str) -> None:
        os.write(log, f"{name} {what} {address}\n".encode())

    def end(_signal: int, _frame: object) -> None:
        note("end")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    note("begin")
    if needed is not None:
        socket.create_connection((address, int(needed)), timeout=1).close()
    time.sleep(START_SECONDS)
    with socket.create_server((address, int(port)), backlog=256) as server:
        note("up")
        while True:
            server.accept()[0].close()


main(*sys.argv[1:])
