"""The reference job as a careful person tunes it for EnOSlib: static provider, forks = N, no facts, no spinner.

enoslib_job.py SETUP.json. Pipelining and ControlPersist come from ansible.cfg (ANSIBLE_CONFIG).
"""

import json
import sys
from pathlib import Path

import enoslib as en


def machines(setup: dict) -> list[dict]:
    def machine(number: int, address: str) -> dict:
        role = "loader" if number else "database"
        return {
            "alias": f"h{number:03d}",
            "address": address,
            "port": setup["ssh_port"],
            "user": setup["ssh_user"],
            "keyfile": setup["ssh_key"],
            "roles": [role],
            "extra": {"ansible_python_interpreter": setup["python"], "bench_role": role},
        }

    return [machine(number, address) for number, address in enumerate(setup["addresses"])]


def main(setup_file: str) -> None:
    setup = json.loads(Path(setup_file).read_text())
    here, directory, central = setup["reference"], setup["directory"], setup["addresses"][0]
    store_port, api_port = setup["store_port"], setup["api_port"]
    en.set_config(ansible_forks=len(setup["addresses"]), ansible_stdout="noop")
    provider = en.Static(
        en.StaticConf.from_dictionary({"resources": {"machines": machines(setup), "networks": []}}).finalize()
    )
    roles, _ = provider.init()
    database, loaders = roles["database"], roles["loader"]

    def steps(*names: str) -> str:
        return " && ".join(f"sh {here}/step.sh {directory} {name} {{{{ ansible_host }}}}" for name in names)

    def start(name: str, port: int, needed: int | str = "") -> str:
        """Starts a service detached and waits until its port is open: `wait_for` sleeps a second between two tries."""
        service = f"/usr/bin/python3 -I -S {here}/service.py {directory} {name} {central} {port} {needed}"
        return (
            f"setsid nohup {service} > {directory}/{name}.out 2>&1 < /dev/null & echo $! > {directory}/{name}.pid; "
            f"until (: < /dev/tcp/{central}/{port}) 2> /dev/null; do kill -0 $! || exit 1; sleep 0.02; done"
        )

    # One `actions` is one play. The parallel group is one task whose script differs by role; the database's two stages
    # run side by side inside its script.
    scripts = {
        "loader": steps("install-loader-1", "install-loader-2"),
        "database": f"({steps('install-database-1', 'install-database-2')}) & install=$!; "
        f"{steps('build-1', 'build-2', 'build-3')} && wait $install",
    }
    try:
        with en.actions(roles=roles, extra_vars={"scripts": scripts}) as group:
            group.shell("{{ scripts[bench_role] }}")
        with en.actions(roles=database) as services:
            services.shell(
                f"{start('store', store_port)}; {start('api', api_port, store_port)}", executable="/bin/bash"
            )
        with en.actions(roles=loaders) as work:
            ping = f"bash {here}/ping.sh {directory} {{{{ ansible_host }}}} {central} {api_port}"
            work.shell(f"for pause in 1 1 1; do {ping} && exit 0; sleep $pause; done; {ping}")
            work.shell(steps("load"))
    finally:
        with en.actions(roles=database) as stop:
            stop.shell(
                f"for name in api store; do pid=$(cat {directory}/$name.pid) && kill $pid || continue; "
                "while kill -0 $pid; do sleep 0.02; done; done 2> /dev/null"
            )
        with en.actions(roles=roles) as clean:
            clean.shell(f"sh {here}/clean.sh {directory} {{{{ ansible_host }}}}")


main(*sys.argv[1:])
