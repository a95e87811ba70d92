"""The job's secrets: read when the run starts, handed to Ansible in memory, masked in everything that is written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchhub_ansible.errors import Diagnostic, JobError
from benchhub_ansible.job.model import Secret
from benchhub_ansible.source import Source

_MASK = "***"


class Secrets:
    """The values of a job's secrets, by name. They live in memory and, for Ansible, in an anonymous file of ours."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._descriptor: int | None = None
        # Where a text is nested in JSON its quotes and newlines are escaped; mask that form too, the longest first.
        forms = {form for value in self._values.values() if value for form in (value, json.dumps(value)[1:-1])}
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
    ) -> Secrets:
        """The secrets a job declares, from the environment or from files; JobError naming every one that is missing."""
        values: dict[str, str] = {}
        missing: list[Diagnostic] = []
        for secret in declared:
            try:
                values[secret.name] = _value(secret, environ, base)
            except (KeyError, OSError, UnicodeDecodeError):
                missing.append(_missing(secret, source))
        if missing and required:
            raise JobError(*missing)
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


def _missing(secret: Secret, source: Source | None) -> Diagnostic:
    if secret.env is not None:
        what, hint = f"the environment variable {secret.env} is not set", f"export {secret.env}=… before the run"
    else:
        what, hint = f"the file {secret.file} cannot be read", "make it, readable by you alone (chmod 600)"
    message = f"secret {secret.name!r}: {what}"
    return Diagnostic(code="missing-secret", message=message, source=source, span=secret.span, hint=hint)
