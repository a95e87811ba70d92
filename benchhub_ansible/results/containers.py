"""Which containers ran, and of exactly which image: a tag may mean another one tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchhub_ansible.plan.model import Plan
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Container
from benchhub_ansible.results.record import RunRecord
from benchhub_ansible.results.units import stage_units

_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def containers(record: RunRecord, plan: Plan) -> tuple[Container, ...]:
    """Every container that a task made, in the order of the job; empty when there was none."""
    return tuple(
        _container(raw, stage.id, slot)
        for stage in (*plan.stages(), *plan.cleanup)
        for unit in stage_units(stage)
        for slot in stage.slots
        for raw in _told(record.statuses.get((slot, unit.name), {}))
    )


def _told(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What the status of a unit, or of a step in it, says of its containers."""
    for told in (status, *map(fields.mapping, fields.sequence(status.get("steps")))):
        yield from map(fields.mapping, fields.sequence(told.get("containers")))


def _container(raw: Mapping[str, Any], stage: str, slot: str) -> Container:
    digests = [
        item for item in fields.sequence(raw.get("digests")) if isinstance(item, str) and _DIGEST.fullmatch(item)
    ]
    image_id = fields.text(raw.get("image_id"))
    if image_id and ":" not in image_id:  # podman leaves the algorithm out
        image_id = f"sha256:{image_id}"
    return Container(
        stage=stage,
        slot=slot,
        name=(fields.text(raw.get("name")) or "").removeprefix("/") or None,
        engine=fields.text(raw.get("engine")),
        image=fields.text(raw.get("image")),
        image_id=image_id,
        digest=digests[0] if digests else None,
        exit_code=fields.integer(raw.get("exit")),
        oom_killed=fields.flag(raw.get("oom")),
    )
