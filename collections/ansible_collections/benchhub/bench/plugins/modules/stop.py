"""Documentation of the action stop; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stop
short_description: Stop services, or stages that still run, on the nodes
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - Stops services in the given order, each fully before the next. A host that has none of them is fine.
options:
  services:
    description: Names of the services, in the order to stop them.
    type: list
    elements: str
    default: []
  stages:
    description: Ends the stages that still run, before any service; for the teardown of a job that has failed.
    type: bool
    default: false
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
- name: Stop what this turn started
  benchhub.bench.stop:
    services: [kairosdb, cassandra]
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(units), or C(gone) where no supervisor was left.
  returned: always
  type: dict
  sample: {version: 1, op: stop, hosts: {db: {status: ok, units: {}}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
