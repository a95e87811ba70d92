"""Texts of the plan as Ansible has to see them, where Ansible itself fills in the references."""

from __future__ import annotations

import json
import re

from benchhub_ansible.playbook.yaml_text import Unsafe, literal
from benchhub_ansible.values import RUNTIME_REFERENCE, Literal, Reference, tokens

#: A `{` that would open an expression, with what follows it in the text or with the expression put after it.
_OPENING = re.compile(r"\{(?=[{%#])|\{\Z|\A#(?=jinja2:)")

_FIXED = {
    "central": "hostvars[benchhub_central].benchhub_address",
    "node.address": "benchhub_address",
    "node.name": "inventory_hostname",
    "node.index": "benchhub_index",
    "run.id": "benchhub_run_id",
    "run.dir": "benchhub_run_dir",
}
_OF_NODE = re.compile(r"nodes\.([^.\[]+)(?:\[(\d+)\])?\.(address|name)")
_OF_TYPE = re.compile(r"types\.([^.]+)\.(addresses|names)")
_VARIABLE = {"address": "benchhub_address", "name": "inventory_hostname"}


def _slots(variable: str, value: str) -> str:
    """An expression for the variables of the slots, in the plan's order, that have a value."""
    return f"groups['benchhub'] | map('extract', hostvars) | selectattr('{variable}', 'equalto', {json.dumps(value)})"


def expression(reference: str, *, secret: str) -> str:
    """The Jinja expression of a reference. ``secret``: the one for secrets, with ``NAME`` for its name."""
    if reference in _FIXED:
        return _FIXED[reference]
    if match := _OF_NODE.fullmatch(reference):
        attribute = _VARIABLE[match[3]]
        return f"({_slots('benchhub_node', match[1])} | map(attribute='{attribute}') | list)[{match[2] or 0}]"
    if match := _OF_TYPE.fullmatch(reference):
        attribute = _VARIABLE["address" if match[2] == "addresses" else "name"]
        return f"{_slots('benchhub_type', match[1])} | map(attribute='{attribute}') | join(',')"
    return secret.replace("NAME", reference.removeprefix("secrets."))


def has_reference(text: str) -> bool:
    """Whether a text still waits for what only a node or the inventory knows."""
    return any(isinstance(token, Reference) and RUNTIME_REFERENCE.fullmatch(token.name) for token in tokens(text))


def expanded_literal(text: str) -> str:
    """The bytes a node gets for a text without references: `$${x}` is `${x}`, and every `${x}` stays."""
    return "".join(token.text if isinstance(token, Literal) else "${" + token.name + "}" for token in tokens(text))


def templated(text: str, *, secret: str) -> str:
    """A value for a playbook that Ansible's templating turns into what the text means, byte for byte."""
    if not has_reference(text):
        return literal(expanded_literal(text))
    parts: list[str] = []
    run = ""
    for token in tokens(text):
        if isinstance(token, Reference) and RUNTIME_REFERENCE.fullmatch(token.name):
            parts += [_escaped(run, first=not parts), "{{ " + expression(token.name, secret=secret) + " }}"]
            run = ""
        else:
            run += token.text if isinstance(token, Literal) else "${" + token.name + "}"
    return "".join([*parts, _escaped(run, first=False, last=True)])


def _escaped(text: str, *, first: bool, last: bool = False) -> str:
    """Literal characters between expressions; a `{` at the end matters only when an expression follows."""

    def escape(match: re.Match[str]) -> str:
        if match[0] == "#":
            return "{{ '#' }}" if first else "#"
        return match[0] if last and match.end() == len(text) else "{{ '{' }}"

    return _OPENING.sub(escape, text)


__all__ = ["Unsafe", "expanded_literal", "expression", "has_reference", "templated"]
