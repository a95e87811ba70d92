"""Documentation of the action collect; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: collect
short_description: Bring home files of the nodes
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - Fetches the files that match on the hosts of the play, as they are now. Nothing is ended or removed.
  - For files that a later stage removes; M(benchhub.bench.finish) brings home what is there at the end.
options:
  files:
    description: Slot or group to a list of paths or globs; relative to the run directory.
    type: dict
    required: true
  dest:
    description: Folder on the controller; each slot gets one below it.
    type: str
    required: true
  limit:
    description: Bytes kept of each file; of a longer one its beginning and end.
    type: int
    default: 67108864
  title:
    description: What messages call this.
    type: str
notes:
  - Give the task C(run_once=true); it then reaches every host of the play itself, through that host's own connection.
  - Texts may hold references such as C(${node.address}); everything else in them reaches the node as it is.
seealso:
  - module: benchhub.bench.finish
"""

EXAMPLES = r"""
- name: Collect before the clean-up
  benchhub.bench.collect:
    files:
      database: ["/var/log/cassandra/*.log"]
    dest: "{{ playbook_dir }}/../collected"
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(files), C(missing), C(unreadable), C(cut), C(lost) or C(gone).
  returned: always
  type: dict
  sample: {version: 1, op: collect, hosts: {db: {status: ok, files: 6, missing: []}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
