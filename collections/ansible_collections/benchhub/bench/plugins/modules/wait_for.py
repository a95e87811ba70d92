"""Documentation of the action wait_for; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for
short_description: Wait on the nodes until something is ready
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - >-
    Takes the arguments of M(ansible.builtin.wait_for) and more. The node polls every few tens of milliseconds,
    and the wait ends at once when the service it belongs to dies.
options:
  host:
    description: Host of O(port), as seen from the node.
    type: str
    default: 127.0.0.1
  port:
    description: TCP port to look at.
    type: int
  timeout:
    description: Limit for the wait, in seconds.
    type: float
    default: 300.0
  connect_timeout:
    description: Limit for one try, in seconds.
    type: float
    default: 5.0
  delay:
    description: Seconds before the first try.
    type: float
    default: 0.0
  sleep:
    description: Seconds between tries; the builtin's name of O(interval).
    type: float
  interval:
    description:
      - Seconds between tries. By default 0.03.
      - After a O(command) it is by default nine times as long as that took, and at most 1. A command starts a program,
        and what is waited for, such as a database that starts, is to have the machine for itself.
    type: float
  successes:
    description: So many tries in a row must succeed.
    type: int
    default: 1
  path:
    description: A file on the node.
    type: str
  search_regex:
    description: A regular expression to find in the file, or in what the port says.
    type: str
  state:
    description: >-
      What to wait for; V(stopped) and V(absent) wait for the opposite, V(drained) for a port without
      connections.
    type: str
    default: started
    choices: [started, present, stopped, absent, drained]
  exclude_hosts:
    description: Not supported; refused.
    type: list
    elements: str
  active_connection_states:
    description: As the builtin's; its names are checked, all active states always count.
    type: list
    elements: str
  msg:
    description: What to say when time is up.
    type: str
  url:
    description: A URL that must answer.
    type: str
  status:
    description: Accepted HTTP status codes; any 2xx when empty.
    type: list
    elements: int
    default: []
  body:
    description: A regular expression that the HTTP body must hold.
    type: str
  command:
    description: A command for sh that must end with 0.
    type: str
  env:
    description: Environment variables of O(command).
    type: dict
    default: {}
  chdir:
    description: Working directory of O(command).
    type: str
  user:
    description: User of O(command).
    type: str
  become:
    description: Runs O(command) as O(user), or as root.
    type: bool
    default: false
  log:
    description: A regular expression that the output of O(service) must hold.
    type: str
  service:
    description: The service this is about; when it ends the wait ends, with its exit code and last lines.
    type: str
  watch:
    description: Groups or slots whose services must stay alive meanwhile; the task fails when one of them ends.
    type: list
    elements: str
    default: []
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
- name: Wait until Cassandra is ready
  benchhub.bench.wait_for:
    service: cassandra
    port: 9042
    timeout: 120
  run_once: true

- name: Wait for an answer
  benchhub.bench.wait_for:
    url: http://localhost:8080/api/v1/health
    status: [200, 204]
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(elapsed), C(attempts) and C(last_error).
  returned: always
  type: dict
  sample: {version: 1, op: wait_for, hosts: {db: {status: ok, state: ready, elapsed: 1.2, attempts: 24}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
