"""Documentation of the action finish; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: finish
short_description: End everything on the nodes and bring home what was collected
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - >-
    Stops whatever still runs on every host of the play, fetches logs and files, and removes all that benchhub
    put there. Hosts that failed earlier in the play are reached too.
options:
  collect:
    description: Slot or group to a list of paths or globs to bring home; relative to the run directory.
    type: dict
    default: {}
  dest:
    description: Folder on the controller; each slot gets one below it. Nothing is fetched when empty.
    type: str
    default: ""
  limit:
    description: Bytes kept of each file; of a longer one its beginning and end.
    type: int
    default: 67108864
  keep:
    description: Seconds that services and files stay; nothing is stopped or removed now.
    type: float
  become_on:
    description: Groups or slots where the supervisor ran as root, as in M(benchhub.bench.prepare).
    type: list
    elements: str
    default: []
  containers:
    description: How container engines were spoken to. Where no supervisor is left, containers, networks and volumes
      with the run's label are looked for in this way and removed.
    type: list
    elements: dict
    default: []
    suboptions:
      hosts:
        description: Slots and groups.
        type: list
        elements: str
        required: true
      engine:
        description: V(docker) or V(podman). Default is C(benchhub_engine) of the slot, else what is there.
        type: str
      env:
        description: Environment of the engine's command line.
        type: dict
        default: {}
      become:
        description: Whether it was spoken to as O(containers[].user), or as root.
        type: bool
        default: false
      user:
        description: The user, when it was not the login user.
        type: str
  title:
    description: What messages call this.
    type: str
notes:
  - Give the task C(run_once=true); it then reaches every host of the play itself, through that host's own connection.
  - Texts may hold references such as C(${node.address}); everything else in them reaches the node as it is.
seealso:
  - module: benchhub.bench.prepare
"""

EXAMPLES = r"""
- name: Collect and clean up
  benchhub.bench.finish:
    collect:
      database: ["/var/log/cassandra/*.log"]
    dest: "{{ playbook_dir }}/../collected"
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(units), C(files), C(missing), C(unreadable), C(cut), C(lost) or C(gone).
  returned: always
  type: dict
  sample: {version: 1, op: finish, hosts: {db: {status: ok, files: 6, missing: []}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
