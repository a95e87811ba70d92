"""The plan as JSON data and back, exactly; and its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from benchhub_ansible.errors import ResultError
from benchhub_ansible.job.model import Check, Metric, NodeRequest, Retry, Secret
from benchhub_ansible.plan.model import (
    PLAN_VERSION,
    Iteration,
    Plan,
    PlannedGroup,
    PlannedStage,
    PlannedTask,
    Slot,
)
from benchhub_ansible.source import Span

#: Said by nobody who asks whether two runs are comparable: where things stood, and why it was run.
_NOT_HASHED = frozenset({"span", "source", "reason", "hash"})

_MODELS = (
    Check,
    Iteration,
    Metric,
    NodeRequest,
    Plan,
    PlannedGroup,
    PlannedStage,
    PlannedTask,
    Retry,
    Secret,
    Slot,
    Span,
)


def _dump(value: Any, omit: frozenset[str]) -> Any:
    """Dataclasses as mappings without fields that have their default, tuples as lists."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: _dump(item, omit)
            for field in dataclasses.fields(value)
            if field.name not in omit and not _is_default(field, item := getattr(value, field.name))
        }
    if isinstance(value, Mapping):
        return {str(key): _dump(item, omit) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_dump(item, omit) for item in value]
    return value


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return value is field.default or (type(value) is type(field.default) and bool(value == field.default))
    return field.default_factory is not dataclasses.MISSING and not value


def _place(data: dict[str, Any]) -> None:
    """Moves the slot lists of stages into one table: a thousand stages on a thousand nodes name each list once."""
    table: dict[tuple[str, ...], int] = {}
    for stage in _stages(data):
        stage["placement"] = table.setdefault(tuple(stage.pop("slots")), len(table))
    data["placements"] = [list(slots) for slots in table]


def _stages(data: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for group in data["groups"]:
        yield from group.get("stages", ())
    yield from data.get("cleanup", ())


def plan_to_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data; fields that have their default are left out, slots stand once in ``placements``."""
    data = {"version": PLAN_VERSION, **_dump(plan, frozenset())}
    _place(data)
    return data


def plan_hash(plan: Plan) -> str:
    """SHA-256 in hex over the canonical JSON of the plan, without spans, source, reason and the hash itself."""
    data = {"version": PLAN_VERSION, **_dump(plan, _NOT_HASHED)}
    _place(data)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_from_data(data: Mapping[str, Any]) -> Plan:
    """The plan that ``plan_to_data`` gave; ResultError when it is of another version or is no plan."""
    version = data.get("version") if isinstance(data, Mapping) else None
    if version != PLAN_VERSION:
        raise ResultError(
            f"the plan has version {version!r}; this benchhub reads version {PLAN_VERSION}",
            hint="use the benchhub that wrote it",
        )
    try:
        return _plan(data)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as cause:
        raise ResultError(f"this is not a plan of benchhub: {type(cause).__name__}: {cause}") from cause


def _plan(data: Mapping[str, Any]) -> Plan:
    placements = [tuple(slots) for slots in data["placements"]]

    def stage(raw: Mapping[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in raw.items() if k != "placement"}, "slots": placements[raw["placement"]]}

    rest = {key: value for key, value in data.items() if key not in ("version", "placements")}
    rest["groups"] = [{**group, "stages": [stage(s) for s in group.get("stages", ())]} for group in data["groups"]]
    rest["cleanup"] = [stage(s) for s in data.get("cleanup", ())]
    plan: Plan = _reader(Plan)(rest)
    return plan


def frozen(value: Any) -> Any:
    """Free data, as a driver's parameters are, with tuples for lists: what a plan holds."""
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    return value


def _same(value: Any) -> Any:
    return value


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """What turns JSON data into a value of the annotated type."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass_reader(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = _reader(next(one for one in arguments if one is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value: value if isinstance(value, tuple) else tuple(map(item, value))
    if hint is Any or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return frozen
    return _same


def _dataclass_reader(model: type[Any]) -> Callable[[Any], Any]:
    names = {one.__name__: one for one in _MODELS}
    hints = typing.get_type_hints(model, localns=names)

    def read(value: Mapping[str, Any]) -> Any:
        unknown = value.keys() - hints.keys()
        if unknown:
            raise KeyError(f"{model.__name__} has no field {', '.join(sorted(unknown))}")
        return model(**{key: _reader(hints[key])(item) for key, item in value.items()})

    return read
