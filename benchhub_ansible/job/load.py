"""``load``: text → Job, or every finding at once."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from pathlib import Path

from benchhub_ansible import registry
from benchhub_ansible.errors import Diagnostic, Diagnostics, JobError
from benchhub_ansible.job.build import JobBuilder
from benchhub_ansible.job.checks import check_job
from benchhub_ansible.job.model import BUILTIN_DRIVERS, Job
from benchhub_ansible.job.notation import check_characters, find_notation
from benchhub_ansible.job.references import check_references
from benchhub_ansible.job.schema import check_schema
from benchhub_ansible.job.tree import MappingNode, Node, syntax_error
from benchhub_ansible.job.values_reader import ValuesReader
from benchhub_ansible.job.yaml_reader import read_yaml
from benchhub_ansible.source import Source

#: Larger files are refused unread: 1,000 stages take less than one of these.
MAX_BYTES = 16 * 2**20

#: Longest message or hint: names that are quoted in it come from the file, and may be of any length.
MAX_MESSAGE = 400


@dataclass(frozen=True, kw_only=True)
class LoadedJob:
    """A job that can be planned, and what its author should know about it."""

    job: Job
    warnings: tuple[Diagnostic, ...] = ()


def load_file(path: Path) -> LoadedJob:
    """The job of a file; JobError when it cannot be read or is not a job."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise JobError(f"{path} is a folder, not a job file", hint="name the job file in it")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise JobError(f"{path} cannot be read: {reason or error}") from None
    return load_bytes(data, name=str(path))


def load_bytes(data: bytes, *, name: str) -> LoadedJob:
    """The job of a file's content; JobError when that is too large, not UTF-8 or not a job."""
    if len(data) > MAX_BYTES:
        raise JobError(f"{name} is larger than {MAX_BYTES // 2**20} MiB; that is no job file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JobError(f"{name} is not UTF-8 text (line {line})", hint="save it as UTF-8") from None
    return load_job(Source(name=name, text=text))


def load_job(source: Source) -> LoadedJob:
    """The job of a text in either notation; JobError carries all findings, warnings too, in the order of the file."""
    found: list[Diagnostic] = []
    notation, text = find_notation(source)
    check_characters(source, text)
    drivers = frozenset(BUILTIN_DRIVERS) | frozenset(registry.names("driver"))
    if notation == "yaml":
        root: Node = read_yaml(source, text, found)
    else:
        # lark takes 60 ms to import: only who writes brace notation pays for it
        from benchhub_ansible.job.brace_reader import read_brace  # noqa: PLC0415

        root = read_brace(source, text, found, drivers=drivers)
    if not isinstance(root, MappingNode):
        raise syntax_error(
            source, root.span, "a job is a mapping of keys such as name, stages and pipeline", code="wrong-type"
        )
    job = _build(root, source=source, notation=notation, drivers=drivers, found=found)
    diagnostics = Diagnostics()
    diagnostics.extend(dict.fromkeys(_bounded(item) for item in found))
    diagnostics.raise_if_errors(JobError)
    return LoadedJob(job=job, warnings=tuple(diagnostics.items))


def _bounded(diagnostic: Diagnostic) -> Diagnostic:
    """The finding with what it quotes cut to a length that a terminal can take."""
    hint = diagnostic.hint
    return replace(diagnostic, message=_cut(diagnostic.message), hint=None if hint is None else _cut(hint))


def _cut(text: str) -> str:
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= MAX_MESSAGE else f"{shown[: MAX_MESSAGE // 2]} … {shown[-MAX_MESSAGE // 4 :]}"


def _build(
    root: MappingNode, *, source: Source, notation: str, drivers: frozenset[str], found: list[Diagnostic]
) -> Job:
    checked = check_schema(root, source=source, drivers=drivers)
    found.extend(checked.found)
    read = ValuesReader(source=source, found=found, bad=frozenset(checked.bad))
    job = JobBuilder(read=read, drivers=drivers).job(root, source=source, notation=notation)
    found.extend(check_job(job, lost=frozenset(checked.lost)))
    found.extend(check_references(job, root, lost=frozenset(checked.lost)))
    return job
