"""Which of the names that exist a mistyped one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: So many names are listed in a hint when none of them is close.
MAX_LISTED = 20


def closest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The name most like ``name``, whatever its case; None when none is close."""
    by_lower: dict[str, str] = {}
    for candidate in names:
        by_lower.setdefault(candidate.lower(), candidate)
    match = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[match[0]] if match else None


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """The hint for an unknown name: the closest one, else all there are when they are few."""
    known = list(dict.fromkeys(names))
    match = closest(name, known)
    if match is not None:
        return f"did you mean `{match}`?"
    if known and len(known) <= MAX_LISTED:
        return "there are: " + ", ".join(f"`{item}`" for item in known)
    return None
