"""Documentation of the action join; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: join
short_description: Wait for steps that were started earlier
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - Waits until units that M(benchhub.bench.start) began with C(join=false) have ended, or one of them has failed.
options:
  units:
    description: Unit name to a list of the groups or slots it was started on.
    type: dict
    required: true
  title:
    description: What messages call this.
    type: str
  watch:
    description: Groups or slots whose services must stay alive meanwhile; the task fails when one of them ends.
    type: list
    elements: str
    default: []
  deadline:
    description: Limit for the wait, in seconds; the units have limits of their own.
    type: float
notes:
  - Give the task C(run_once=true); it then reaches every host of the play itself, through that host's own connection.
  - Texts may hold references such as C(${node.address}); everything else in them reaches the node as it is.
seealso:
  - module: benchhub.bench.prepare
"""

EXAMPLES = r"""
- name: Wait for the first group
  benchhub.bench.join:
    units:
      install-loader: [loader]
      install-database: [db]
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(units).
  returned: always
  type: dict
  sample: {version: 1, op: join, hosts: {db: {status: ok, state: done, units: {}}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
