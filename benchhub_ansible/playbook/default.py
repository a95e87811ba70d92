"""The default profile: plays that hand whole stages to the node-side supervisor through the collection's actions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from benchhub_ansible.plan.model import Plan, PlannedGroup, PlannedStage, PlannedTask
from benchhub_ansible.playbook import engines, steps
from benchhub_ansible.playbook.names import (
    ALL_GROUP,
    FAILED_GROUP,
    host_patterns,
    listed,
    play_name,
    shown,
    task_name,
)
from benchhub_ansible.playbook.parts import Part, how, keywords, order, parts
from benchhub_ansible.playbook.plays import (
    Data,
    PlayFile,
    ansible_tasks,
    patterns,
    play,
    shown_line,
    stage_header,
)
from benchhub_ansible.playbook.texts import templated

_SECRET = "lookup('benchhub.bench.secret', 'NAME')"  # noqa: S105 - where one is looked up


def render(text: str) -> str:
    """A text in a task that Ansible runs itself."""
    return templated(text, secret=_SECRET)


class Emitter:
    """One walk over the plan's groups; remembers which services run, as everything that waits watches them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._running: dict[str, list[str]] = {}

    def files(self) -> Iterator[PlayFile]:
        """The files of ``stages/`` in order."""
        yield prepare_file(self._plan)
        for group in self._plan.groups:
            if len(group.stages) == 1:
                yield self._alone(group)
            else:
                yield from self._together(group)
            if group.stops:
                yield self._stop(group)

    # -- one stage ----------------------------------------------------------------------------------------------------

    def _alone(self, group: PlannedGroup) -> PlayFile:
        stage = group.stages[0]
        note = f"group {group.number} of {len(self._plan.groups)}"
        return PlayFile(
            name=stage.id,
            title=shown(stage.title),
            header=stage_header(self._plan, stage, note),
            plays=[self.whole_stage(stage)],
        )

    def whole_stage(self, stage: PlannedStage, *, always: bool = False) -> Data:
        """One play with all parts of a stage, each waited for."""
        tasks: list[Data] = []
        whole = parts(stage)
        for part in whole:
            tasks += self._begin(part, join=True)
            if part.kind == "service":
                tasks += self._wait(part)
        return play(
            play_name(stage),
            patterns(self._plan, stage),
            tasks,
            always=always,
            serial=stage.serial,
            keywords=keywords(*whole),
        )

    def _begin(self, part: Part, *, join: bool) -> list[Data]:
        if part.kind == "service":
            return [self._service(part)]
        if part.kind == "steps":
            return [self._start(part, join=join)]
        job = part.kind == "job"
        module = ansible_tasks(self._plan, part.stage, part.tasks[0], render, background=job)
        return [*module, self._start(part, join=join)] if job else module

    def _start(self, part: Part, *, join: bool) -> Data:
        stage, first = part.stage, part.number == 1
        arguments: Data = {
            "unit": part.unit,
            "title": shown_line(stage.title),
            "steps": [
                steps.async_step(task) if task.background else steps.step(self._plan, task) for task in part.tasks
            ],
            **({"together": True} if stage.together and first else {}),
            "join": join,
            "deadline": part.deadline,
            **self._watch(),
        }
        name = task_name(stage, listed(part.tasks))
        return {"name": name, "benchhub.bench.start": arguments, "run_once": True}

    def _service(self, part: Part) -> Data:
        task = part.tasks[0]
        arguments = steps.service(self._plan, task)
        self._running[task.service or task.id] = patterns(self._plan, part.stage)
        return {
            "name": task_name(part.stage, task.name),
            "benchhub.bench.service": arguments,
            "async": math.ceil(task.timeout),
            "poll": 0,
            "run_once": True,
        }

    def _wait(self, part: Part) -> list[Data]:
        task = part.tasks[0]
        if task.ready is None:
            return []
        return [
            {
                "name": f"{task_name(part.stage, task.name)} is ready",
                "benchhub.bench.wait_for": {**steps.ready(task, task.ready), **self._watch()},
                "run_once": True,
            }
        ]

    def _watch(self) -> Data:
        """``watch``: the groups and slots whose services must stay alive meanwhile."""
        watched = list(dict.fromkeys(name for names in self._running.values() for name in names))
        return {"watch": watched} if watched else {}

    # -- stages in parallel -------------------------------------------------------------------------------------------

    def _together(self, group: PlannedGroup) -> Iterator[PlayFile]:
        """Waves: each starts the next part of every stage, then waits for what has a part after it."""
        serial = [stage for stage in group.stages if stage.serial]
        columns = [parts(stage) for stage in group.stages if not stage.serial]
        waves = max((len(column) for column in columns), default=0)
        outstanding: list[Part] = []
        for wave in range(waves):
            begun = sorted((column[wave] for column in columns if len(column) > wave), key=order)
            yield from (self._begin_file(group, part) for part in begun)
            if wave == 0:
                yield from (self._serial_file(group, stage) for stage in serial)
            last = wave == waves - 1
            outstanding += [part for part in begun if part.kind in ("steps", "job")]
            longer = {column[wave].stage.id for column in columns if len(column) > wave + 1}
            due = [part for part in outstanding if last or part.stage.id in longer]
            outstanding = [part for part in outstanding if part not in due]
            plays = self._join_plays(group, [part for part in begun if part.kind == "service"], due)
            if plays:
                yield self._join_file(group, plays, wave + 1, waves)
        if not waves:
            yield from (self._serial_file(group, stage) for stage in serial)

    def _begin_file(self, group: PlannedGroup, part: Part) -> PlayFile:
        stage = part.stage
        note = f"group {group.number} of {len(self._plan.groups)}, in parallel with {_others(group, stage)}"
        suffix = "" if part.number == 1 else f"-part-{part.number}"
        name = play_name(stage, part.number)
        tasks = self._begin(part, join=False)
        return PlayFile(
            name=f"{stage.id}{suffix}",
            title=name,
            header=(*stage_header(self._plan, stage, note), *how(part)),
            plays=[play(name, patterns(self._plan, stage), tasks, keywords=keywords(part))],
        )

    def _serial_file(self, group: PlannedGroup, stage: PlannedStage) -> PlayFile:
        note = f"group {group.number} of {len(self._plan.groups)}, in parallel with {_others(group, stage)}"
        header = stage_header(self._plan, stage, note)
        return PlayFile(name=stage.id, title=shown(stage.title), header=header, plays=[self.whole_stage(stage)])

    def _join_plays(self, group: PlannedGroup, services: list[Part], due: list[Part]) -> list[Data]:
        plays = [
            play(play_name(part.stage, part.number), patterns(self._plan, part.stage), wait)
            for part in services
            if (wait := self._wait(part))
        ]
        if due:
            names = ", ".join(dict.fromkeys(shown_line(part.stage.title) for part in due))
            name = shown(f"group {group.number} waits for {names}")
            units = {part.unit: patterns(self._plan, part.stage) for part in due}
            arguments: Data = {
                "title": f"group {group.number}",
                "units": units,
                "deadline": max(part.deadline for part in due),
                **self._watch(),
            }
            task: Data = {
                "name": f"Group {group.number} | every stage has ended",
                "benchhub.bench.join": arguments,
                "run_once": True,
            }
            plays.append(play(name, [ALL_GROUP], [task]))
        return plays

    def _join_file(self, group: PlannedGroup, plays: list[Data], wave: int, waves: int) -> PlayFile:
        suffix = f"-part-{wave}" if waves > 1 else ""
        names = ", ".join(f'"{shown_line(stage.title)}"' for stage in group.stages)
        return PlayFile(
            name=f"join-group-{group.number}{suffix}",
            title=f"Join of group {group.number}",
            header=(f"Waits for the stages of group {group.number} of {len(self._plan.groups)}: {names}.",),
            plays=plays,
        )

    # -- the end of a turn --------------------------------------------------------------------------------------------

    def _stop(self, group: PlannedGroup) -> PlayFile:
        for name in group.stops:
            self._running.pop(name, None)
        name = f"Stop the services of the turn that ends with group {group.number}"
        task: Data = {"name": name, "benchhub.bench.stop": {"services": list(group.stops)}, "run_once": True}
        return PlayFile(
            name=f"stop-after-group-{group.number}",
            title=name,
            header=("A turn of a repeated block ends: so do the services it started, the last one first.",),
            plays=[play(name, [ALL_GROUP], [task])],
        )


