"""Who takes part in bench/overhead.py, and how each is started. The jobs themselves are in bench/reference/."""

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rivals import python_of

BENCH = Path(__file__).resolve().parent
REFERENCE = BENCH / "reference"
_BIN = Path(sys.executable).parent  # benchhub's environment: not resolved, a venv's python is a link


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One run's own directory, nodes and ports, as every contender is told them."""

    directory: Path
    nodes: dict[str, Any]  # what nodes.py printed
    ports: tuple[int, int]  # of the store and of the API

    @property
    def file(self) -> Path:
        return self.directory / "setup.json"

    @property
    def addresses(self) -> list[str]:
        return list(self.nodes["addresses"])

    def values(self) -> dict[str, Any]:
        store_port, api_port = self.ports
        return {
            **self.nodes,
            "reference": str(REFERENCE),
            "directory": str(self.directory),
            "store_port": store_port,
            "api_port": api_port,
            "python": "/usr/bin/python3",
        }

    def write(self) -> None:
        self.file.write_text(json.dumps(self.values()))


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to run the reference job. ``prepare`` is done before the clock starts."""

    name: str
    argv: Callable[[Setup], list[str]]
    prepare: Callable[[], object] = lambda: None
    title: str


def environment(setup: Setup) -> dict[str, str]:
    """The same for all: a small environment, a home and a folder for ssh masters that are new for this run."""
    for name in ("home", "cp", "node-dir"):
        (setup.directory / name).mkdir()
    return {
        "PATH": f"{_BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(setup.directory / "home"),
        "LANG": "C.UTF-8",
        "USER": os.environ.get("USER", "root"),
        "ANSIBLE_CONFIG": str(REFERENCE / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(setup.directory / "cp"),
        "BENCH_SETUP": str(setup.file),
    }


def _bare(setup: Setup) -> list[str]:
    return [sys.executable, str(REFERENCE / "bare.py"), str(setup.file)]


def _playbook(name: str) -> Callable[[Setup], list[str]]:
    def argv(setup: Setup) -> list[str]:
        values = setup.values()
        extra = {"dir": values["directory"], **{key: values[key] for key in ("reference", "store_port", "api_port")}}
        nodes = ["-i", setup.nodes["inventory"], "--forks", str(len(setup.addresses))]
        return [str(_BIN / "ansible-playbook"), *nodes, "-e", json.dumps(extra), str(REFERENCE / name)]

    return argv


def _pyinfra(setup: Setup) -> list[str]:
    program = python_of("pyinfra").parent / "pyinfra"
    files = [str(REFERENCE / name) for name in ("pyinfra_inventory.py", "pyinfra_deploy.py")]
    return [str(program), "--yes", "--parallel", str(len(setup.addresses)), *files]


def _enoslib(setup: Setup) -> list[str]:
    return [str(python_of("enoslib")), str(REFERENCE / "enoslib_job.py"), str(setup.file)]


def _benchhub(*options: str) -> Callable[[Setup], list[str]]:
    def argv(setup: Setup) -> list[str]:
        text = (REFERENCE / "job.yml").read_text()
        job = setup.directory / "job.yml"
        job.write_text(re.sub(r"(?m)^    count: 2$", f"    count: {len(setup.addresses) - 1}", text))
        store_port, api_port = setup.ports
        values = {"dir": setup.directory, "reference": REFERENCE, "store_port": store_port, "api_port": api_port}
        variables = [part for key, value in values.items() for part in ("--var", f"{key}={value}")]
        where = ["--on", f"inventory:{setup.nodes['inventory']}", "--runs-dir", str(setup.directory / "runs")]
        where += ["--node-dir", str(setup.directory / "node-dir")]
        return [str(_BIN / "benchhub"), "run", str(job), *where, *variables, *options]

    return argv


BARE = Contender(name="bare", argv=_bare, title="bare processes (the floor)")
TUNED = Contender(name="tuned", argv=_playbook("tuned.yml"), title="hand-tuned playbook")
CONTENDERS = (
    BARE,
    TUNED,
    Contender(name="scripts", argv=_playbook("scripts.yml"), title="the same, each group one shell script"),
    Contender(name="enoslib", argv=_enoslib, prepare=lambda: python_of("enoslib"), title="EnOSlib"),
    Contender(name="pyinfra", argv=_pyinfra, prepare=lambda: python_of("pyinfra"), title="pyinfra"),
    Contender(name="benchhub", argv=_benchhub(), title="benchhub run"),
    Contender(name="portable", argv=_benchhub("--profile", "portable"), title="benchhub run --profile portable"),
)
