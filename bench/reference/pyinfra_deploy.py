"""The reference job as a careful person tunes it for pyinfra: one operation per group of the pipeline, on all nodes.

pyinfra ends one operation on all nodes before the next begins, so a parallel group must be one operation whose commands
differ by node. There is no ``always``: after a failure nobody stops the services.
"""

import json
import os
from pathlib import Path

from pyinfra import host
from pyinfra.operations import server

_setup = json.loads(Path(os.environ["BENCH_SETUP"]).read_text())
_here, _dir, _address = _setup["reference"], _setup["directory"], host.name
_central = _setup["addresses"][0]
_is_database = "database" in host.groups


def _steps(*names: str) -> str:
    return " && ".join(f"sh {_here}/step.sh {_dir} {name} {_address}" for name in names)


def _start(name: str, port: int, needed: int | str = "") -> str:
    """A shell line that starts a service detached and ends when it is ready; exit code 1 when it died."""
    service = f"/usr/bin/python3 -I -S {_here}/service.py {_dir} {name} {_address} {port} {needed}"
    return (
        f"setsid nohup {service} > {_dir}/{name}.out 2>&1 < /dev/null & pid=$!; echo $pid > {_dir}/{name}.pid; "
        f"until (: < /dev/tcp/{_address}/{port}) 2> /dev/null; do kill -0 $pid || exit 1; sleep 0.02; done"
    )


def _stop(name: str) -> str:
    return f"pid=$(cat {_dir}/{name}.pid); kill $pid; while kill -0 $pid 2> /dev/null; do sleep 0.02; done"


def _on(is_here: bool, *commands: str) -> list[str]:
    """The commands, or none on the other nodes: an operation that all nodes have keeps the order of the pipeline."""
    return list(commands) if is_here else []


_group_1 = _on(not _is_database, _steps("install-loader-1", "install-loader-2")) + _on(
    _is_database,
    f"({_steps('install-database-1', 'install-database-2')}) & install=$!; "
    f"{_steps('build-1', 'build-2', 'build-3')} && wait $install",
)
_ping = f"bash {_here}/ping.sh {_dir} {_address} {_central} {_setup['api_port']}"
_start_store = _start("store", _setup["store_port"])
_start_api = _start("api", _setup["api_port"], _setup["store_port"])

server.shell(name="Install the loader, install the database, build", commands=_group_1)
server.shell(name="Start the store", commands=_on(_is_database, _start_store), _shell_executable="bash")
server.shell(name="Start the API", commands=_on(_is_database, _start_api), _shell_executable="bash")
server.shell(name="Ping", commands=_on(not _is_database, _ping), _retries=3, _retry_delay=1)
server.shell(name="Load", commands=_on(not _is_database, _steps("load")))
server.shell(name="Stop the services, the last one first", commands=_on(_is_database, _stop("api"), _stop("store")))
server.shell(name="Clean", commands=[f"sh {_here}/clean.sh {_dir} {_address}"])
