"""The parts of the scheduler ``slurm`` that need no Slurm: options, rendering, reading squeue, sharing its answers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchhub_ansible.errors import ExitCode, SchedulerError, UsageError
from benchhub_ansible.job.model import NodeRequest
from benchhub_ansible.plan.model import Slot
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.slurm import jobs, poll, render
from benchhub_ansible.schedulers.slurm.client import SlurmClient
from benchhub_ansible.schedulers.slurm.options import SlurmOptions
from benchhub_ansible.source import Span
from benchhub_ansible.testing.scheduler_contract import request_of

SPAN = Span(line=1, column=1)


def request(*nodes: NodeRequest) -> Request:
    slots = (Slot(name=f"{n.name}-{i}", node=n.name, type=n.type, index=i) for n in nodes for i in range(n.count))
    return Request(slots=tuple(slots), nodes=nodes, limit=600.0)


@pytest.mark.parametrize(
    "text",
    ["connect=telnet", "time=soon", "time=0", "partition=", "partition=-x", "nodes=3", "time=1h,time=2h", "patience=x"],
)
def test_nonsense_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        SlurmOptions.parse(text)
    assert caught.value.diagnostics[0].hint


def test_equal_needs_are_one_component() -> None:
    arguments = render.arguments(request_of(database=1, loader=2), SlurmOptions(), name="benchhub-x")
    assert ":" not in arguments
    assert "--nodes=3" in arguments
    assert "--exclusive" in arguments


def test_different_needs_are_components_of_one_slurm_job() -> None:
    db = NodeRequest(name="db", type="database", memory=3 * 2**30 + 1, cpus=4, features=("ssd", "ib"), span=SPAN)
    options = {"gres": "gpu:1", "exclusive": False, "exclude": "node7", "contiguous": True}
    loader = NodeRequest(name="loader", type="loader", count=2, options=options, span=SPAN)
    where = SlurmOptions.parse("partition=main,account=a,qos=q,time=90m")
    arguments = render.arguments(request(db, loader), where, name="benchhub-x")
    first, second = arguments[: arguments.index(":")], arguments[arguments.index(":") + 1 :]
    for part in (first, second):
        assert {"--partition=main", "--account=a", "--qos=q", "--time=90", "--job-name=benchhub-x"} <= set(part)
    assert {"--nodes=1", "--mem=3073M", "--cpus-per-task=4", "--constraint=ssd&ib", "--exclusive"} <= set(first)
    assert {"--nodes=2", "--gres=gpu:1", "--exclude=node7", "--contiguous"} <= set(second)
    assert "--exclusive" not in second


def test_the_time_limit_is_what_the_plan_may_take() -> None:
    assert render.minutes(request(), SlurmOptions()) == 12  # ten minutes and the reserve


@pytest.mark.parametrize("feature", ["a|b", "a b", "", "x&y"])
def test_a_feature_is_a_name(feature: str) -> None:
    with pytest.raises(SchedulerError):
        render.components(request(NodeRequest(name="n", type="n", features=(feature,), span=SPAN)))


def rows(*states: str, reason: str = "None") -> tuple[jobs.SlurmJob, ...]:
    text = "".join(
        f"7+{n}|{state}|{reason}|main|1795951335|1795951635|1795951334|node{n}|1|me|a|name\n"
        for n, state in enumerate(states)
    )
    return jobs.of_id(jobs.parse_jobs(text), "7")


@pytest.mark.parametrize(
    ("states", "words", "code"),
    [
        (("TIMEOUT",), "reached its time limit", ExitCode.SCHEDULER),
        (("CANCELLED", "PREEMPTED"), "was preempted", ExitCode.SCHEDULER),
        (("CANCELLED", "NODE_FAIL"), "lost a node", ExitCode.NODES),
        (("SUSPENDED",), "was suspended", ExitCode.SCHEDULER),
        (("PENDING",), "put back into the queue", ExitCode.SCHEDULER),
        (("SPECIAL_EXIT",), "has ended (SPECIAL_EXIT)", ExitCode.SCHEDULER),
        ((), "no longer knows", ExitCode.SCHEDULER),
    ],
)
def test_why_nodes_are_lost(states: tuple[str, ...], words: str, code: ExitCode) -> None:
    loss = jobs.loss(rows(*states), "7")
    assert loss is not None
    assert words in loss.reason
    assert loss.exit_code == code


@pytest.mark.parametrize("states", [("RUNNING", "RUNNING"), ("COMPLETING", "RUNNING")])
def test_nothing_is_lost_while_it_runs_or_has_not_told_how_it_ended(states: tuple[str, ...]) -> None:
    assert jobs.loss(rows(*states), "7") is None


def test_what_is_told_in_the_queue() -> None:
    assert jobs.pending(rows("PENDING", reason="Priority"), (2, 5)) == (
        "Slurm job 7 waits in partition main, position 2 of 5, others come first (Priority)"
    )


def test_a_name_may_hold_what_separates_fields() -> None:
    (job,) = jobs.parse_jobs("9|RUNNING|None|main|N/A|N/A|5|n[1-2]|2|me|a|b|c\nnonsense\n")
    assert (job.id, job.name, job.start, job.count) == ("9", "a|b|c", None, 2)


class Counting(SlurmClient):
    """A client whose squeue is a small program that counts its calls, and does not answer while ``away`` is there."""

    def __init__(self, folder: Path) -> None:
        self.calls, self.away = folder / "calls", folder / "away"
        program = folder / "squeue"
        program.write_text(
            f"#!/bin/sh\necho call >> '{self.calls}'\nif [ -e '{self.away}' ]; then"
            " echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1; fi\necho '1|RUNNING|||||||||x'\n"
        )
        program.chmod(0o755)
        super().__init__({"PATH": f"{folder}:/usr/bin:/bin"})

    @property
    def count(self) -> int:
        return len(self.calls.read_text().split()) if self.calls.exists() else 0


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(poll, "INTERVAL", 3600.0)
    monkeypatch.setattr(poll, "LONGEST", 7200.0)
    return Counting(tmp_path)


def test_many_runs_ask_once(counting: Counting, tmp_path: Path) -> None:
    answers: list[poll.Answer] = []
    queues = [poll.SharedQueue(counting, tmp_path) for _ in range(8)]
    threads = [threading.Thread(target=lambda q=queue: answers.append(q.ask())) for queue in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.count == 1
    assert [answer.known for answer in answers] == [True] * 8


def test_what_happened_since_is_asked_anew(counting: Counting, tmp_path: Path) -> None:
    queue = poll.SharedQueue(counting, tmp_path)
    first = queue.ask()
    queue.ask(newer_than=first.at + 0.000001)
    assert counting.count == 2


def test_silence_is_an_answer_that_serves_longer_and_longer(counting: Counting, tmp_path: Path) -> None:
    counting.away.touch()
    queue = poll.SharedQueue(counting, tmp_path)
    assert not queue.ask().known
    assert not queue.ask(newer_than=2e9).known
    assert counting.count == 1, "slurmctld was asked again at once"
    silent = poll.Answer(at=1000.0, silence=2)
    assert silent.serves(1000.0 + 7000, 0.0)
    assert not silent.serves(1000.0 + 7300, 0.0)


def test_a_torn_answer_is_asked_for_again(counting: Counting, tmp_path: Path) -> None:
    poll.SharedQueue(counting, tmp_path).ask()
    (answer,) = [path for path in tmp_path.iterdir() if len(path.name) == 24]
    answer.write_text(answer.read_text()[:20])
    assert poll.SharedQueue(counting, tmp_path).ask().known
    assert counting.count == 2
