"""Writes and reads ``result.json``."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import ResultError
from benchhub_ansible.results.build import build_result
from benchhub_ansible.results.model import RESULT_VERSION, Result, result_to_data

FILE_NAME = "result.json"
#: What everybody asks of a result; a file without it is not one that was written here.
_NEEDED = frozenset({"run_id", "job", "verdict", "summaries"})


def write_result(result: Result, folder: Path) -> Path:
    """The path of ``result.json`` in ``folder``, written beside and renamed: a reader sees a whole one."""
    path = folder / FILE_NAME
    text = result_text(result)
    try:
        descriptor, beside = tempfile.mkstemp(dir=folder, prefix=f".{FILE_NAME}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(beside).chmod(0o644)
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as cause:
        raise ResultError(f"{path} cannot be written: {cause.strerror}") from cause
    return path


def result_text(result: Result) -> str:
    """``result.json`` as it is written: ASCII, two spaces, a newline at the end."""
    return json.dumps(result_to_data(result), indent=2, allow_nan=False) + "\n"


def result_data(folder: Path) -> dict[str, Any]:
    """A run's result as data: the stored one when it is there and of this version, else built from the folder."""
    try:
        data = json.loads((folder / FILE_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and data.get("version") == RESULT_VERSION and data.keys() >= _NEEDED:
        return data
    built: dict[str, Any] = json.loads(result_text(build_result(folder)))
    return built


def values_of(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The summaries of a result's data by a readable name: ``load threads=8: tps (sum)``, ``… (loader-1)``."""
    found = {}
    for item in data["summaries"]:
        turn = ", ".join(f"{name}={value}" for name, value in item["values"].items())
        of = item["slot"] or item["function"]
        found[f"{item['stage']}{' ' + turn if turn else ''}: {item['metric']} ({of})"] = item
    return found
