"""How planning and compiling grow: n stages on n nodes, each size in a fresh process.

    python bench/scale.py [SIZE…]

Prints, for each size, the seconds to load, plan and compile (both profiles), the peak resident memory, and what was
written. Memory per stage and node tells whether it grows linearly.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchhub_ansible import resources
from benchhub_ansible.job.load import load_job
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_to_data
from benchhub_ansible.playbook.folder import write_project
from benchhub_ansible.playbook.inventory import inventory
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.local import LocalScheduler
from benchhub_ansible.source import Source

SIZES = (10, 100, 300, 1000)


def job_text(size: int) -> str:
    """A job of ``size`` stages of two tasks each on ``size`` nodes, in groups of five parallel stages."""
    lines = ["version: 2", "name: scale", "nodes:", "  db: {type: database}"]
    lines += [f"  loader: {{type: loader, count: {size - 1}}}", "stages:"]
    for number in range(size):
        nodes = "all" if number % 2 else "{type: loader}"
        lines += [f"  - name: stage {number}", f"    nodes: {nodes}", "    tasks:"]
        lines += [f"      - shell: prepare --stage {number} --index ${{node.index}}"]
        lines += ["      - shell: xb --target=${nodes.db.address}:8080", "        retry: 3", "        timeout: 10m"]
    names = [f"stage {number}" for number in range(size)]
    lines += ["pipeline:", *(f"  - [{', '.join(names[start : start + 5])}]" for start in range(0, size, 5))]
    return "\n".join(lines) + "\n"


def measure(size: int) -> dict[str, float]:
    """Seconds of each part, peak memory in MiB, and how much was written."""
    marks = [time.perf_counter()]

    def lap() -> float:
        marks.append(time.perf_counter())
        return marks[-1] - marks[-2]

    job = load_job(Source(name="job.yml", text=job_text(size))).job
    found = {"size": float(size), "load": lap()}
    plan = make_plan(job)
    found["plan"] = lap()
    found["plan.json MiB"] = len(json.dumps(plan_to_data(plan))) / 2**20
    found["to json"] = lap()
    with tempfile.TemporaryDirectory() as folder:
        for profile in ("default", "portable"):
            write_project(plan, Path(folder) / profile, profile=profile, collections=resources.collections())
            found[profile] = lap()
        files = list((Path(folder) / "default" / "project" / "stages").glob("*.yml"))
        found["files"] = len(files)
        found["project MiB"] = sum(path.stat().st_size for path in files) / 2**20
    lap()
    allocation = LocalScheduler().acquire(Request.of(plan), run_id="scale", progress=print, cancelled=lambda: False)
    inventory(plan, allocation, run_id="scale", job_dir="/job")
    found["inventory"] = lap()
    found["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main(arguments: list[str]) -> None:
    """Prints the table; with ``--one N`` measures that size in this process and prints it as JSON."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(int(arguments[1]))))
        return
    rows = []
    for size in [int(text) for text in arguments] or SIZES:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(size)], capture_output=True, text=True, check=True
        )
        rows.append(json.loads(done.stdout))
    print(" ".join(f"{name:>13}" for name in rows[0]))
    for row in rows:
        print(" ".join(f"{value:13.2f}" if name != "size" else f"{value:13.0f}" for name, value in row.items()))
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        grown = (last["peak MiB"] - first["peak MiB"]) * 1024 / (last["size"] - first["size"])
        print(f"memory above the smallest: {grown:.0f} KiB for each further stage and node")


if __name__ == "__main__":
    main(sys.argv[1:])
