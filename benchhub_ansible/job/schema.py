"""The tree against a schema such as ``schemas/job.schema.json``, its complaints in plain words at the right place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from benchhub_ansible.errors import Diagnostic
from benchhub_ansible.job.suggest import did_you_mean
from benchhub_ansible.job.tree import MappingNode, Node, Scalar, SequenceNode, plain
from benchhub_ansible.job.yaml_reader import surprise
from benchhub_ansible.resources import schema as schema_file
from benchhub_ansible.source import Source, Span

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_TEXT = {"string", "number", "boolean"}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the schema found: the findings, and the values that nothing may be built from."""

    found: list[Diagnostic] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)  # ids of nodes of the tree, which lives as long as this does
    lost: set[str] = field(
        default_factory=set
    )  # parts of the job whose names are not all known: nodes, stages, pipeline


@cache
def load_schema(drivers: frozenset[str]) -> dict[str, Any]:
    """The schema with a key for every driver that a plugin brings; what such a key holds is the plugin's matter."""
    schema: dict[str, Any] = json.loads(schema_file("job").read_text(encoding="utf-8"))
    tasks = schema["$defs"]["task"]["properties"]
    for driver in sorted(drivers):
        tasks.setdefault(driver, {"title": driver, "description": "Driver of a plugin."})
    return schema


def check_schema(root: Node, *, source: Source, drivers: frozenset[str]) -> Checked:
    """Everything in the tree that the schema of jobs does not allow."""
    return check_against(load_schema(drivers), root, source=source)


def check_against(schema: dict[str, Any], root: Node, *, source: Source) -> Checked:
    """Everything in the tree that a schema does not allow; ``root`` is a mapping."""
    checker = _Checker(root=root, source=source, schema=schema)
    for error in Draft202012Validator(checker.schema).iter_errors(plain(root)):
        checker.take(error)
    return checker.checked


@dataclass(frozen=True, kw_only=True)
class _Checker:
    root: Node
    source: Source
    schema: dict[str, Any]
    checked: Checked = field(default_factory=Checked)

    def take(self, error: ValidationError, *, prefix: tuple[str | int, ...] = ()) -> None:
        """Makes findings of one complaint; of several forms the one that was meant is chosen."""
        path = (*prefix, *error.relative_path)
        if error.validator == "anyOf":
            self.forms(error, path)
        elif error.validator == "additionalProperties":
            self.unknown_keys(error, path)
        else:
            self.tell(error, path)

    def forms(self, error: ValidationError, path: tuple[str | int, ...]) -> None:
        """Of the forms a value may have, tells what is wrong with the one of its kind."""
        by_form: dict[int, list[ValidationError]] = {}
        for inner in error.context or ():
            by_form.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
        for inners in by_form.values():
            if not any(inner.validator == "type" and not inner.relative_path for inner in inners):
                for inner in inners:
                    self.take(inner, prefix=path)
                return
        allowed: Any = error.validator_value
        wanted = [self.resolve(form) for form in allowed]
        self.wrong_type(path, [kind for form in wanted for kind in _kinds(form)])

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The definition a ``$ref`` names."""
        while "$ref" in schema:
            schema = self.schema["$defs"][schema["$ref"].rpartition("/")[2]]
        return schema

    def unknown_keys(self, error: ValidationError, path: tuple[str | int, ...]) -> None:
        """Tells each key that the mapping does not have; the rest of the mapping stays usable."""
        node = self.node(path)
        known = _schema(error)["properties"]
        title = _schema(error).get("title", "this mapping")
        if isinstance(node, MappingNode):
            for name, key, _ in node.entries():
                if name not in known:
                    message = f"`{name}` is not a key of a {title}"
                    self.add("unknown-key", message, key.span, did_you_mean(name, known))

    def tell(self, error: ValidationError, path: tuple[str | int, ...]) -> None:
        """One complaint in plain words."""
        node = self.node(path)
        what = error.validator
        limit: Any = error.validator_value
        if what == "type":
            self.wrong_type(path, [limit] if isinstance(limit, str) else list(limit))
            return
        if what == "required":
            self.missing(error, path)
            return
        text = node.text if isinstance(node, Scalar) else ""
        code, message, hint = _wording(str(what), limit, text, _schema(error))
        self.add(code, message, _head(node), hint)
        self.spoil(node, path)

    def missing(self, error: ValidationError, path: tuple[str | int, ...]) -> None:
        """A key that has to be there."""
        node = self.node(path)
        required: Any = error.validator_value
        names = [name for name in required if isinstance(node, MappingNode) and node.get(name) is None]
        name = next((name for name in names if f"'{name}'" in error.message), "?")
        self.add("missing-key", f"the {_schema(error).get('title', 'mapping')} has no `{name}`", _head(node))
        if not path:
            self.checked.lost.add(name)
        elif len(path) == 2:
            self.checked.lost.add(str(path[0]))

    def wrong_type(self, path: tuple[str | int, ...], kinds: list[str]) -> None:
        """A value of another kind than the one asked for."""
        node = self.node(path)
        self.spoil(node, path)
        if isinstance(node, Scalar) and node.surprise is not None:
            self.checked.found.append(surprise(self.source, node))
            return
        wanted = " or ".join(dict.fromkeys(_TYPES[kind] for kind in _simplified(kinds)))
        got = (
            "a list"
            if isinstance(node, SequenceNode)
            else "a mapping"
            if isinstance(node, MappingNode)
            else f"`{node.text}`"
        )
        hint = None
        if isinstance(node, MappingNode) and "{{" in self.source.line(node.span.line):
            hint = "a value that begins with {{ needs quotes"
        if path[0] == "pipeline" and isinstance(node, Scalar) and len(path) > 1:
            hint = f"a group is a list: [{node.text}]"
        self.add("wrong-type", f"{wanted} is expected here, not {got}", _head(node), hint)

    def spoil(self, node: Node, path: tuple[str | int, ...]) -> None:
        """Keeps a value from being built; when names stood in it, their part of the job is not known any more."""
        self.checked.bad.add(id(node))
        if path and (len(path) <= 2 or path[0] == "pipeline" or (path[-1] == "name" and len(path) == 3)):
            self.checked.lost.add(str(path[0]))

    def add(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        """Keeps a finding."""
        self.checked.found.append(Diagnostic(code=code, message=message, source=self.source, span=span, hint=hint))

    def node(self, path: Iterable[str | int]) -> Node:
        """The node at a path of the schema's making."""
        node = self.root
        for step in path:
            if isinstance(node, MappingNode):
                node = node.values[str(step)]
            elif isinstance(node, SequenceNode):
                node = node.items[int(step)]
        return node


