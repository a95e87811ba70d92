"""Texts with references, as benchhub_ansible/values.py defines them; a test holds both copies to the same cases.

`${name}` may be a reference, `$${` stands for a literal `${`, everything else is literal.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import re

_TOKEN = re.compile(r"\$\$\{|\$\{([^${}\n]*)\}")

#: The references that a compiled playbook may still hold; any other `${…}` belongs to the shell.
RUNTIME_REFERENCE = re.compile(
    r"central"
    r"|node\.(?:address|name|index)"
    r"|nodes\.[A-Za-z0-9_-]+(?:\[\d+\])?\.(?:address|name)"
    r"|types\.[A-Za-z0-9_-]+\.(?:addresses|names)"
    r"|run\.(?:id|dir)"
    r"|secrets\.[A-Za-z_][A-Za-z0-9_]*"
)

_NODES = re.compile(r"nodes\.([A-Za-z0-9_-]+)(?:\[(\d+)\])?\.(address|name)")
_TYPES = re.compile(r"types\.([A-Za-z0-9_-]+)\.(addresses|names)")


class UnknownReferenceError(ValueError):
    """A reference that the inventory has no answer for; the message names it."""


def expand(text, lookup):
    """The text with every reference that ``lookup`` knows replaced; a ``${x}`` it answers None for stays as it is."""
    parts = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[0] == "$${":
            parts.append("${")
            continue
        value = lookup(match[1])
        parts.append(match[0] if value is None else value)
    parts.append(text[end:])
    return "".join(parts)


class Slots:
    """What references need of the inventory: ``rows`` is a list of mappings slot, address, node, type in slot order."""

    def __init__(self, rows):
        self._rows = rows

    def row(self, slot):
        """The mapping of one slot."""
        for row in self._rows:
            if row["slot"] == slot:
                return row
        raise UnknownReferenceError("there is no slot %s" % slot)

    def _node(self, name, index):
        rows = [row for row in self._rows if row["node"] == name] or [row for row in self._rows if row["slot"] == name]
        if index >= len(rows):
            raise UnknownReferenceError(
                "there is no node %s[%d] in the inventory (it has %d)" % (name, index, len(rows))
            )
        return rows[index]

    def resolve(self, name):
        """The value of a ``nodes.…`` or ``types.…`` reference."""
        match = _NODES.fullmatch(name)
        if match:
            row = self._node(match[1], int(match[2] or 0))
            return row["address"] if match[3] == "address" else row["slot"]
        match = _TYPES.fullmatch(name)
        rows = [row for row in self._rows if row["type"] == match[1]]
        if not rows:
            raise UnknownReferenceError("there is no node of type %s in the inventory" % match[1])
        return ",".join(row["address" if match[2] == "addresses" else "slot"] for row in rows)
