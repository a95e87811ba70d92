"""Values of the job's secrets, from where the controller or the inventory says they are; never kept on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

#: Names a JSON file {name: value} that only the controller's processes can read.
SECRETS_FILE = "BENCHHUB_SECRETS"


class MissingSecretError(ValueError):
    """A secret that is needed has no value; the message says how to give it one."""


class Secrets:
    """The secrets that ``spec`` (name → {env: …} or {file: …}) declares, read when first asked for."""

    def __init__(self, spec, environ=None):
        self._spec = spec or {}
        self._environ = os.environ if environ is None else environ
        self._given = None

    def value(self, name):
        """The value of one secret; MissingSecretError when there is none."""
        given = self._from_controller()
        if name in given:
            return given[name]
        source = self._spec.get(name)
        if source is None:
            raise MissingSecretError("the job names no secret %s" % name)
        if source.get("env"):
            return self._from_environment(name, source["env"])
        return self._from_file(name, source.get("file") or "")

    def masks(self):
        """Every value there is, and every line of one, longest first: one that contains another is hidden whole."""
        values = set(self._from_controller().values())
        for name in self._spec:
            try:
                values.add(self.value(name))
            except MissingSecretError:
                continue
        # the last lines of an output are told one by one; a line that is too short stands everywhere
        values.update(line.strip() for value in list(values) for line in value.splitlines() if len(line.strip()) > 3)
        return sorted((value for value in values if value), key=len, reverse=True)

    def _from_controller(self):
        if self._given is None:
            path = self._environ.get(SECRETS_FILE)
            try:
                self._given = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
            except (OSError, ValueError) as error:
                raise MissingSecretError(
                    "the controller's secrets cannot be read: %s" % type(error).__name__
                ) from error
        return self._given

    def _from_environment(self, name, variable):
        if variable not in self._environ:
            raise MissingSecretError("secret %s has no value: set the environment variable %s" % (name, variable))
        return self._environ[variable]

    def _from_file(self, name, path):
        try:
            return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise MissingSecretError("secret %s has no value: %s cannot be read" % (name, path)) from error


def masked(value, masks):
    """A copy of a JSON value in which no string, and no key of a mapping, holds a secret."""
    if isinstance(value, str):
        for secret in masks:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {masked(key, masks): masked(item, masks) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, masks) for item in value]
    return value
