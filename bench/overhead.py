"""What does a tool add to a job? The reference job on N ssh nodes of this machine, by each contender, in turns.

python bench/overhead.py --nodes 3 10 30 --rounds 3

*Overhead* is wall time, from the start of the command to its end, less the job's critical path (the fixed times of its
steps). *Controller CPU* is everything the command started on its side; *node CPU* everything below the nodes' sshd,
less what the job's own commands take as bare processes. Every run gets nodes, keys and ssh masters of its own, and a
run that did not do the whole job, or left anything behind, is shown as such and not counted.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from contenders import BARE, BENCH, CONTENDERS, TUNED, Contender, Setup, environment
from verify import complaints, loads_overlapped

#: Seconds: build (3 steps of 0.1, the longest of group 1), two services' starts of 0.2, load of 1: bench/reference/.
CRITICAL_PATH = 3 * 0.1 + 2 * 0.2 + 1.0


_TOLD = 5  # complaints of one run that are printed; --output has all


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One run of one contender. CPU and wall in seconds; ``node_cpu`` is gross, the floor is taken off in the table."""

    contender: str
    nodes: int
    round: int
    wall: float
    controller_cpu: float
    node_cpu: float
    loads_overlapped: bool
    complaints: list[str]

    @property
    def overhead(self) -> float:
        return self.wall - CRITICAL_PATH


def measure(contender: Contender, count: int, turn: int, directory: Path) -> Measurement:
    """One run, on nodes that are started for it and ended after it, in an empty ``directory``."""
    nodes_argv = [sys.executable, str(BENCH / "nodes.py"), str(directory / "farm"), str(count)]
    with subprocess.Popen(nodes_argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nodes:
        setup = Setup(directory=directory, nodes=json.loads(nodes.stdout.readline()), ports=_free_ports())
        used = _run(contender, setup)
        print(file=nodes.stdin, flush=True)
        left_on_nodes = json.loads(nodes.stdout.readline())
        nodes.stdin.close()
        node_cpu = json.loads(nodes.stdout.readline())
    if contender is BARE:  # its commands ran beside the nodes, not on them; its own Python is no part of the floor
        node_cpu += json.loads((directory / "bare.json").read_text())["cpu"]
    wrong = complaints(directory, setup.addresses, list(setup.ports))
    wrong += [f"left running on a node: {command}" for command in left_on_nodes]
    wrong += [f"left running: {command}" for command in used["left"] if not _is_ssh_master(command)]
    if used["exit"] != 0:
        wrong.insert(0, f"exit code {used['exit']}: {(directory / 'output').read_text()[-2000:]}")
    return Measurement(
        contender=contender.name,
        nodes=count,
        round=turn,
        wall=used["wall"],
        controller_cpu=used["cpu"],
        node_cpu=node_cpu,
        loads_overlapped=loads_overlapped(directory, count - 1),
        complaints=wrong,
    )


def _run(contender: Contender, setup: Setup) -> dict:
    for address in setup.addresses:
        (setup.directory / "nodes" / address).mkdir(parents=True)
    (setup.directory / "steps.log").touch()
    setup.write()
    result, output = setup.directory / "used.json", setup.directory / "output"
    meter = [sys.executable, str(BENCH / "meter.py"), str(result), str(output), *contender.argv(setup)]
    subprocess.run(meter, env=environment(setup), cwd=setup.directory, check=True)
    return json.loads(result.read_text())


def _is_ssh_master(command: str) -> bool:
    return command.startswith("ssh:") and command.endswith("[mux]")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for sock in (one, other):
            sock.bind(("127.0.1.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def table(measurements: list[Measurement], count: int) -> str:
    """A Markdown table of medians over the rounds; ratios are to the tuned playbook."""
    good = [m for m in measurements if m.nodes == count and not m.complaints]
    floor = _median(m.node_cpu for m in good if m.contender == BARE.name)
    rows = {}
    for contender in CONTENDERS:
        mine = [m for m in good if m.contender == contender.name]
        rows[contender.name] = (
            _median(m.overhead for m in mine),
            _median(m.controller_cpu for m in mine),
            None if floor is None or not mine else _median(m.node_cpu - floor for m in mine),
        )
    base = rows[TUNED.name]
    lines = [
        f"N = {count}",
        "",
        "| | overhead s | ratio | controller CPU s | ratio | node CPU s | ratio | good runs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for contender in CONTENDERS:
        runs = [m for m in measurements if m.nodes == count and m.contender == contender.name]
        if runs:
            cells = [cell for pair in zip(rows[contender.name], base, strict=True) for cell in _cells(*pair)]
            done = f"{sum(not m.complaints for m in runs)}/{len(runs)}"
            lines.append(f"| {contender.title} | {' | '.join(cells)} | {done} |")
    return "\n".join([*lines, ""])


def _cells(value: float | None, base: float | None) -> tuple[str, str]:
    if value is None:
        return "-", "-"
    return f"{value:.2f}", "-" if not base else f"{value / base:.2f}"


def _median(values: Iterable[float]) -> float | None:
    values = list(values)
    return statistics.median(values) if values else None


def machine() -> dict[str, object]:
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return {"cores": cores, "load": load, "kernel": platform.release(), "python": platform.python_version()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 10, 30], metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[c.name for c in CONTENDERS], help="default: all")
    parser.add_argument("--output", type=Path, help="where the raw figures go, as JSON")
    parser.add_argument("--keep", action="store_true", help="keep each run's directory under /tmp")
    options = parser.parse_args()
    chosen = [c for c in CONTENDERS if options.only is None or c.name in options.only]
    for contender in chosen:
        contender.prepare()
    before = machine()
    measurements: list[Measurement] = []
    for count in options.nodes:
        for turn in range(1, options.rounds + 1):
            for contender in chosen:
                directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))  # short: a socket's path has a limit
                measurement = measure(contender, count, turn, directory)
                if not options.keep:
                    shutil.rmtree(directory)
                measurements.append(measurement)
                _tell(measurement)
        print("\n" + table(measurements, count), flush=True)
    print(f"machine before: {before}; after: {machine()}")
    if options.output:
        raw = {"critical_path": CRITICAL_PATH, "machine": before, "runs": [asdict(m) for m in measurements]}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(raw, indent=1))
    return int(any(m.complaints for m in measurements))


def _tell(m: Measurement) -> None:
    print(
        f"N={m.nodes} round {m.round} {m.contender}: overhead {m.overhead:.2f} s, controller {m.controller_cpu:.2f} s, "
        f"nodes {m.node_cpu:.2f} s{'' if m.loads_overlapped else ', loads did not overlap'}",
        *(f"\n  NOT COUNTED: {complaint}" for complaint in m.complaints[:_TOLD]),
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
