"""Ansible's connection to a node of a Slurm allocation, for clusters that forbid ssh."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = """
name: srun
short_description: Reach a node of a Slurm allocation with srun
version_added: "0.1.0"
author: The benchhub developers
description:
  - Runs every command as a step of its own with C(srun --overlap) inside a Slurm job that runs already. The step ends
    with the command, and Slurm ends what the command has left behind.
  - With O(holder), the command is started by that long step of the same Slurm job instead, so what it leaves behind
    lives on until the holder or the Slurm job ends. C(benchhub run --on slurm:connect=srun) starts such a step.
  - The user on the node is the user of the Slurm job. C(become) works where it asks for no password.
  - The command is given on standard input; it is neither in a list of processes nor in Slurm's accounting.
options:
  job:
    description: The id of the Slurm job.
    type: str
    required: true
    vars:
      - name: benchhub_slurm_job
  component:
    description: Which component of a heterogeneous Slurm job has the node.
    type: str
    vars:
      - name: benchhub_slurm_component
  node:
    description: Slurm's name of the node.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: benchhub_slurm_node
  holder:
    description: The name of the step that starts the commands; none if empty.
    type: str
    default: ""
    vars:
      - name: benchhub_slurm_holder
  executable:
    description: The program srun.
    type: str
    default: srun
    vars:
      - name: benchhub_srun
"""

import os
import shutil
import struct
import subprocess
import threading
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible_collections.benchhub.bench.plugins.module_utils import srun_agent

#: What a command's environment has: that of a login over ssh, not that of the controller.
_EXPORT = "HOME,USER,LOGNAME,SHELL,LANG,PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: The SLURM_* variables that say which cluster; all others speak of the Slurm job that the controller may be in.
_CLUSTER = ("SLURM_CONF", "SLURM_CLUSTERS")


class Connection(ConnectionBase):
    """Runs commands on one node with srun."""

    transport = "benchhub.bench.srun"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def close(self):
        """Nothing is open between commands."""
        self._connected = False

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """(exit code, stdout, stderr) of a command; AnsibleConnectionFailure when it could not be started."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        head = self._head(cmd)
        process = self._start(stdout=subprocess.PIPE)
        out, err = process.communicate(head + to_bytes(in_data or b"", errors="surrogate_or_strict"))
        return process.returncode, out, self._started(err)

    def put_file(self, in_path, out_path):
        """Copies a file of the controller to the node."""
        super().put_file(in_path, out_path)
        if not os.path.exists(to_bytes(in_path, errors="surrogate_or_strict")):
            raise AnsibleFileNotFound("there is no file %s" % to_text(in_path))
        command = "cat > %s" % self._shell.quote(out_path)
        with open(to_bytes(in_path, errors="surrogate_or_strict"), "rb") as source:
            self._copy(command, out_path, source=source)

    def fetch_file(self, in_path, out_path):
        """Copies a file of the node to the controller."""
        super().fetch_file(in_path, out_path)
        command = "cat %s" % self._shell.quote(in_path)
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as destination:
            self._copy(command, in_path, destination=destination)

    def _copy(self, command, path, source=None, destination=subprocess.DEVNULL):
        process = self._start(stdout=destination)
        feeder = threading.Thread(target=_feed, args=(process.stdin, self._head(command), source), daemon=True)
        feeder.start()
        err = process.stderr.read()
        code = process.wait()
        feeder.join()
        process.stderr.close()
        said = self._started(err)
        if code != 0:
            raise AnsibleConnectionFailure("%s could not be copied: %s" % (to_text(path), to_text(said).strip()))

    def _start(self, stdout):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k in _CLUSTER}
        try:
            return subprocess.Popen(
                self._command(), stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, env=environment
            )
        except OSError as error:
            raise AnsibleConnectionFailure("srun cannot be started: %s" % error) from error

    def _command(self):
        component = self.get_option("component")
        return [
            self.get_option("executable"),
            "--jobid=%s" % self.get_option("job"),
            *(["--het-group=%s" % component] if component not in (None, "") else []),
            "--overlap",
            "--whole",
            "--mem=0",
            "--quiet",
            "--nodes=1",
            "--ntasks=1",
            "--nodelist=%s" % self.get_option("node"),
            "--mpi=none",
            "--chdir=/",
            "--job-name=benchhub",
            "--export=%s" % _EXPORT,
            "/bin/sh",
            "-c",
            srun_agent.LAUNCH,
            "sh",
            str(len(_agent())),
            "call",
            self.get_option("holder"),
        ]

    def _head(self, command):
        """What goes before the command's own standard input: the agent, and the command."""
        text = to_bytes(command, errors="surrogate_or_strict")
        return _agent() + struct.pack("!Q", len(text)) + text

    def _started(self, err):
        """The command's standard error; AnsibleConnectionFailure when it never began."""
        before, mark, after = err.partition(srun_agent.STARTED)
        if not mark:
            said = " ".join(to_text(before, errors="surrogate_or_replace").split()) or "srun ended and said nothing"
            raise AnsibleConnectionFailure("srun cannot reach %s: %s" % (self.get_option("node"), said))
        return before + after


def _agent():
    return Path(srun_agent.__file__).read_bytes()


def _feed(stream, head, source):
    # A broken pipe only says that the command has ended, which its exit code tells better.
    try:
        with stream:
            stream.write(head)
            if source is not None:
                shutil.copyfileobj(source, stream)
    except OSError:
        pass
