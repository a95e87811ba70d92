"""`benchhub init`: a small job to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from benchhub_ansible.cli.convert import write_new
from benchhub_ansible.errors import UsageError

JOB = r"""# yaml-language-server: $schema=https://benchhub.github.io/schemas/job.schema.json
#
# A benchmark of a small web server. It runs as it is:
#
#     benchhub validate job.yml      what is wrong with it
#     benchhub plan job.yml          what would run
#     benchhub run job.yml           run it, on this machine
version: 2
name: first-benchmark
reason: to see how it works
workload: requests
database: http.server

# ${name} in a text is replaced by these.
vars:
  port: "18080"
  requests: "200"

# What to acquire. `--on` says from where: this machine, an Ansible inventory, …
nodes:
  server: {type: database}
  loader: {type: loader, count: 2}

stages:
  # A task runs on every node of its stage and has to end with exit code 0.
  - name: install server
    nodes: {type: database}
    tasks:
      - shell: mkdir -p site
      - shell: echo hello > site/index.html

  # A long-running task goes on until it is shut down; the next group begins when it is ready.
  - name: start server
    nodes: {type: database}
    tasks:
      - name: web
        exec: [python3, -m, http.server, "${port}", --directory, site]
        type: long
        ready: {http: "http://${node.address}:${port}/", timeout: 30s}

  # Every loader starts at the same instant, and the report shows how closely they did.
  - name: load
    nodes: {type: loader}
    start: together
    tasks:
      - name: requests
        exec: [python3, -c, "${script}", "http://${nodes.server.address}:${port}/", "${requests}"]
        timeout: 1m
        metrics:
          - {name: throughput, unit: requests/s, better: higher, aggregate: sum, regex: 'rate=([0-9.]+)'}
          - {name: failed, aggregate: sum, regex: 'failed=([0-9]+)', max: 0}   # above 0 the sample is invalid

# Groups run one after the other; the stages of one group run at the same time.
pipeline:
  - [install server]
  - [start server]
  - repeat: 3
    warmup: 1
    stages: [[load]]
"""

SCRIPT = """import sys, time, urllib.request
url, count = sys.argv[1], int(sys.argv[2])
failed = 0
begin = time.perf_counter()
for _ in range(count):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            answer.read()
    except OSError:
        failed += 1
print(f"rate={count / (time.perf_counter() - begin):.1f} failed={failed}")
"""


def job_text() -> str:
    """The job that `init` writes."""
    indented = "".join(f"    {line}\n" for line in SCRIPT.splitlines())
    return JOB.replace('  requests: "200"\n', f'  requests: "200"\n  script: |\n{indented}')


@click.command(epilog="Example: benchhub init my-benchmark")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a small job that runs at once, with comments, as DIR/job.yml.

    DIR is the current folder unless given, and is made when it is not there. An existing job.yml is not overwritten.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be made: {error}") from None
    path = folder / "job.yml"
    write_new(path, job_text())
    click.echo(f"wrote {path}; run it with: benchhub run {path}")
