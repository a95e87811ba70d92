"""Run-and-finish steps: order, outcomes, exact bytes, environment, users, timeouts, retries, conditions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import Node, eventually

HOSTILE = [
    'it\'s "quoted" `ticks`',
    "two\nlines\n",
    r"back\slash \n \\",
    "{{ jinja }} {% if %} {# note #}",
    "# no comment",
    "ünïcode ☃ 🐘",
    "-n leading",
    "; rm -rf $HOME & | > <",
    "tab\tand  spaces ",
]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")


def shell(text: str, **keys: Any) -> dict[str, Any]:
    return {"name": "step", "kind": "shell", "text": text, **keys}


def states(status: dict[str, Any]) -> list[str]:
    return [step["state"] for step in status["steps"]]


def test_steps_run_in_order_and_the_first_failure_ends_the_list(node: Node) -> None:
    status = node.steps(shell("echo 1 >> log"), shell("echo 2 >> log"), shell("exit 7"), shell("echo 4 >> log"))
    assert status["state"] == "failed"
    assert states(status) == ["ok", "ok", "failed", "not-run"]
    assert status["steps"][2]["rc"] == 7
    assert (node.dir / "log").read_text() == "1\n2\n"
    assert "step 3" in status["error"]


def test_a_signal_is_no_exit_code(node: Node) -> None:
    record = node.sh("kill -USR1 $$")
    assert (record["state"], record["rc"], record["signal"]) == ("failed", None, 10)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_arrive_byte_for_byte(node: Node, text: str) -> None:
    status = node.steps(
        {"name": "exec", "kind": "exec", "argv": ["printf", "%s", text]},
        {"name": "env", "kind": "shell", "text": 'printf %s "$TEXT" >&2', "env": {"TEXT": text}},
        {"name": "script", "kind": "shell", "text": f"cat <<'END OF IT'\n{text}\nEND OF IT"},
    )
    assert status["state"] == "ok"
    assert node.output(name="01.out") == text.encode()
    assert node.output(name="02.err") == text.encode()
    assert node.output(name="03.out") == text.encode() + b"\n"


def test_bytes_that_are_no_text_stay_as_they_are(node: Node) -> None:
    record = node.sh(r"printf '\377\000\376'; printf '\377bad\n' >&2; exit 1")
    assert node.output() == b"\xff\x00\xfe"
    assert node.output(name="01.err") == b"\xffbad\n"
    assert record["tail"] == ["�bad"]


def test_standard_input_is_empty_and_the_session_is_its_own(node: Node) -> None:
    node.sh("cat; ps -o sid= -p $$ | tr -d ' '; echo $$")
    session, pid = node.output().split()
    assert session == pid


def test_environment_and_folder(node: Node) -> None:
    (node.dir / "sub").mkdir()
    node.sh('pwd; echo "$A|$BENCHHUB_UNIT|$ANSIBLE_X"', chdir="sub", env={"A": 5})
    assert node.output().decode().splitlines() == [str(node.dir / "sub"), f"5|{node.config['run']}/db/work|"]


def test_what_cannot_be_started_says_why(node: Node) -> None:
    status = node.steps({"name": "x", "kind": "exec", "argv": ["no-such-program"]})
    assert status["steps"][0]["rc"] == 127
    assert "No such file" in status["steps"][0]["tail"][0]
    record = node.steps(shell("true", chdir="no"), unit="b")
    assert "cannot start" in record["steps"][0]["tail"][0]


def test_another_executable(node: Node) -> None:
    node.sh("echo ${BASH_VERSION:+bash}", executable="/bin/bash")
    assert node.output() == b"bash\n"


@needs_root
def test_a_step_of_another_user(node: Node) -> None:
    record = node.sh('id -un; echo "$HOME $USER $LOGNAME"; echo again > /dev/stderr', user="nobody", chdir="/")
    assert record["state"] == "ok"
    assert node.output().startswith(b"nobody\n")
    assert b"nobody nobody" in node.output()
    assert node.output(name="01.err") == b"again\n"


@needs_root
def test_an_unknown_user_is_named(node: Node) -> None:
    assert "no user nonesuch" in node.sh("true", user="nonesuch")["tail"][0]


def test_a_timeout_ends_the_whole_family(node: Node) -> None:
    record = node.sh("setsid sleep 300 & sleep 300", timeout=0.2, grace=0.3)
    assert record["state"] == "timeout"
    assert record["error"] == "did not end within 0.2 s"
    eventually(lambda: "sleep" not in node.programs())


def test_what_ignores_term_is_killed_after_its_grace(node: Node) -> None:
    record = node.sh("trap '' TERM; while :; do sleep 0.1; done", timeout=0.2, grace=0.3)
    assert (record["state"], record["signal"]) == ("timeout", 9)
    assert record["end"] - record["start"] > 0.4


def test_a_retried_step_can_succeed(node: Node) -> None:
    text = "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; [ $n -ge 2 ]"
    record = node.sh(text, retries={"count": 5, "delay": 0.1})
    assert (record["state"], record["attempts"]) == ("ok", 3)
    assert (node.dir / "n").read_text() == "3\n"


def test_retries_end(node: Node) -> None:
    record = node.sh("exit 1", retries={"count": 2, "delay": 0})
    assert (record["state"], record["attempts"]) == ("failed", 3)


def test_conditions(node: Node) -> None:
    status = node.steps(shell("echo no", when="false"), shell("echo yes", when='[ "$A" = 1 ]', env={"A": "1"}))
    assert states(status) == ["skipped", "ok"]
    assert status["state"] == "ok"


def test_a_condition_that_hangs_fails_its_step(node: Node) -> None:
    status = node.steps(shell("true", when="sleep 100", timeout=0.2))
    assert (status["state"], states(status)) == ("failed", ["timeout"])
    assert "condition" in status["error"]


def test_the_deadline_of_a_unit(node: Node) -> None:
    status = node.steps(shell("sleep 100"), shell("true"), deadline=0.3)
    assert states(status) == ["timeout", "not-run"]
    assert "deadline" in status["error"]


def test_background_leftovers_stay_until_finish_and_delay_nothing(node: Node) -> None:
    status = node.steps(shell("setsid sleep 300 >/dev/null 2>&1 & echo $! > pid"), shell("kill -0 $(cat pid)"))
    assert status["state"] == "ok"
    pid = int((node.dir / "pid").read_text())
    os.kill(pid, 0)
    assert node("finish")["ok"]
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_very_long_list(node: Node) -> None:
    status = node.steps(*[shell(f"echo {number} >> all") for number in range(60)], bound=30)
    assert status["state"] == "ok"
    assert (node.dir / "all").read_text().split() == [str(number) for number in range(60)]


@pytest.mark.parametrize("before", range(16 * 1024 - 30, 16 * 1024 + 10, 7))
def test_no_part_of_a_secret_is_in_the_last_lines(node: Node, before: int) -> None:
    """Neither where the last bytes begin nor where a long line is cut."""
    secret = "0123456789-0123456789"
    text = f"printf %s {secret}; head -c {before} /dev/zero | tr '\\0' x; echo; head -c 490 /dev/zero | tr '\\0' y;"
    status = node.steps(
        {"kind": "shell", "text": f"{text} echo {secret}; exit 1"}, mask=[secret, "unused"], deadline=60
    )
    (step,) = status["steps"]
    assert step["tail"][-1] == "y" * 490 + "***"
    assert not set("".join(step["tail"])) & set("0123456789")


def test_the_lines_of_a_secret_are_hidden_one_by_one(node: Node) -> None:
    secret = "first line\nsecond line\n"
    status = node.steps({"kind": "shell", "text": f"echo '{secret}' >&2; exit 1"}, mask=[secret, "first line"])
    assert status["steps"][0]["tail"] == ["***"]
