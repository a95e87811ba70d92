"""Job → text in either notation; loading the text gives an equal job. Comments of the old file are not kept."""

from __future__ import annotations

import re
from typing import Any

import yaml

from benchhub_ansible.job.brace_lexer import BLOCK_KEYS, LINE_KEYS, TEXT_BLOCKS, TEXT_KEYS
from benchhub_ansible.job.dump import job_data
from benchhub_ansible.job.model import Job
from benchhub_ansible.job.yaml_scalars import resolve

#: Editors with a YAML language server complete and check by it.
SCHEMA_COMMENT = "# yaml-language-server: $schema=https://benchhub.github.io/schemas/job.schema.json\n"

_WIDTH = 100
_INDENT = "    "


def to_yaml(job: Job) -> str:
    """The job as YAML."""
    text = yaml.dump(
        job_data(job), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False
    )
    return SCHEMA_COMMENT + str(text)


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks, short lists and mappings on one line, and quotes wherever a reader could be surprised."""

    def ignore_aliases(self, data: Any) -> bool:
        """Values are written out: an alias reads worse than the value."""
        del data
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        """A text in the style that keeps it exact and readable."""
        style = None
        if "\n" in data and re.fullmatch(r"[^\s#-][\t\n\x20-\x7e]*", data) and re.search(r"[ \t]\n", data) is None:
            style = "|"
        elif not isinstance(resolve(data)[0], str) or resolve(data)[1] is not None or re.search(r"[^\x20-\x7e]", data):
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def represent_short_list(self, data: list[Any]) -> yaml.SequenceNode:
        """A list of scalars on one line when it fits."""
        simple = (
            all(not isinstance(item, dict | list) for item in data)
            and sum(len(str(item)) + 2 for item in data) < _WIDTH
        )
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=simple or None)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(list, _Dumper.represent_short_list)


# -- brace notation -----------------------------------------------------------------------------------------------


def to_brace(job: Job) -> str:
    """The job in brace notation."""
    data = job_data(job)
    lines: list[str] = []
    for key, value in data.items():
        if key == "stages":
            for stage in value:
                lines += ["", *_stage(stage)]
            lines.append("")
        elif key == "pipeline":
            lines += ["pipeline = [", *_items(value, _INDENT), "]"]
        else:
            lines += _pair(key, value, "", block="")
    return "\n".join(lines) + "\n"


def _stage(stage: dict[str, Any]) -> list[str]:
    lines = ["stage {"]
    for key, value in stage.items():
        if key == "tasks":
            lines.append(f"{_INDENT}tasks {{")
            for task in value:
                lines += [f"{_INDENT * 2}task {{", *_task(task, _INDENT * 3), f"{_INDENT * 2}}}"]
            lines.append(f"{_INDENT}}}")
        else:
            lines += _pair(key, value, _INDENT, block="stage")
    return [*lines, "}"]


def _task(task: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in task.items():
        if key == "metrics":
            for metric in value:
                lines += _pair("metric", metric, indent, block="task")
        elif key == "shutdown":
            lines += [f"{indent}shutdown {{", *_task(value, indent + _INDENT), f"{indent}}}"]
        elif key == "shell":
            shell = value if isinstance(value, dict) else {"run": value}
            lines += _pair("shell", shell["run"], indent, block="task")
            if "executable" in shell:
                lines += _pair("executable", shell["executable"], indent, block="task")
        elif key not in LINE_KEYS | BLOCK_KEYS and not isinstance(value, dict | list):
            lines += [f"{indent}driver = {key}", *_command(str(value), indent)]
        else:
            lines += _pair(key, value, indent, block="task")
    return lines


def _command(text: str, indent: str) -> list[str]:
    return [f"{indent}<<END", *(f"{indent}{line}" for line in text.split("\n")), f"{indent}END"]


def _pair(key: str, value: Any, indent: str, *, block: str) -> list[str]:
    """The lines of one key; ``block`` is the block it stands in, because that decides what a value may look like."""
    name = key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", key) else _quoted(key)
    if isinstance(value, dict):
        inner = (
            "args"
            if block == "args" or (block, key) in {("role", "vars"), ("module", "args"), ("options", "options")}
            else key
        )
        lines = [f"{indent}{name} {{"]
        for inner_key, item in value.items():
            lines += _pair(inner_key, item, indent + _INDENT, block=inner)
        return [*lines, f"{indent}}}"]
    if isinstance(value, list):
        return _list_pair(name, value, indent)
    if isinstance(value, str):
        if _is_heredoc(value):
            return [
                f"{indent}{name} <<END",
                *(f"{indent}{line}" if line else "" for line in value.split("\n")[:-1]),
                f"{indent}END",
            ]
        return [f"{indent}{name} = {_line_text(value, is_text=key in TEXT_KEYS | TEXT_BLOCKS or block in TEXT_BLOCKS)}"]
    return [f"{indent}{name} = {_scalar(value)}"]


def _list_pair(name: str, value: list[Any], indent: str) -> list[str]:
    if all(not isinstance(item, dict | list) for item in value):
        return [f"{indent}{name} = {_inline(value)}"]
    return [f"{indent}{name} = [", *_items(value, indent + _INDENT), f"{indent}]"]


def _items(value: list[Any], indent: str) -> list[str]:
    """The items of a list, one after the other with commas between."""
    lines: list[str] = []
    for number, item in enumerate(value):
        comma = "," if number + 1 < len(value) else ""
        if isinstance(item, dict):
            lines.append(f"{indent}{{")
            for key, inner in item.items():
                if key == "stages":
                    lines += [
                        f"{indent}{_INDENT}stages = [",
                        *_items(inner, indent + _INDENT * 2),
                        f"{indent}{_INDENT}]",
                    ]
                else:
                    lines += _pair(key, inner, indent + _INDENT, block="args")
            lines.append(f"{indent}}}{comma}")
        elif isinstance(item, list) and any(isinstance(inner, dict | list) for inner in item):
            lines += [f"{indent}[", *_items(item, indent + _INDENT), f"{indent}]{comma}"]
        else:
            lines.append(f"{indent}{_inline(item) if isinstance(item, list) else _item(item)}{comma}")
    return lines


def _inline(value: list[Any]) -> str:
    return f"[{', '.join(_item(item) for item in value)}]"


def _item(value: Any) -> str:
    """One item of a list: a text without quotes only when nothing in it could end it."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z0-9/._:$@][A-Za-z0-9 /._:$@+=%-]*", value) and value == value.strip()
        return value if plain and isinstance(_read_back(value), str) else _quoted(value)
    return _scalar(value)


