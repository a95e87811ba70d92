"""How closely do N nodes start: ``start: together`` beside one Ansible task and beside this machine's floor, in turns.

python bench/skew.py --nodes 3 10 30 --rounds 5

All start the same command, whose first act is to record the time, and the *spread* is the last time less the first. The
nodes share this machine and its clock, so no clock error is in it. The floors are N bare processes, armed beforehand,
that wait for one instant and then exec the command, once by sleeping alone and once as benchhub waits (sleep until 2 ms
before, then spin): what they spread is what this machine's scheduler does to N wake-ups at once.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchhub_ansible.testing.sshd import SshFarm

REFERENCE = Path(__file__).resolve().parent / "reference"
_BIN = Path(sys.executable).parent
_SPIN = 0.002  # seconds: benchhub's own
_LEAD = 0.5  # seconds in which N bare processes arm


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one round of one way records, and on which nodes."""

    directory: Path
    farm: SshFarm
    count: int

    @property
    def record(self) -> Path:
        return self.directory / "record"


def bare(place: Place, *, spin: float) -> None:
    instant = time.time() + _LEAD
    argv = ["/bin/bash", str(REFERENCE / "record.sh"), str(place.record)]
    children = []
    for _ in range(place.count):
        child = os.fork()
        if child == 0:
            _wait_until(instant, spin)
            os.execv(argv[0], argv)  # noqa: S606 - an argv list, no shell
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def _wait_until(instant: float, spin: float) -> None:
    while (left := instant - time.time()) > spin:
        time.sleep(left - spin)
    while time.time() < instant:
        pass


def ansible(place: Place) -> None:
    variables = json.dumps({"reference": str(REFERENCE), "record": str(place.record)})
    loaders = ",".join(place.farm.hosts[1 : place.count + 1])
    options = ["-i", str(place.farm.inventory), "--forks", str(place.count), "-e", variables, "--limit", loaders]
    _run(place, [str(_BIN / "ansible-playbook"), *options, str(REFERENCE / "skew.yml")])


def benchhub(place: Place) -> None:
    text = (REFERENCE / "skew-job.yml").read_text()
    job = place.directory / "job.yml"
    job.write_text(re.sub(r"(?m)^    count: 2$", f"    count: {place.count}", text))
    where = ["--on", f"inventory:{place.farm.inventory}", "--runs-dir", str(place.directory / "runs")]
    variables = ["--var", f"reference={REFERENCE}", "--var", f"record={place.record}"]
    _run(place, [str(_BIN / "benchhub"), "run", str(job), *where, *variables])


def _run(place: Place, argv: list[str]) -> None:
    masters = place.directory / "cp"
    masters.mkdir()
    environment = {
        "PATH": f"{_BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(place.directory),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(REFERENCE / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(masters),
    }
    # The exit code is not judged: benchhub ends with 1 when a start was late, and that start is what is measured here.
    with (place.directory / "output").open("wb") as out:
        subprocess.run(
            argv, env=environment, cwd=place.directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    for socket in masters.iterdir():
        leave = ["/usr/bin/ssh", "-o", f"ControlPath={socket}", "-O", "exit", "x"]
        subprocess.run(leave, capture_output=True, check=False)


#: In the order of the table's columns.
WAYS: dict[str, Callable[[Place], None]] = {
    "bare, sleep": lambda place: bare(place, spin=0.0),
    "bare, sleep and spin": lambda place: bare(place, spin=_SPIN),
    "benchhub, start: together": benchhub,
    "Ansible, forks = N": ansible,
}


def spread(place: Place) -> float:
    """Seconds between the first and the last start; every node must have started exactly once."""
    times = [float(line) for line in place.record.read_text().split()] if place.record.exists() else []
    if len(times) != place.count:
        output = place.directory / "output"
        told = output.read_text()[-3000:] if output.exists() else ""
        raise SystemExit(f"{len(times)} starts were recorded, expected {place.count}\n{told}")
    return max(times) - min(times)


def own_spread(place: Place) -> float | None:
    """What benchhub's result says of the same start: until just before the exec, without the command's own start."""
    for result in place.directory.glob("runs/*/result.json"):
        for stage in json.loads(result.read_text())["stages"]:
            if stage.get("together"):
                return stage["together"]["spread"]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 10, 30], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), help="default: all")
    parser.add_argument("--output", type=Path, help="where the raw figures go, as JSON")
    options = parser.parse_args()
    ways = {name: way for name, way in WAYS.items() if options.only is None or name in options.only}
    raw: dict[int, dict[str, list[float]]] = {}
    for count in options.nodes:
        raw[count] = measure(count, options.rounds, ways)
    print(table(raw))
    if options.output:
        options.output.write_text(json.dumps(raw, indent=1))


def measure(count: int, rounds: int, ways: dict[str, Callable[[Place], None]]) -> dict[str, list[float]]:
    """Seconds of spread by way, one value a round; ``result.json`` is what benchhub says of its own starts."""
    spreads: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="skew-", dir="/tmp") as home,
        SshFarm(Path(home, "farm"), count + 1) as farm,
    ):
        for turn in range(rounds):
            for number, (name, way) in enumerate(ways.items()):
                place = Place(directory=Path(home, f"{turn}-{number}"), farm=farm, count=count)
                place.directory.mkdir()
                way(place)
                spreads.setdefault(name, []).append(spread(place))
                told = own_spread(place)
                if told is not None:
                    spreads.setdefault("result.json", []).append(told)
        return spreads


def table(raw: dict[int, dict[str, list[float]]]) -> str:
    """Markdown: medians in milliseconds, and in brackets the largest; the ratio is to bare, sleep and spin."""
    names = list(dict.fromkeys(name for spreads in raw.values() for name in spreads))
    lines = [f"| N | {' | '.join(names)} | ratio |", f"|--:|{'--:|' * (len(names) + 1)}"]
    for count, spreads in raw.items():
        medians = {name: statistics.median(values) for name, values in spreads.items()}
        cells = [f"{medians[name] * 1000:.1f} ({max(spreads[name]) * 1000:.1f})" for name in names]
        floor, ours = medians.get("bare, sleep and spin"), medians.get("benchhub, start: together")
        cells.append(f"{ours / floor:.1f}" if floor and ours else "-")
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
