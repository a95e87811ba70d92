"""The job's secrets: read when the run starts, handed to Ansible in memory, masked in everything that is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import Diagnostic, JobError
from benchhub_ansible.job.model import Secret
from benchhub_ansible.source import Source

_MASK = "***"
#: Characters of a secret at least: a shorter text stands everywhere.
SHORTEST = 4


class Secrets:
    """The values of a job's secrets, by name. They live in memory and, for Ansible, in an anonymous file of ours."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._descriptor: int | None = None
        # The longest first, so that one that holds another is hidden whole.
        forms = {form for value in self._values.values() for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)

    @classmethod
    def read(
        cls,
        declared: Sequence[Secret],
        *,
        environ: Mapping[str, str],
        base: Path,
        required: bool = True,
        source: Source | None = None,
        names: Iterable[str] = (),
    ) -> Secrets:
        """The secrets a job declares, from the environment or from files; JobError with all that is wrong with them.

        Hiding one means replacing its text wherever it stands. That cannot be done with a very short one, nor with one
        that is a part of ``names``, by which the job calls its parts.
        """
        names = tuple(names)
        values: dict[str, str] = {}
        wrong: list[Diagnostic] = []
        for secret in declared:
            try:
                value = values[secret.name] = _value(secret, environ, base)
            except (KeyError, OSError, ValueError):
                wrong.append(_missing(secret, source))
            else:
                wrong.extend(_not_hidden(secret, value, names, source))
        if wrong and required:
            raise JobError(*wrong)
        return cls(values)

    def environment(self) -> dict[str, str]:
        """The variable that tells Ansible where to read them: a file that is on no disk and ends with this process."""
        if not self._values:
            return {}
        if self._descriptor is None:
            self._descriptor = os.memfd_create("benchhub-secrets")
            os.write(self._descriptor, json.dumps(self._values).encode())
        return {"BENCHHUB_SECRETS": f"/proc/{os.getpid()}/fd/{self._descriptor}"}

    def redact(self, data: Any) -> Any:
        """``data`` with every secret in any text of it replaced by ``***``."""
        if not self._forms:
            return data
        if isinstance(data, str):
            for form in self._forms:
                data = data.replace(form, _MASK)
            return data
        if isinstance(data, Mapping):
            return {self.redact(key): self.redact(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.redact(item) for item in data]
        return data


def _value(secret: Secret, environ: Mapping[str, str], base: Path) -> str:
    if secret.env is not None:
        return environ[secret.env]
    text = (base / Path(secret.file or "").expanduser()).read_text(encoding="utf-8")
    return text.removesuffix("\n")  # editors and `echo` end a file with a newline that is no part of the secret


def _forms(value: str) -> Iterator[str]:
    """The texts by which a secret shows: itself, and each line of it, plain and as JSON escapes them."""
    for text in _parts(value):
        yield from (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])


def _parts(value: str) -> Iterator[str]:
    """The whole, and its lines (outputs are told by their last lines) but those that stand everywhere."""
    if value:
        yield value
    yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= SHORTEST)


def _not_hidden(secret: Secret, value: str, names: Sequence[str], source: Source | None) -> Iterator[Diagnostic]:
    within = next((name for name in names for part in _parts(value) if part in name), None)
    if len(value) < SHORTEST:
        what = f"is shorter than {SHORTEST} characters" if value else "is empty"
    elif within is not None:
        what = f"is a part of the name {within!r}"
    else:
        return
    yield Diagnostic(
        code="weak-secret",
        message=f"secret {secret.name!r} {what}, so it cannot be hidden in what the run writes",
        source=source,
        span=secret.span,
        hint="use a longer one; what is no secret can be one of the vars" if within is None else "use another one",
    )


def _missing(secret: Secret, source: Source | None) -> Diagnostic:
    if secret.env is not None:
        what, hint = f"the environment variable {secret.env} is not set", f"export {secret.env}=… before the run"
    else:
        what, hint = f"the file {secret.file} cannot be read", "make it, readable by you alone (chmod 600)"
    message = f"secret {secret.name!r}: {what}"
    return Diagnostic(code="missing-secret", message=message, source=source, span=secret.span, hint=hint)
