"""Writes the compiled folder: ``project/`` with its playbooks, configuration and collection."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from benchhub_ansible.errors import UsageError
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook import default, portable
from benchhub_ansible.playbook.engines import container_tasks
from benchhub_ansible.playbook.names import FAILED_GROUP
from benchhub_ansible.playbook.plays import Data, PlayFile, shown_line
from benchhub_ansible.playbook.yaml_text import dump

#: In a folder that benchhub has written; without it compile does not write over what is there.
MARKER = ".benchhub-compiled"
_COLLECTION = Path("ansible_collections/benchhub/bench")
PROFILES = ("default", "portable")

_ANSIBLE_CFG = """\
# Settings of every run of these playbooks; the variables ANSIBLE_* win over them.
[defaults]
collections_path = collections
forks = 50
gathering = explicit
# Ansible that waits looks for results 1000 times a second by default: 4 % of a core, beside a load on this machine
internal_poll_interval = 0.01
interpreter_python = auto_silent
retry_files_enabled = False
roles_path = roles:~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles

[inventory]
enable_plugins = benchhub.bench.slots, auto, yaml, ini, toml, host_list, script, advanced_host_list

[ssh_connection]
pipelining = True
ssh_args = -o ControlMaster=auto -o ControlPersist=120s -o ServerAliveInterval=15 -o ServerAliveCountMax=4
"""


#: What steps and services of the portable profile run through on a node.
_NODE_SCRIPT = Path(__file__).with_name("node.sh")
#: How they speak to docker and podman.
_CONTAINER_SCRIPT = Path("plugins/plugin_utils/container.sh")


class Profile(Protocol):
    """What a profile writes: the files of ``stages/``, the plays of teardown, and whether it needs the collection."""

    def stage_files(self, plan: Plan) -> Iterable[PlayFile]:
        """The files of ``stages/`` in order."""
        ...

    def teardown(self, plan: Plan) -> list[Data]:
        """The plays of ``teardown.yml``."""
        ...


class _Default:
    def stage_files(self, plan: Plan) -> Iterable[PlayFile]:
        return default.Emitter(plan).files()

    def teardown(self, plan: Plan) -> list[Data]:
        return default.teardown_plays(plan)


class _Portable:
    def stage_files(self, plan: Plan) -> Iterable[PlayFile]:
        return portable.stage_files(plan)

    def teardown(self, plan: Plan) -> list[Data]:
        return portable.teardown_plays(plan)


def _profile(name: str) -> Profile:
    if name in PROFILES:
        return _Default() if name == "default" else _Portable()
    raise UsageError(f"there is no profile {name!r}", hint=f"profiles are: {', '.join(PROFILES)}")


def own(directory: Path) -> None:
    """Makes the folder benchhub's own, creating it; UsageError when it holds what benchhub has not written."""
    marker = directory / MARKER
    if directory.is_dir():
        if not marker.is_file() and any(directory.iterdir()):
            raise UsageError(
                f"{directory} is not a folder that benchhub has compiled",
                hint="name a folder that does not exist yet, or an empty one",
            )
    elif directory.exists():
        raise UsageError(f"{directory} is a file, not a folder")
    directory.mkdir(parents=True, exist_ok=True)
    marker.write_text("This folder was written by benchhub compile, which may write over it.\n", encoding="utf-8")


def project_files(plan: Plan, *, profile: str) -> dict[str, str]:
    """Path below ``project/`` → text, of everything but the collection; same plan, same bytes."""
    made = _profile(profile)
    stage_files = list(made.stage_files(plan))
    width = max(2, len(str(len(stage_files) - 1)))
    files = {f"stages/{n:0{width}}-{file.name}.yml": file for n, file in enumerate(stage_files)}
    texts = {path: dump(file.plays, header=file.header) for path, file in files.items()}
    job = f"{shown_line(plan.job)} ({shown_line(plan.source)})"
    texts["stages.yml"] = _imports(files, header=(f"Every stage of {job}, in order.",))
    texts["teardown.yml"] = dump(
        made.teardown(plan), header=(f"The end of {job}: runs after success and after failure, and may run twice.",)
    )
    texts["site.yml"] = _site(job)
    texts["ansible.cfg"] = _ANSIBLE_CFG
    if profile == "portable":
        texts["stages/files/node.sh"] = _NODE_SCRIPT.read_text(encoding="utf-8")
    return texts


