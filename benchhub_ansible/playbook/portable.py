"""The portable profile: the same plan in ansible.builtin alone, one stage after another, for any AWX.

Steps and services run through ``stages/files/node.sh``, a script on the node that keeps output, exit codes and times
in the same files as the supervisor, so that a result is made of them in the same way. Weaker than the default profile:
stages of a group take turns, `live` checks are not made, a start together is as exact as the nodes' clocks, and nothing
ends what runs when the controller dies.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator

from benchhub_ansible.plan.limits import GRACE
from benchhub_ansible.plan.model import Plan, PlannedGroup, PlannedStage
from benchhub_ansible.plan.segments import segments, unit_names
from benchhub_ansible.playbook.default import DESTINATION, becoming, collected
from benchhub_ansible.playbook.engines import container_tasks
from benchhub_ansible.playbook.names import ALL_GROUP, play_name, shown, task_name
from benchhub_ansible.playbook.plays import (
    Data,
    PlayFile,
    ansible_tasks,
    become,
    environment,
    patterns,
    play,
    stage_header,
)
from benchhub_ansible.playbook.portable_tasks import (
    CONTAINER_SCRIPT,
    NODE_DIR,
    NODE_SCRIPT,
    container_call,
    engine_of,
    if_there,
    node_call,
    number_text,
    pack_or_end,
    render,
    service_tasks,
    step_tasks,
    stop_task,
)
from benchhub_ansible.values import has_secret

_PACK = f"{NODE_DIR}/pack.tar.gz"
#: Seconds before a start together, for Ansible to reach every slot; and for each slot more.
_LEAD, _LEAD_PER_SLOT = 5, 0.1
#: Bytes kept of each file that is brought back.
_FILE_LIMIT = 64 * 2**20
_MAKE_FOLDERS = """\
set -eu
mkdir -p "$1"
chmod 0755 "$1"
mkdir -p "$1/.benchhub/units" "$1/.benchhub/async"
chmod "$2" "$1/.benchhub/units" "$1/.benchhub/async"
chmod 0711 "$1/.benchhub"
"""
_UNPACK = """\
set -eu
tar -xzf "$1/pack.tar.gz" -C "$1" --no-same-owner
rm "$1/pack.tar.gz"
"""
_REMOVE = """\
rm -rf "$1" || exit
rmdir "${1%/*}" 2>/dev/null || true
"""
_SECRETS_FILE = "lookup('ansible.builtin.env', 'BENCHHUB_SECRETS')"


def _secrets(plan: Plan) -> Data:
    """Where a play finds the job's secrets: the file that benchhub names, else as the job says."""
    found: Data = {}
    for secret in plan.secrets:
        source = f"benchhub_secrets['{secret.name}']"
        own = f"lookup('ansible.builtin.env', {source}.env)"
        if secret.env is None:
            own = f"lookup('ansible.builtin.file', {source}.file)"
        given = f"(lookup('ansible.builtin.file', {_SECRETS_FILE}) | from_json)['{secret.name}']"
        found[secret.name] = f"{{{{ {given} if {_SECRETS_FILE} else {own} }}}}"
    return found


def _play(
    plan: Plan, name: str, hosts: list[str], tasks: list[Data], *, always: bool = False, serial: bool = False
) -> Data:
    """A play with the variables that its tasks need."""
    variables: Data = {}
    if any("async" in task for task in tasks):
        # What Ansible itself leaves on a node goes with the run's folder.
        variables["ansible_async_dir"] = f"{NODE_DIR}/async"
    if "benchhub_secret." in repr(tasks):
        variables["benchhub_secret"] = _secrets(plan)
    made = play(name, hosts, tasks, always=always, serial=serial)
    body = made.pop("tasks")
    return {**made, **({"vars": variables} if variables else {}), "tasks": body}


# -- plays ------------------------------------------------------------------------------------------------------------


