"""Holds a folder of Maven artifacts to a list: ``artifacts.py LIST FOLDER``.

A line of the list is a SHA-256 and a path below Maven Central. What the list does not name is removed from the folder;
exit code 1 says that a file is missing or has another sum.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path


def wanted(text: str) -> dict[str, str]:
    """File name → SHA-256, of every line that is no comment."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {Path(path).name: digest for digest, path in lines}


def main(source: Path, folder: Path) -> str | None:
    """What is wrong with the folder; None when it holds all of the list, and nothing else."""
    names = wanted(source.read_text())
    for stray in {path.name for path in folder.iterdir()} - set(names):
        (folder / stray).unlink()
    for name, digest in names.items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return f"{name} is not the file of the list: its SHA-256 differs"
    return None


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
    except OSError as error:
        sys.exit(f"artifacts.py: {error}")
