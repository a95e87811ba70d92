"""Documentation of the action start; it runs on the controller, in plugins/action."""

from __future__ import annotations

DOCUMENTATION = r"""
module: start
short_description: Run steps on the nodes
version_added: "0.1.0"
author: The benchhub developers (@benchhub)
description:
  - Hands a list of steps to the supervisor of every host of the play and, unless told otherwise, waits for them.
options:
  unit:
    description: Name of this list of steps, unique in the run.
    type: str
    required: true
  title:
    description: What messages call this.
    type: str
  steps:
    description: What to run, one after the other; the first that fails ends the list.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the step is called in results and messages.
        type: str
        required: true
      shell:
        description: A script for sh. Reaches the node byte for byte, references aside.
        type: str
      argv:
        description: A command as a list of arguments; no shell is involved.
        type: list
        elements: str
      container:
        description: A command of docker or podman on the node. Containers carry the labels C(benchhub.run),
          C(benchhub.slot) and C(benchhub.unit), and are removed with their anonymous volumes when they have ended.
        type: dict
        suboptions:
          verb:
            description: What to do.
            type: str
            required: true
            choices: [run, exec, stop, pull, build]
          engine:
            description: V(docker) or V(podman). Default is C(benchhub_engine) of the slot, else what is there.
            type: str
          argv:
            description: Arguments of the engine's command; without any, V(stop) is of the unit's own containers.
            type: list
            elements: str
            default: []
          volumes:
            description: What V(run) mounts. A volume with a name that is not there is made, and removed with the run.
            type: list
            elements: str
            default: []
          network:
            description: The network of V(run); one that is not there is made, and removed with the run.
            type: str
          container:
            description: The container that V(exec) runs in.
            type: str
          context:
            description: What V(build) builds from. A relative path is a folder beside the job, sent to the node.
            type: str
          file:
            description: The Dockerfile, relative to C(context).
            type: str
          env:
            description: Environment of the engine's command line, for values that no process list is to show.
            type: dict
            default: {}
          grace:
            description: Seconds that V(stop) gives the unit's own containers.
            type: float
      executable:
        description: The shell that runs O(shell) instead of C(/bin/sh).
        type: str
      env:
        description: Environment variables to set.
        type: dict
        default: {}
      chdir:
        description: Working directory on the node; relative to the run directory, which is the default.
        type: str
      become:
        description: Runs as O(user), or as root. The slot must be among C(become_on) of M(benchhub.bench.prepare).
        type: bool
        default: false
      user:
        description: User to run as, when it is not the login user.
        type: str
      line:
        description: Line of the job file, repeated in messages.
        type: int
      copy:
        description: Puts a file or folder of the controller, or a text, on the node.
        type: dict
        suboptions:
          src:
            description: >-
              Path on the controller, relative to C(benchhub_job_dir). One of this and C(content) is needed.
            type: str
          content:
            description: The text itself.
            type: str
          dest:
            description: Path on the node; relative to the run directory.
            type: str
            required: true
          mode:
            description: Permissions, as an octal string.
            type: raw
          owner:
            description: Owner of the file.
            type: str
          group:
            description: Group of the file.
            type: str
      template:
        description: Puts a file on the node that Ansible renders with the variables of the slot.
        type: dict
        suboptions:
          src:
            description: Path of the template on the controller, relative to C(benchhub_job_dir).
            type: str
            required: true
          dest:
            description: Path on the node; relative to the run directory.
            type: str
            required: true
          mode:
            description: Permissions, as an octal string.
            type: raw
          owner:
            description: Owner of the file.
            type: str
          group:
            description: Group of the file.
            type: str
      fetch:
        description: >-
          A path or glob that must match something when the step runs.
          M(benchhub.bench.finish) brings it home when its C(collect) names it.
        type: str
      async_job:
        description: >-
          The variable that an earlier task of the play with C(async) and C(poll=0) has registered. The step waits for
          that module on the node, ends it at O(steps[].timeout), and fails if it fails. Where the task was skipped, so
          is the step. The play sets C(ansible_async_dir) to C(.async) in the run directory.
        type: str
      timeout:
        description: Limit for one try, in seconds.
        type: float
      grace:
        description: Seconds between TERM and KILL when the step is ended.
        type: float
      retries:
        description: How often a step that failed is tried again.
        type: int
        default: 0
      delay:
        description: Seconds before each further try.
        type: float
        default: 1.0
      only_if:
        description: A command for sh on the node; the step is skipped unless it ends with 0.
        type: str
  together:
    description: Starts at one instant on all hosts, corrected by each one's clock offset.
    type: bool
    default: false
  late_limit:
    description: Seconds a host may start after the common instant; more makes the task fail.
    type: float
    default: 0.25
  join:
    description: Waits until the steps have ended everywhere, or one has failed.
    type: bool
    default: true
  watch:
    description: Groups or slots whose services must stay alive meanwhile; the task fails when one of them ends.
    type: list
    elements: str
    default: []
  deadline:
    description: Limit for all steps together, in seconds.
    type: float
notes:
  - Give the task C(run_once=true); it then reaches every host of the play itself, through that host's own connection.
  - Texts may hold references such as C(${node.address}); everything else in them reaches the node as it is.
seealso:
  - module: benchhub.bench.prepare
"""

EXAMPLES = r"""
- name: Load | xb
  benchhub.bench.start:
    unit: load
    steps:
      - name: xb
        shell: xb --target=${nodes.db.address}:8080 --type=kairosdb
        timeout: 600
    together: true
    watch: [db]
  run_once: true
"""

RETURN = r"""
benchhub:
  description: >-
    What was found, for machines. Under C(hosts) each slot has C(status) (V(ok), V(failed) or V(unreachable)),
    C(error) unless it is ok, and C(units) with the state, times and exit codes of every step.
  returned: always
  type: dict
  sample: {version: 1, op: start, hosts: {loader-1: {status: ok, state: done, units: {}}}}
msg:
  description: What happened, for people - which slot, which step, exit code, last lines of output.
  returned: always
  type: str
"""