def _stage_tasks(plan: Plan, stage: PlannedStage) -> list[Data]:
    tasks: list[Data] = []
    if stage.together:
        lead = math.ceil(_LEAD + _LEAD_PER_SLOT * len(stage.slots))
        instant: Data = {"benchhub_at": "{{ now().strftime('%s') | int + " + str(lead) + " }}"}
        name = task_name(stage, "choose the instant to start at")
        tasks.append({"name": name, "ansible.builtin.set_fact": instant, "run_once": True})
    for part, unit in zip(segments(stage), unit_names(stage), strict=True):
        for number, task in enumerate(part, 1):
            if task.ansible:
                tasks += ansible_tasks(plan, stage, task, render)
            elif task.long:
                tasks += service_tasks(plan, stage, task)
            else:
                tasks += step_tasks(plan, stage, unit or stage.id, (number, len(part)), task)
    if len(stage.slots) > 1 and not stage.serial:
        tasks.append(
            {
                "name": task_name(stage, "every slot was reached"),
                "ansible.builtin.assert": {
                    "that": ["ansible_play_hosts_all | difference(ansible_play_hosts) | length == 0"],
                    "fail_msg": "A slot was not reached",
                    "quiet": True,
                },
                "run_once": True,
            }
        )
    return tasks


def _stage_play(plan: Plan, stage: PlannedStage, *, always: bool = False) -> Data:
    tasks = _stage_tasks(plan, stage)
    return _play(plan, play_name(stage), patterns(plan, stage), tasks, always=always, serial=stage.serial)


def _prepare(plan: Plan) -> PlayFile:
    name = "Prepare the nodes"
    shared = "1777" if becoming(plan) else "0755"
    tasks: list[Data] = [
        {
            "name": f"{name} | make the folders",
            **_script(_MAKE_FOLDERS, "make", "{{ benchhub_run_dir }}", shared),
            "changed_when": True,
        },
        {
            "name": f"{name} | put the script there that runs steps and services",
            "ansible.builtin.copy": {"src": "node.sh", "dest": NODE_SCRIPT, "mode": "0755"},
        },
    ]
    if container_tasks(plan):
        tasks.append(
            {
                "name": f"{name} | put the script there that speaks to docker and podman",
                "ansible.builtin.copy": {"src": "container.sh", "dest": CONTAINER_SCRIPT, "mode": "0755"},
            }
        )
    header = ("Makes the run's folder on every slot, and puts the script there that keeps output and exit codes.",)
    return PlayFile(name="prepare", title=name, header=header, plays=[_play(plan, name, [ALL_GROUP], tasks)])


def _stop_plays(plan: Plan, names: tuple[str, ...], *, always: bool) -> list[Data]:
    """A play for each service, in the order to stop them."""
    found = {task.service: (stage, task) for stage, task in plan.services()}
    plays = []
    for name in names:
        stage, task = found[name]
        title = f"{'Teardown | stop' if always else 'Stop'} {name}"
        plays.append(_play(plan, title, patterns(plan, stage), [stop_task(plan, task, stage)], always=always))
    return plays


def stage_files(plan: Plan) -> Iterator[PlayFile]:
    """The files of ``stages/``: the stages of a group one after the other, in the order of the job."""
    yield _prepare(plan)
    for group in plan.groups:
        for stage in group.stages:
            header = stage_header(plan, stage, f"group {group.number} of {len(plan.groups)}")
            if any(task.live is not None for task in stage.tasks):
                header = (*header, "Its live checks are not made: the portable profile has nothing that could.")
            play_data = _stage_play(plan, stage)
            yield PlayFile(name=stage.id, title=shown(stage.title), header=header, plays=[play_data])
        if group.stops:
            yield _stop_file(plan, group)


def _stop_file(plan: Plan, group: PlannedGroup) -> PlayFile:
    return PlayFile(
        name=f"stop-after-group-{group.number}",
        title=f"Stop the services of the turn that ends with group {group.number}",
        header=("A turn of a repeated block ends: so do the services it started, the last one first.",),
        plays=_stop_plays(plan, group.stops, always=False),
    )


def teardown_plays(plan: Plan) -> list[Data]:
    """Stop in reverse order, collect, cleanup stages, bring, remove; each also when the one before has failed."""
    services = tuple(task.service or "" for _, task in plan.services())
    plays = _stop_plays(plan, services[::-1], always=True)
    plays += _collect_plays(plan, plan.stages(), "the files")
    plays += [_stage_play(plan, stage, always=True) for stage in plan.cleanup]
    plays += _collect_plays(plan, plan.cleanup, "what the cleanup left")
    plays += _sweep_plays(plan)
    plays.append(_play(plan, "Teardown | bring output and files", [ALL_GROUP], _bring(plan), always=True))
    plays.append(_play(plan, "Teardown | remove", [ALL_GROUP], _remove(plan), always=True))
    return plays


