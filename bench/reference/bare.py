"""The reference job as plain local processes: no ssh, no tool. Its CPU is the floor that every contender pays.

bare.py SETUP.json: runs the job's commands, then writes ``bare.json`` with the CPU seconds they took.
"""

import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

Argv = list[str]


def all_ok(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit("a command of the reference job failed")


def start_service(argv: Argv, address: str, port: int) -> subprocess.Popen[bytes]:
    service = subprocess.Popen(argv)
    while service.poll() is None:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return service
    raise SystemExit(f"{argv} ended before it was ready")


def main(setup_file: str) -> None:
    setup = json.loads(Path(setup_file).read_text())
    here, directory = setup["reference"], setup["directory"]
    database, *loaders = setup["addresses"]
    store_port, api_port = setup["store_port"], setup["api_port"]

    def steps(address: str, *names: str) -> subprocess.Popen[bytes]:
        script = " && ".join(f'sh "$0/step.sh" "$1" {name} {address}' for name in names)
        return subprocess.Popen(["/bin/sh", "-c", script, here, directory])

    installs = [steps(address, "install-loader-1", "install-loader-2") for address in loaders]
    installs.append(steps(database, "install-database-1", "install-database-2"))
    installs.append(steps(database, "build-1", "build-2", "build-3"))
    all_ok(installs)
    python = ["/usr/bin/python3", "-I", "-S", f"{here}/service.py", directory]
    store = start_service([*python, "store", database, str(store_port)], database, store_port)
    api = start_service([*python, "api", database, str(api_port), str(store_port)], database, api_port)
    ping = ["/bin/bash", f"{here}/ping.sh", directory]
    all_ok([subprocess.Popen([*ping, address, database, str(api_port)]) for address in loaders])
    all_ok([steps(address, "load") for address in loaders])
    for service in (api, store):
        service.terminate()
        service.wait()
    all_ok([subprocess.Popen(["/bin/sh", f"{here}/clean.sh", directory, address]) for address in setup["addresses"]])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    Path(directory, "bare.json").write_text(json.dumps({"cpu": used.ru_utime + used.ru_stime}))


main(*sys.argv[1:])
