"""Text that others chose, as a terminal may get it: names in job files, words of nodes, outputs of commands.

A terminal obeys control characters: it can be made to clear what was said, to show a name that is not the real one, or
to type. So whatever is printed goes through here, and what would be obeyed is seen instead.
"""

from __future__ import annotations

import re

#: Colours and other attributes of what follows (ECMA-48, SGR).
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def visible(text: object) -> str:
    r"""One line in which whatever is not printable is written as an escape: ``\x1b[2J``, ``\n``, ``\u202e``."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def visible_lines(text: object) -> str:
    """The same for a text of several lines: their ends are kept, tabs become blanks."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    return "\n".join(visible(line.expandtabs(4)) for line in lines)


def without_colours(text: str) -> str:
    """The text as it was before a program coloured it for a terminal."""
    return _COLOUR.sub("", text)
