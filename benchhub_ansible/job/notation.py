"""Which notation a file is written in, and which part of it is the job."""

from __future__ import annotations

import re

from benchhub_ansible.job.tree import Places, syntax_error
from benchhub_ansible.source import Source

_YAML_ENDINGS = (".yml", ".yaml", ".json")
_BRACE_ENDINGS = (".job",)
_MARKDOWN_ENDINGS = (".md", ".markdown")

#: A line such as `name: x`: only YAML has it at the beginning of a line.
_YAML_LINE = re.compile(r"(?:[\"']?[A-Za-z_]\w*[\"']?[ \t]*:(?:[ \t\r]|$)|---|%YAML|\{|- )")
_JOB_LINE = re.compile(r"[ \t]*(?:stages?|pipeline)\b[ \t]*(?:[:={\[]|$)")
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff\x80-\x84\x86-\x9f]")


def find_notation(source: Source) -> tuple[str, str]:
    """``yaml`` or ``brace``, and the job's text: of Markdown the fenced block, every line at its place in the file."""
    name = source.name.lower()
    if name.endswith(_MARKDOWN_ENDINGS):
        text = _fenced(source)
        return _by_content(text), text
    if name.endswith(_YAML_ENDINGS):
        return "yaml", source.text
    if name.endswith(_BRACE_ENDINGS):
        return "brace", source.text
    if (
        any(_FENCE.match(line) for line in source.lines)
        and _by_content(source.text) == "yaml"
        and source.text.lstrip().startswith("#")
    ):
        return _by_content(_fenced(source)), _fenced(source)
    return _by_content(source.text), source.text


def _by_content(text: str) -> str:
    """The notation of a text: its first line that says something decides."""
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return "yaml" if _YAML_LINE.match(line.lstrip("\ufeff")) else "brace"
    return "yaml"


def _fenced(source: Source) -> str:
    """The first fenced block with stages or a pipeline, all other lines emptied so that positions stay."""
    lines = source.text.split("\n")
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if opened is None:
            if fence is not None:
                opened = (number, fence[1], fence[2])
        elif fence is not None and fence[2].startswith(opened[2]) and not line[fence.end() :].strip():
            body = lines[opened[0] + 1 : number]
            if any(_JOB_LINE.match(item) for item in body):
                kept = [_emptied(item, opened[1]) for item in body]
                before = [" " * len(item) for item in lines[: opened[0] + 1]]
                return "\n".join([*before, *kept])
            opened = None
    raise syntax_error(
        source,
        None,
        "no fenced block of this Markdown file holds a job",
        code="no-job",
        hint="put the job between ``` lines",
    )


def _emptied(line: str, indent: str) -> str:
    """A line of the block; the fence's own indentation stays as blanks so that columns are right."""
    return line if not indent else line.replace("\t", " ", len(indent)) if line.startswith(indent) else line


def check_characters(source: Source, text: str) -> None:
    """JobError when the text holds a control character, which no notation has a use for."""
    match = _FORBIDDEN.search(text)
    if match is not None:
        span = Places(text).span(match.start(), match.end())
        raise syntax_error(
            source,
            span,
            f"the control character U+{ord(match[0]):04X} stands here",
            code="control-character",
            hint='remove it, or write it as an escape in double quotes: "\\u' + f'{ord(match[0]):04x}"',
        )