def _others(group: PlannedGroup, stage: PlannedStage) -> str:
    return ", ".join(f'"{shown_line(other.title)}"' for other in group.stages if other is not stage)


# -- before and after the groups --------------------------------------------------------------------------------------


def becoming(plan: Plan) -> list[str]:
    """The groups and slots with a task that runs as another user."""
    stages = (*plan.stages(), *plan.cleanup)
    return _patterns(plan, (s for s in stages if any(_becomes(task) for task in s.tasks if not task.ansible)))


def _root_on(plan: Plan) -> list[str]:
    """Where the supervisor has to be root; also where Ansible itself runs a task as root: only root can end that."""
    modules = (
        stage
        for stage in (*plan.stages(), *plan.cleanup)
        if any(task.ansible and task.become and task.user is None for task in stage.tasks)
    )
    return list(dict.fromkeys([*becoming(plan), *_patterns(plan, modules)]))


def _becomes(task: PlannedTask) -> bool:
    own = task.become or task.user is not None
    return own or (task.shutdown is not None and _becomes(task.shutdown))


def _patterns(plan: Plan, stages: Iterable[PlannedStage]) -> list[str]:
    return list(dict.fromkeys(name for stage in stages for name in host_patterns(plan, stage.hosts)))


def prepare_file(plan: Plan) -> PlayFile:
    """The first play: a supervisor on every slot."""
    arguments: Data = {"lease": math.ceil(plan.lease)}
    if groups := _root_on(plan):
        arguments["become_on"] = groups
    name = "Prepare the nodes"
    task: Data = {"name": f"{name} | start the supervisor", "benchhub.bench.prepare": arguments, "run_once": True}
    return PlayFile(
        name="prepare",
        title=name,
        header=("Puts the supervisor on every slot; it ends what it runs when no controller speaks to it any more.",),
        plays=[play(name, [ALL_GROUP], [task])],
    )


