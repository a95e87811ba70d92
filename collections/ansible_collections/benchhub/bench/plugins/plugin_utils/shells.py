"""A command line that any login shell hands to sh as it is: sh and its kin, csh, tcsh, fish."""

from __future__ import annotations

import shlex

#: Not the same in all of them, even in single quotes: csh ends at a newline and replaces `!`, fish reads backslashes.
_DIFFER = "\n\\!"
_ENCODED = {ord(character): f"\\{ord(character):04o}" for character in "\n\\!'"}


def by_sh(script, *arguments):
    """The command line by which a login shell has /bin/sh run ``script``, with ``arguments`` as its $1, $2 ….

    What they could read differently goes as octal numbers, which printf's %b turns back: a fork more on the node.
    """
    if any(character in script for character in _DIFFER):
        words = ["/bin/sh", "-c", 'eval "$(printf %b "$0")"', script.translate(_ENCODED), *arguments]
    else:
        words = ["/bin/sh", "-c", script, "sh", *arguments]
    return shlex.join(words)
