"""Asks Cassandra over its native protocol, with Python's standard library: ``cql.py HOST:PORT STATEMENT…``.

Prints the rows of each answer, one a line, values as text parted by tabs. Exit code 0 says that Cassandra *answers*:
its port opens seconds before. Protocol: version 4,
https://cassandra.apache.org/doc/latest/cassandra/_attachments/native_protocol_v4.html
"""

from __future__ import annotations

import socket
import struct
import sys

VERSION = 4
ERROR, STARTUP, READY, QUERY, RESULT = 0x00, 0x01, 0x02, 0x07, 0x08
CONSISTENCY_ONE = 0x0001
ROWS = 0x0002
GLOBAL_TABLE, MORE_PAGES, NO_METADATA = 1, 2, 4
# types whose values are shown as numbers, by their option id: bigint, counter, int
NUMBERS = {0x0002: ">q", 0x0005: ">q", 0x0009: ">i"}


class CqlError(Exception):
    """Cassandra refused; the message is its own."""


class Body:
    """Reads the values of a frame's body one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def bytes(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]

    def string(self) -> str:
        return self.bytes(self.take(">H")).decode("utf-8", "replace")

    def value(self) -> bytes | None:
        length = self.take(">i")
        return None if length < 0 else self.bytes(length)


def exactly(connection: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionError("the connection was closed in the middle of an answer")
        parts += part
    return parts


def ask(connection: socket.socket, opcode: int, body: bytes) -> tuple[int, Body]:
    """The answer's opcode and body; CqlError when it is one."""
    connection.sendall(struct.pack(">BBhBi", VERSION, 0, 0, opcode, len(body)) + body)
    _, _, _, answered, length = struct.unpack(">BBhBi", exactly(connection, 9))
    answer = Body(exactly(connection, length))
    if answered == ERROR:
        code = answer.take(">i")
        raise CqlError(f"{answer.string()} (code {code:#06x})")
    return answered, answer


def rows(body: Body) -> list[list[str]]:
    """The rows of a RESULT, values as text; none of a RESULT that is not of rows. Types with parts are not read."""
    if body.take(">i") != ROWS:
        return []
    flags, columns = body.take(">i"), body.take(">i")
    if flags & GLOBAL_TABLE:
        body.string(), body.string()
    types = []
    for _ in range(columns):
        if not flags & GLOBAL_TABLE:
            body.string(), body.string()
        body.string()
        types.append(body.take(">H"))
    return [[shown(kind, body.value()) for kind in types] for _ in range(body.take(">i"))]


def shown(kind: int, value: bytes | None) -> str:
    if value is None:
        return ""
    if kind in NUMBERS:
        return str(struct.unpack(NUMBERS[kind], value)[0])
    if kind == 0x0010:
        return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
    return value.decode("utf-8", "replace")


def main(address: str, statements: list[str]) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        options = b"".join(struct.pack(">H", len(text)) + text for text in (b"CQL_VERSION", b"3.0.0"))
        ask(connection, STARTUP, struct.pack(">H", 1) + options)
        for statement in statements:
            text = statement.encode()
            query = struct.pack(">i", len(text)) + text + struct.pack(">HB", CONSISTENCY_ONE, 0)
            for row in rows(ask(connection, QUERY, query)[1]):
                print("\t".join(row))


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except (OSError, CqlError) as error:
        sys.exit(f"cql.py: {sys.argv[1]}: {error}")
