"""Jobs for the tests of plan and playbook, read from YAML as a user writes it."""

from __future__ import annotations

from textwrap import dedent

from benchhub_ansible.job.load import load_job
from benchhub_ansible.job.model import Job
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.source import Source

HEAD = """\
version: 2
name: test
"""

NODES = """\
nodes:
  db: {type: database}
  loader: {type: loader, count: 2}
"""


def job(text: str, *, nodes: str = NODES, name: str = "job.yml") -> Job:
    return load_job(Source(name=name, text=HEAD + nodes + dedent(text))).job


def plan(text: str, *, nodes: str = NODES) -> Plan:
    return make_plan(job(text, nodes=nodes))


EVERYTHING = """\
vars: {greet: "hello {{ x }}"}
secrets: {PW: {env: PW}, KEY: {file: key.txt}}
stages:
  - name: install Xephon-B
    nodes: {type: loader}
    tasks:
      - shell: |
          echo '{{ not jinja }}' {% raw %}
          docker ps --format '{{.Names}}' ${HOME} ${node.address} ${greet}
      - exec: [echo, "-n", "${secrets.PW}", "{{ x }}"]
        env: {A: "{{ b }}"}
        chdir: sub dir
        retry: {count: 3, delay: 2s}
        when: test ${node.name} != nowhere
      - copy: {content: "a{{ b }}\\n", dest: x.txt}
        retry: 1
      - copy: {src: "{{ odd }}.txt", dest: "${run.dir}/y"}
      - template: {src: t.j2, dest: "{{ odd }}/x", mode: "0600"}
      - fetch: /etc/hostname
  - name: mixed
    nodes: {type: database}
    tasks:
      - shell: echo 1
        collect: [out/*.json]
      - module: {name: ansible.builtin.file, args: {path: "${run.dir}/x{", state: touch, mode: "0644"}}
        when: test -e /etc/passwd
        become: true
        retry: 2
      - {shell: echo 2, timeout: 1m}
      - role: {name: myrole, vars: {a: "{{ b }}", c: "${nodes.loader[1].address}:{{"}}
        env: {X: "1"}
      - name: cache
        shell: {run: redis-server, executable: /bin/bash}
        type: long
        user: redis
        grace: 3s
        live: {http: "http://localhost:1/", status: [200], body: ok, timeout: 1s}
        ready: {log: 'Ready to {{'}
        shutdown: {shell: redis-cli shutdown}
      - shell: echo 3
  - name: serve
    nodes: db
    tasks:
      - name: kv
        docker: {run: "kv:1", name: kv, publish: ["1:1"], command: "--x y"}
        type: long
        ready: {http: "http://${node.address}:8080/x", status: [200, 204], body: ok, timeout: 2m}
      - name: tcp
        exec: [nc, -l, "1"]
        type: long
        ready: {tcp: "${node.address}:1234", interval: 2s, successes: 2}
      - name: filed
        shell: touch /tmp/x; sleep 100
        type: long
        chdir: sub
        ready: {file: /tmp/x}
      - name: commanded
        shell: sleep 100
        type: long
        chdir: sub
        env: {A: b}
        ready: {command: test -e "$A"}
  - name: roll
    nodes: all
    serial: true
    tasks:
      - shell: echo roll
  - name: load
    nodes: [loader]
    start: together
    tasks:
      - shell: >-
          xb --target=${nodes.db.address}:8080 --of=${types.loader.addresses} --c=${central} --i=${node.index}
          --n=${node.name} --r=${run.id} --a-long-option=that-goes-on-and-on ${threads}
        metrics:
          - {name: throughput, unit: points/s, better: higher, regex: 'wps=([0-9.]+)', file: out/x.txt}
  - name: drop data
    nodes: db
    tasks:
      - shell: rm -rf /data/x
pipeline:
  - [install Xephon-B, mixed, roll]
  - [roll]
  - [mixed]
  - repeat: 2
    warmup: 1
    matrix: {threads: [1, "8 x"]}
    stages: [[serve], [load]]
cleanup: [drop data]
"""
