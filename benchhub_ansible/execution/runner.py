"""One launch of ansible-playbook through ansible-runner. The only importer of ansible_runner."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from benchhub_ansible.execution.folder import RunFolder

#: How often ansible-runner looks whether it shall cancel, in seconds.
_POLL = 0.2

#: What ansible-runner itself adds to the environment and its display callback needs.
_OF_RUNNER = (
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "ORIGINAL_STDOUT_CALLBACK",
    "ANSIBLE_RETRY_FILES_ENABLED",
    "AWX_ISOLATED_DATA_DIR",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)


@dataclass(frozen=True, kw_only=True)
class Launched:
    """How a launch ended: ansible-runner's status (successful, failed, canceled) and exit code."""

    status: str
    rc: int


def warm_up() -> None:
    """Imports ansible-runner, which takes 0.1 s, for callers that have to wait for something else anyway."""
    import ansible_runner.config.runner  # noqa: PLC0415
    import ansible_runner.runner  # noqa: F401, PLC0415


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to start: a playbook of the folder, where its artifacts go, and what Ansible is given."""

    playbook: str
    artifacts: Path
    inventories: Sequence[Path]
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()


def launch(
    folder: RunFolder,
    what: Launch,
    *,
    on_event: Callable[[Mapping[str, Any]], None],
    redact: Callable[[Any], Any],
    cancelled: Callable[[], bool],
) -> Launched:
    """Runs one playbook of the folder to its end, in this thread. Its output goes to ``stdout`` among its artifacts.

    A cancel is SIGKILL of ansible-playbook; whether it got to its own end only its ``playbook_on_stats`` event says.
    """
    # Importing it takes 0.2 s: only who launches pays for it.
    from ansible_runner.runner import Runner  # noqa: PLC0415

    config = _configuration(folder, what)
    artifacts = what.artifacts
    with (artifacts / "stdout").open("w", encoding="utf-8", buffering=1) as output:
        runner = Runner(
            config, cancel_callback=cancelled, event_handler=_handler(on_event, redact, output), remove_partials=True
        )
        runner.run()
    # What they hold is in the journal; half-written ones of a cancelled launch may hold what was never masked.
    shutil.rmtree(artifacts / "job_events", ignore_errors=True)
    return Launched(
        status=str(runner.status), rc=int(-1 if runner.rc is None else runner.rc)
    )  # None: it was killed by somebody else


def _configuration(folder: RunFolder, what: Launch) -> Any:
    from ansible_runner.config.runner import RunnerConfig  # noqa: PLC0415 - see launch

    config = RunnerConfig(
        private_data_dir=str(folder.path),
        playbook=what.playbook,
        inventory=[str(path) for path in what.inventories],
        artifact_dir=str(what.artifacts.parent),
        ident=what.artifacts.name,
        envvars=dict(what.environment),
        quiet=True,
        cmdline=shlex.join(what.arguments) or None,
        fact_cache_type="",  # facts of nodes go into the journal, not into a cache
    )
    config.prepare()
    # Settings would have to be a file of the run folder: ansible-runner forgets those it is given when there is none.
    config.pexpect_timeout = _POLL
    config.suppress_output_file = True
    # prepare() starts from our whole environment, and run() writes what it finds to disk: keep what was asked for.
    config.env = {k: v for k, v in config.env.items() if k in what.environment or k in _OF_RUNNER}
    config.command = [*_dying_with_us(), *config.command]
    return config


def _dying_with_us() -> list[str]:
    """What makes ansible-playbook end when this process is killed: nobody would read what it does, or stop it.

    The nodes then hear nothing more and end by themselves when their lease runs out.
    """
    setpriv = shutil.which("setpriv")  # util-linux; elsewhere the sweep of `recover` does it
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _handler(
    on_event: Callable[[Mapping[str, Any]], None], redact: Callable[[Any], Any], output: TextIO
) -> Callable[[Mapping[str, Any]], bool]:
    def handle(event: Mapping[str, Any]) -> bool:
        text = event.get("stdout")
        if text:
            output.write(redact(str(text)) + "\n")
        on_event(redact(event))  # before anything of it is cut: half a secret would be none to look for
        return False  # do not keep it as a file

    return handle
