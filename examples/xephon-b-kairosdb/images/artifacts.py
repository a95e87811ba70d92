"""Downloads the Maven artifacts of a list into a folder: ``artifacts.py LIST FOLDER``.

A line of the list is a SHA-256 and a path below Maven Central. What is there with that sum is kept, anything else in
the folder is removed. ``MAVEN_MIRROR`` names another place to download from.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CENTRAL = ""
TRIES = 4


def wanted(text: str) -> dict[str, str]:
    """Path below the repository → SHA-256, of every line that is no comment."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {path: digest for digest, path in lines}


def fetch(url: str, digest: str, target: Path) -> int:
    """Bytes downloaded: 0 when the file is there already. ValueError when what arrives has another sum."""
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == digest:
        return 0
    for again in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                data: bytes = answer.read()
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError):
            if again == TRIES:
                raise
            time.sleep(again)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{url} is not the file of the list: its SHA-256 differs")
    beside = target.with_suffix(".part")
    beside.write_bytes(data)
    beside.replace(target)
    return len(data)


def main(source: Path, folder: Path) -> None:
    """Fills the folder, eight downloads at a time, and says what it did."""
    mirror = os.environ.get("MAVEN_MIRROR", CENTRAL).rstrip("/")
    files = {Path(path).name: (f"{mirror}/{path}", digest) for path, digest in wanted(source.read_text()).items()}
    folder.mkdir(parents=True, exist_ok=True)
    for stray in {path.name for path in folder.iterdir()} - set(files):
        (folder / stray).unlink()
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda name: fetch(*files[name], folder / name), files))
    fetched = sum(1 for size in sizes if size)
    print(f"{len(files)} artifacts, {fetched} downloaded, {sum(sizes) / 1e6:.0f} MB")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(f"artifacts.py: {error}")
