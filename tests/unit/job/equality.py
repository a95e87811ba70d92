"""Two jobs as their author sees them: without where things stood and in which notation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from benchhub_ansible.job.model import Job

_PLACES = {"span", "vars_span", "central_span", "source", "notation"}


def meaning(value: Any) -> Any:
    """The value as plain data, places left out, the order of mappings kept."""
    if is_dataclass(value):
        return {item.name: meaning(getattr(value, item.name)) for item in fields(value) if item.name not in _PLACES}
    if isinstance(value, Mapping):
        return [(key, meaning(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [meaning(item) for item in value]
    return value


def assert_same(left: Job, right: Job) -> None:
    assert meaning(left) == meaning(right)