def _schema(error: ValidationError) -> Mapping[str, Any]:
    """The part of the schema that complains; ours has no boolean schemas."""
    return error.schema if isinstance(error.schema, Mapping) else {}


def _wording(  # noqa: PLR0911 - one line a rule
    what: str, limit: Any, text: str, schema: Mapping[str, Any]
) -> tuple[str, str, str | None]:
    """Code, message and hint for a rule of the schema that a value breaks."""
    match what:
        case "enum":
            return "bad-value", f"`{text[:60]}` is not one of the values allowed here", _one_of(limit, text)
        case "const":
            return "bad-value", f"this has to be {limit}", None
        case "minimum":
            return "out-of-range", f"{text[:60]} is less than {limit}", None
        case "maximum":
            return "out-of-range", f"{text[:60]} is more than {limit}", None
        case "minItems":
            return "empty-list", "this list is empty", "give it at least one item"
        case "minProperties":
            return "missing-key", "this mapping is empty", f"it takes {_names(schema)}"
        case "maxProperties":
            return "bad-value", f"only one of {_names(schema)} can be given", None
    return "bad-value", "this value is not allowed", None


def _head(node: Node) -> Span:
    """Where a mapping or list begins, one character wide: its first line rarely is what is wrong."""
    return node.span if isinstance(node, Scalar) else Span(line=node.span.line, column=node.span.column, length=1)


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type", [])
    yield from [kind] if isinstance(kind, str) else kind


def _simplified(kinds: list[str]) -> list[str]:
    """Numbers and booleans are not named where any text will do."""
    if "string" not in kinds:
        return kinds
    return [kind for kind in kinds if kind not in (_TEXT | {"integer"}) - {"string"}]


def _one_of(allowed: list[str], text: str) -> str:
    hint = did_you_mean(text, allowed) or ""
    listed = ", ".join(f"`{item}`" for item in allowed)
    return hint if hint.startswith("there") or len(allowed) > 4 else f"allowed: {listed}"


def _names(schema: Mapping[str, Any]) -> str:
    return " or ".join(f"`{name}`" for name in schema.get("properties", {})) or "at least one entry"
