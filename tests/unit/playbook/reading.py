"""Reads compiled playbooks back, as Ansible would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads the tag that Ansible gives a meaning."""


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    assert isinstance(node, yaml.ScalarNode)
    return str(loader.construct_scalar(node))


_Loader.add_constructor("!unsafe", _as_text)


def plays(text: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader of our own
    return made


def tasks(of: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tasks of the plays' blocks, rescue left out."""
    for play in of:
        for task in play["tasks"]:
            yield from task["block"] if "rescue" in task else [task]
