"""Where the data files are: beside the sources in an editable install, inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _data(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def schema(name: str) -> Path:
    """The JSON Schema file ``schemas/<name>.schema.json``."""
    return _data("schemas") / f"{name}.schema.json"


def collections() -> Path:
    """The folder that holds ``ansible_collections``."""
    return _data("collections")