def _line_text(value: str, *, is_text: bool) -> str:
    """A text as the rest of a line when it reads back the same, else in quotes."""
    safe = re.fullmatch(r"[\x20-\x7e\u00a0-\u2027\u202a-\ud7ff]+", value) and value == value.strip()
    starts = ('"', "'", "<<", "=") if is_text else ('"', "'", "<<", "=", "[", "{")
    if not safe or value.startswith(starts) or value.endswith("\\"):
        return _quoted(value)
    return value if isinstance(_read_back(value), str) or (is_text and value != "null") else _quoted(value)


def _read_back(text: str) -> Any:
    """What the reader would make of a text without quotes, as far as it may not be a text."""
    constants = {"true": True, "false": False, "null": None}
    return constants[text] if text in constants else 0 if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) else text


def _is_heredoc(value: str) -> bool:
    lines = value.split("\n")
    return value.endswith("\n") and all(
        re.fullmatch(r"[\t\x20-\x7e\u00a0-\u2027\u202a-\ud7ff]*", line) and line.strip() != "END" for line in lines
    )


def _quoted(value: str) -> str:
    """The text in double quotes, everything that is not plain as an escape."""
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    parts = []
    for character in value:
        if character in named:
            parts.append(named[character])
        elif character.isprintable():
            parts.append(character)
        else:
            parts.append(f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}")
    return f'"{"".join(parts)}"'


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