def _imports(files: Mapping[str, PlayFile], header: Iterable[str]) -> str:
    plays = [{"name": file.title, "ansible.builtin.import_playbook": path} for path, file in files.items()]
    return dump(plays, header=header)


def _site(job: str) -> str:
    told = {
        "name": "Tell whether the job failed",
        "hosts": FAILED_GROUP,
        "gather_facts": False,
        "tasks": [
            {
                "name": "End with an error",
                "ansible.builtin.fail": {"msg": "The job failed; the first failed task above says why."},
                "run_once": True,
            }
        ],
    }
    plays: list[Data] = [
        {"name": "Run every stage in order", "ansible.builtin.import_playbook": "stages.yml"},
        {"name": "Tear down, whatever happened", "ansible.builtin.import_playbook": "teardown.yml"},
        told,
    ]
    return dump(plays, header=(f"The whole of {job}, for plain ansible-playbook.",))


def hold_playbook(plan: Plan, seconds: float) -> str:
    """The playbook of ``--keep``; only the default profile has a supervisor that ends things in time."""
    header = f"Written by `benchhub run --keep`: collects now, and keeps services and files for {seconds:.0f} s more."
    return dump(default.hold_plays(plan, seconds), header=(header,))


def write_project(plan: Plan, directory: Path, *, profile: str, collections: Path, job_dir: Path | None = None) -> None:
    """Writes ``directory/project`` anew; the same plan and profile give the same bytes.

    ``collections`` holds ``ansible_collections`` and is copied for the default profile. ``job_dir``: where the job
    file lies; roles below its ``roles/`` that the job uses are copied too. JobError when a driver refuses a task.
    """
    files = project_files(plan, profile=profile)
    project = directory / "project"
    if project.exists():
        shutil.rmtree(project)
    (project / "stages").mkdir(parents=True)
    for path, text in files.items():
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    # The portable plays need no collection; an inventory is read, and waited for, by plugins of ours.
    if profile == "default":
        _copy_tree(collections / "ansible_collections", project / "collections" / "ansible_collections")
    else:
        _copy_inventory_plugins(collections / _COLLECTION, project / "collections" / _COLLECTION)
        if container_tasks(plan):
            shutil.copyfile(collections / _COLLECTION / _CONTAINER_SCRIPT, project / "stages/files/container.sh")
    if job_dir is not None:
        for role in dict.fromkeys(_roles(plan)):
            if (job_dir / "roles" / role).is_dir():
                _copy_tree(job_dir / "roles" / role, project / "roles" / role)


def _copy_inventory_plugins(source: Path, target: Path) -> None:
    """What reads ``inventory/hosts.yml`` when it names hosts of the user's own inventory, and waits for it."""
    for path in ("meta/runtime.yml", "plugins/inventory/slots.py", "plugins/inventory/gate.py"):
        if (source / path).is_file():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target / path)


def _copy_tree(source: Path, target: Path) -> None:
    """A copy without what is made by running, and what only building a collection needs."""
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "tests", "output", "galaxy.yml", ".*")
    )


def _roles(plan: Plan) -> Iterable[str]:
    """The roles the plan names by a plain name."""
    for stage in (*plan.stages(), *plan.cleanup):
        for task in stage.tasks:
            if task.driver == "role":
                name = task.params if isinstance(task.params, str) else task.params.get("name", "")
                if isinstance(name, str) and name.isidentifier():
                    yield name
