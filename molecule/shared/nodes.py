"""Makes and removes molecule's nodes: containers of the scheduler `docker`, as `benchhub run --on docker` has them.

usage: nodes.py up RUN_ID OPTIONS INSTANCE_CONFIG PLATFORMS_AS_JSON | nodes.py down RUN_ID
"""

import json
import sys
from pathlib import Path

from benchhub_ansible.errors import BenchhubError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.docker.scheduler import DockerScheduler
from benchhub_ansible.source import Span


def up(run_id: str, options: str, instance_config: str, platforms: str) -> None:
    """Starts a node for every platform and tells molecule how it is reached."""
    names = [str(platform["name"]) for platform in json.loads(platforms)]
    span = Span(line=1, column=1)
    request = Request(
        slots=tuple(Slot(name=name, node=name, type=name, index=0) for name in names),
        nodes=tuple(NodeRequest(name=name, type=name, count=1, span=span) for name in names),
    )
    scheduler = DockerScheduler.from_where(options)
    scheduler.check(request)
    allocation = scheduler.acquire(request, run_id=run_id, progress=print, cancelled=lambda: False)
    instances = [
        {
            "instance": node.slot,
            "address": node.vars["ansible_host"],
            "user": node.vars["ansible_user"],
            "port": node.vars["ansible_port"],
            "identity_file": node.vars["ansible_ssh_private_key_file"],
        }
        for node in allocation.nodes
    ]
    Path(instance_config).write_text(json.dumps(instances, indent=2), encoding="utf-8")


def down(run_id: str) -> None:
    """Removes what `up` has made, or a part of it that was made before it was ended."""
    DockerScheduler.from_where("").recover(run_id, None)


if __name__ == "__main__":
    try:
        {"up": up, "down": down}[sys.argv[1]](*sys.argv[2:])
    except BenchhubError as error:
        sys.exit(error.render())
