"""The settings file: ``benchhub.yml`` beside the job, then the user's own. It names what the command line names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from benchhub_ansible.errors import Diagnostic, Diagnostics, JobError
from benchhub_ansible.source import Source, Span
from benchhub_ansible.values import parse_duration

#: The file's name beside a job; in the user's config folder it is ``benchhub/config.yml``.
FILE_NAME = "benchhub.yml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the settings files say; None where they say nothing. docs/reference/settings.md lists the keys."""

    on: str | None = None
    runs_dir: str | None = None  # absolute: relative paths are taken from the file's folder
    node_dir: str | None = None
    profile: str | None = None
    keep_for: float | None = None  # seconds
    ansible_args: tuple[str, ...] | None = None
    pass_env: tuple[str, ...] | None = None

    def over(self, other: Settings) -> Settings:
        """These settings, and the other's where these say nothing."""
        merged = {f.name: getattr(self, f.name) for f in fields(self)}
        return Settings(**{k: getattr(other, k) if v is None else v for k, v in merged.items()})


def load_settings(job_dir: Path | None, config_home: Path) -> Settings:
    """The settings beside the job over the user's own; JobError with every finding when a file is wrong."""
    found = Settings()
    candidates = [config_home / "benchhub" / "config.yml"]
    if job_dir is not None:
        candidates.append(job_dir / FILE_NAME)
    for path in candidates:
        if path.is_file():
            found = read_settings(path).over(found)
    return found


def read_settings(path: Path) -> Settings:
    """The settings of one file; JobError with every finding and its place."""
    try:
        source = Source(name=str(path), text=path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"{path}: the settings cannot be read: {error}") from None
    diagnostics = Diagnostics()
    values = _values(source, path.parent.absolute(), diagnostics)
    diagnostics.raise_if_errors()
    return Settings(**values)


def _values(source: Source, base: Path, diagnostics: Diagnostics) -> dict[str, Any]:
    try:
        root = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        span = Span(line=mark.line + 1, column=mark.column + 1) if mark else None
        _tell(diagnostics, source, "yaml", f"not YAML: {error.problem}", span)
        return {}
    except yaml.YAMLError as error:
        _tell(diagnostics, source, "yaml", f"not YAML: {error}", None)
        return {}
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        _tell(diagnostics, source, "settings", "settings are a mapping of keys to values", _span(root))
        return {}
    return _mapping(root, source, base, diagnostics)


def _mapping(root: yaml.MappingNode, source: Source, base: Path, diagnostics: Diagnostics) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in root.value:
        key = str(key_node.value)
        if key not in _READERS:
            close = difflib.get_close_matches(key, _READERS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(_READERS)}"
            _tell(diagnostics, source, "unknown-setting", f"there is no setting {key!r}", _span(key_node), hint)
        elif key in values:
            _tell(diagnostics, source, "duplicate-key", f"{key!r} is set twice", _span(key_node))
        else:
            try:
                values[key] = _READERS[key](_plain(value_node), base)
            except ValueError as error:
                _tell(diagnostics, source, "bad-setting", f"{key}: {error}", _span(value_node))
    return values


def _plain(node: yaml.Node) -> Any:
    """A scalar as its text, a sequence as a list of texts: no YAML 1.1 surprise turns ``no`` into a boolean."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [str(item.value) for item in node.value]
    raise ValueError("neither a text nor a list of texts")


def _text(value: Any, base: Path) -> str:  # noqa: ARG001 - all readers are called alike
    if not isinstance(value, str) or not value:
        raise ValueError("a text is wanted")
    return value


def _path(value: Any, base: Path) -> str:
    return str(base / Path(_text(value, base)).expanduser())


def _where(value: Any, base: Path) -> str:
    """WHERE, with a relative path of an inventory or a pool taken from the file's folder."""
    name, colon, rest = _text(value, base).partition(":")
    return f"{name}:{base / Path(rest).expanduser()}" if name in ("inventory", "pool") and rest else name + colon + rest


def _node_dir(value: Any, base: Path) -> str:
    if not _text(value, base).startswith("/"):
        raise ValueError("an absolute path on the nodes is wanted, such as /var/tmp")
    return _text(value, base)


def _profile(value: Any, base: Path) -> str:
    if _text(value, base) not in ("default", "portable"):
        raise ValueError("'default' or 'portable' is wanted")
    return _text(value, base)


def _duration(value: Any, base: Path) -> float:
    return parse_duration(_text(value, base))


def with_absolute_paths(arguments: Iterable[str], base: Path) -> tuple[str, ...]:
    """Arguments of Ansible with the files they name made absolute: Ansible runs in another folder than the user.

    A file is an argument, what follows its ``=``, or what follows an ``@`` there, that exists below ``base``.
    """
    return tuple(_absolute(argument, base) for argument in arguments)


def _absolute(argument: str, base: Path) -> str:
    option, equals, rest = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    at = "@" if rest.startswith("@") else ""
    try:
        path = base.absolute() / Path(rest.removeprefix("@")).expanduser()
        exists = bool(rest.removeprefix("@")) and path.exists()
    except (OSError, RuntimeError, ValueError):  # a text that can be no path
        return argument
    return f"{option}{equals}{at}{path}" if exists else argument


def _arguments(value: Any, base: Path) -> tuple[str, ...]:
    return with_absolute_paths(_list(value, base), base)


def _list(value: Any, base: Path) -> tuple[str, ...]:  # noqa: ARG001 - all readers are called alike
    if not isinstance(value, list):
        raise ValueError("a list of texts is wanted")
    return tuple(value)


_READERS: Mapping[str, Callable[[Any, Path], Any]] = {
    "on": _where,
    "runs_dir": _path,
    "node_dir": _node_dir,
    "profile": _profile,
    "keep_for": _duration,
    "ansible_args": _arguments,
    "pass_env": _list,
}


def _span(node: yaml.Node) -> Span:
    mark, end = node.start_mark, node.end_mark
    length = end.column - mark.column if end.line == mark.line else 0
    return Span(line=mark.line + 1, column=mark.column + 1, length=length)


def _tell(
    diagnostics: Diagnostics, source: Source, code: str, message: str, span: Span | None, hint: str | None = None
) -> None:
    diagnostics.add(Diagnostic(code=code, message=message, source=source, span=span, hint=hint))
