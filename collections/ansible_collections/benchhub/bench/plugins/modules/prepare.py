"""Documentation of the action prepare; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prepare
short_description: Start the supervisor on the nodes
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - >-
    Puts the supervisor on every host of the play, starts it, and learns what the node is and how far its clock
    is off.
options:
  lease:
    description: Seconds after which a node that hears nothing from a controller ends what runs there.
    type: float
    default: 60.0
  retention:
    description: Seconds that logs stay on a node whose lease has run out, before they are removed.
    type: float
    default: 900.0
  become_on:
    description: Groups or slots where tasks use C(become) or C(user); the supervisor runs as root there.
    type: list
    elements: str
    default: []
notes:
  - Give the task C(run_once=true); it then reaches every host of the play itself, through that host's own connection.
  - Texts may hold references such as C(${node.address}); everything else in them reaches the node as it is.
seealso:
  - module: benchhub.bench.start
"""

EXAMPLES = r"""
- name: Start the supervisor on every node
  benchhub.bench.prepare:
    lease: 60
    become_on: [database]
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(facts) and C(clock).
  returned: always
  type: dict
  sample:
    {version: 1, op: prepare, hosts: {db: {status: ok, facts: {cores: 4}, clock: {offset: 0.0, uncertainty:
    0.0}}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