def collected(plan: Plan, stages: Iterable[PlannedStage]) -> dict[str, list[str]]:
    """Group or slot → patterns of the files to bring back: ``collect`` of tasks, and what ``fetch`` names."""
    found: dict[str, dict[str, None]] = {}
    for stage in stages:
        for task in stage.tasks:
            wanted = list(task.collect)
            if not task.ansible and "fetch" in (runs := steps.what_runs(plan, task)):
                wanted.append(runs["fetch"])
            wanted += [metric.file for metric in task.metrics if metric.file is not None]
            for name in patterns(plan, stage) if wanted else ():
                found.setdefault(name, {}).update(dict.fromkeys(wanted))
    return {name: list(wanted) for name, wanted in found.items()}


DESTINATION = "{{ benchhub_collect_dest | default(playbook_dir ~ '/../collected', true) }}"


def teardown_plays(plan: Plan) -> list[Data]:
    """Stop in reverse order, cleanup stages, then collect and remove; each also when the one before has failed.

    Files of the job's stages come home before cleanup stages, which may drop them.
    """
    # After success no stage runs any more, and no slot is in that group: the play then costs nothing.
    name = "Teardown | end the stages that still run"
    task: Data = {"name": name, "benchhub.bench.stop": {"stages": True}, "run_once": True}
    plays = [play(name, [FAILED_GROUP], [task], always=True)]
    services = [task.service for _, task in plan.services()]
    if services:
        # Those of a turn too: a run that failed in the middle of it has not stopped them.
        name = "Teardown | stop the services"
        task = {"name": name, "benchhub.bench.stop": {"services": services[::-1]}, "run_once": True}
        hosts = dict.fromkeys(host for stage, _ in plan.services() for host in patterns(plan, stage))
        plays.append(play(name, hosts, [task], always=True))
    stages: tuple[PlannedStage, ...] = (*plan.stages(), *plan.cleanup)
    if plan.cleanup and (files := collected(plan, plan.stages())):
        name = "Teardown | collect files"
        task = {
            "name": name,
            "benchhub.bench.collect": {"files": steps.as_written(files), "dest": DESTINATION},
            "run_once": True,
        }
        plays.append(play(name, files, [task], always=True))
        stages = plan.cleanup
    emitter = Emitter(plan)
    plays += [emitter.whole_stage(stage, always=True) for stage in plan.cleanup]
    files = collected(plan, stages)
    arguments = _brought(files)
    if groups := _root_on(plan):
        arguments["become_on"] = groups
    if ways := engines.ways(plan):
        arguments["containers"] = steps.as_written(ways)
    name = "Teardown | collect and remove"
    finish: Data = {"name": name, "benchhub.bench.finish": arguments, "run_once": True}
    plays.append(play(name, [ALL_GROUP], [finish], always=True))
    return plays


def _brought(files: dict[str, list[str]]) -> Data:
    """What `finish` is told of files: which, if any, and where to."""
    return {**({"collect": steps.as_written(files)} if files else {}), "dest": DESTINATION}


def hold_plays(plan: Plan, seconds: float) -> list[Data]:
    """What ``--keep`` does instead of a teardown: brings back what there is and lets everything run on for a time."""
    arguments = {**_brought(collected(plan, plan.stages())), "keep": math.ceil(seconds)}
    name = "Hold | collect, and keep what runs"
    return [
        play("Hold", [ALL_GROUP], [{"name": name, "benchhub.bench.finish": arguments, "run_once": True}], always=True)
    ]
