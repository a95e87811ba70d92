"""What can be said after ``docker:`` in WHERE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from benchhub_ansible.errors import UsageError
from benchhub_ansible.schedulers.where import parse_options

_VALID = ("image", "count", "network", "engine", "registry", "mirror")
#: ``host``, ``host:port``, an address, or a range of addresses such as ``10.0.0.0/8``.
_ADDRESS = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*(/[0-9]+)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]*")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the scheduler; docs/how-to/try-on-containers.md explains each."""

    image: str | None = None  # None: the image built here from Debian packages
    count: int | None = None  # at most so many nodes
    network: str | None = None  # one that exists; None: one made for the run
    engine: bool = True  # each node runs a container engine of its own
    registry: str | None = None  # one that the nodes' engines may use without TLS
    mirror: str | None = None  # one that the nodes' engines ask before Docker Hub

    @classmethod
    def parse(cls, text: str) -> Self:
        """The options of ``k=v,k=v``; UsageError, saying what is valid, for anything else."""
        given = parse_options("docker", text, _VALID)
        for key, value in given.items():
            _check(text, key, value)
        return cls(
            image=given.get("image"),
            count=int(given["count"]) if "count" in given else None,
            network=given.get("network"),
            engine=given.get("engine", "yes") == "yes",
            registry=given.get("registry"),
            mirror=given.get("mirror"),
        )


def _check(text: str, key: str, value: str) -> None:
    wanted = {
        "count": (re.compile(r"[1-9][0-9]{0,5}"), "a number of nodes, such as count=3"),
        "engine": (re.compile(r"yes|no"), "engine=yes or engine=no"),
        "registry": (_ADDRESS, "an address, such as registry=registry.example:5000"),
        "mirror": (_ADDRESS, "an address, such as mirror=registry.example:5000"),
        "image": (_NAME, "the name of an image, such as image=debian:bookworm"),
        "network": (_NAME, "the name of a network of the engine"),
    }
    pattern, hint = wanted[key]
    if not pattern.fullmatch(value):
        raise UsageError(f"--on docker:{text}: {key}={value!r} cannot be", hint=f"wanted: {hint}")