def _privileged(plan: Plan) -> Data:
    """``become`` on the slots where tasks ran as somebody else: their files are theirs."""
    groups = becoming(plan)
    if not groups:
        return {}
    slots = {slot for stage in (*plan.stages(), *plan.cleanup) for slot in stage.slots if _in(plan, stage, groups)}
    if len(slots) == len(plan.slots):
        return {"become": True}
    listed = [slot.name for slot in plan.slots if slot.name in slots]
    return {"become": "{{ inventory_hostname in " + json.dumps(listed).replace('"', "'") + " }}"}


def _in(plan: Plan, stage: PlannedStage, groups: list[str]) -> bool:
    return set(patterns(plan, stage)) <= set(groups)


def _masks(plan: Plan) -> Data:
    """The secrets for node.sh to take out of what it packs."""
    if not plan.secrets:
        return {}
    masks = {f"BENCHHUB_MASK_{secret.name}": render(f"${{secrets.{secret.name}}}") for secret in plan.secrets}
    return {"environment": masks, "no_log": True}


def _collect_plays(plan: Plan, stages: Iterable[PlannedStage], what: str) -> list[Data]:
    """A play for each group or slot with files to bring back."""
    keywords = {**_privileged(plan), **_masks(plan)}
    plays = []
    for group, wanted in collected(plan, stages).items():
        name = f"Teardown | collect {what} of {group}"
        command = if_there(node_call("collect", {"limit": str(_FILE_LIMIT)}, [render(pattern) for pattern in wanted]))
        tasks: list[Data] = [{"name": name, **command, **keywords, "changed_when": True}]
        plays.append(_play(plan, name, [group], tasks, always=True))
    return plays


def _sweep_plays(plan: Plan) -> list[Data]:
    """A play for each way to speak to an engine: removes what has the run's label still, and tells what is left."""
    plays: dict[str, Data] = {}
    for stage, task, given in container_tasks(plan):
        call = if_there({"ansible.builtin.command": {"argv": container_call("sweep", engine_of(given), "-")}})
        for host in patterns(plan, stage):
            name = f"Teardown | remove the containers of {host}"
            swept: Data = {
                "name": name,
                **call,
                **become(task, render),
                **environment(task, render),
                **({"no_log": True} if any(map(has_secret, task.env.values())) else {}),
                "register": "benchhub_swept",
                "changed_when": True,
                "failed_when": "benchhub_swept.rc != 0 or benchhub_swept.stdout | length > 0",
            }
            plays.setdefault(repr(swept), _play(plan, name, [host], [swept], always=True))
    return list(plays.values())


def _bring(plan: Plan) -> list[Data]:
    """Ends what is left, and brings output and files to the controller."""
    privileged = _privileged(plan)
    name = "Teardown | bring output and files"
    destination = f"{DESTINATION}/{{{{ inventory_hostname }}}}"
    pack = pack_or_end({"grace": number_text(GRACE), "limit": str(_FILE_LIMIT)})
    tasks: list[Data] = [
        {"name": f"{name} | pack", **pack, **privileged, **_masks(plan), "changed_when": True},
        {
            "name": f"{name} | bring it here",
            "ansible.builtin.fetch": {
                "src": _PACK,
                "dest": f"{destination}/pack.tar.gz",
                "flat": True,
                "fail_on_missing": False,
            },
            **privileged,
            "register": "benchhub_packed",
        },
        {
            "name": f"{name} | unpack",
            **_script(_UNPACK, "unpack", destination),
            "changed_when": True,
            "delegate_to": "localhost",
            "when": "benchhub_packed.dest is defined",
        },
    ]
    return tasks


def _remove(plan: Plan) -> list[Data]:
    """Removes the run's folder, also when nothing could be brought."""
    return [
        {
            "name": "Teardown | remove the run's folder, and the one above when no other slot needs it",
            **_script(_REMOVE, "remove", "{{ benchhub_run_dir }}"),
            **_privileged(plan),
            "changed_when": True,
        },
    ]


def _script(text: str, name: str, *arguments: str) -> Data:
    """One call of sh for what would be several tasks: each costs every node half a second."""
    argv = ["/bin/sh", "-c", text, name, *arguments]
    return {"ansible.builtin.command": {"argv": argv, "expand_argument_vars": False}}
