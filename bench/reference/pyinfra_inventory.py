"""The nodes as pyinfra reads them: groups ``database`` and ``loader``, from the harness' setup file."""

import json
import os
from pathlib import Path

_setup = json.loads(Path(os.environ["BENCH_SETUP"]).read_text())


def _node(address: str) -> tuple[str, dict[str, object]]:
    return address, {
        "ssh_hostname": address,
        "ssh_port": _setup["ssh_port"],
        "ssh_user": _setup["ssh_user"],
        "ssh_key": _setup["ssh_key"],
        "ssh_known_hosts_file": _setup["known_hosts"],
        "ssh_allow_agent": False,  # the tuned way: no other key is tried
        "ssh_look_for_keys": False,
    }


database = [_node(_setup["addresses"][0])]
loader = [_node(address) for address in _setup["addresses"][1:]]
