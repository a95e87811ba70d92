"""Tree → Job. Builds what can be built; what cannot is told, so that the checks still see the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchhub_ansible.job.build_task import TaskBuilder, span_of
from benchhub_ansible.job.model import (
    ALL_NODES,
    Block,
    Group,
    Job,
    NodeRequest,
    NodeSelector,
    Secret,
    Stage,
    StageRef,
    Task,
)
from benchhub_ansible.job.suggest import did_you_mean
from benchhub_ansible.job.tree import MappingNode, Node, Scalar, SequenceNode
from benchhub_ansible.job.values_reader import ValuesReader
from benchhub_ansible.source import Source, Span


@dataclass(frozen=True, kw_only=True)
class JobBuilder:
    """Builds the job of one tree."""

    read: ValuesReader
    drivers: frozenset[str]

    def job(self, root: MappingNode, *, source: Source, notation: str) -> Job:
        """The job, with nothing in the places that are told to be wrong."""
        read = self.read
        nodes = self.nodes(root)
        stage_nodes = [node for node in read.items(root, "stages") if isinstance(node, MappingNode)]
        if "nodes" not in root.keys:
            nodes = self.implied_nodes(stage_nodes)
        stages = (self.stage(node, nodes) for node in stage_nodes)
        return Job(
            source=source,
            notation=notation,
            name=read.text(root, "name") or "",
            reason=read.text(root, "reason"),
            workload=read.text(root, "workload"),
            database=read.text(root, "database"),
            vars=read.text_map(root, "vars"),
            vars_span=root.keys["vars"].span if "vars" in root.keys else None,
            secrets=self.secrets(root),
            nodes=nodes,
            central=read.text(root, "central"),
            central_span=span_of(root.values["central"]) if "central" in root.keys else None,
            stages=tuple(stage for stage in stages if stage is not None),
            pipeline=self.pipeline(root),
            cleanup=tuple(self.ref(item) for item in read.items(root, "cleanup") if isinstance(item, Scalar)),
            timeout=read.duration(root, "timeout"),
        )

    def secrets(self, root: MappingNode) -> tuple[Secret, ...]:
        """The secrets the job names."""
        child = self.read.child(root, "secrets")
        entries = child.entries() if child is not None else ()
        return tuple(
            Secret(name=name, env=self.read.text(node, "env"), file=self.read.text(node, "file"), span=key.span)
            for name, key, node in entries
            if isinstance(node, MappingNode)
        )

    # -- nodes ---------------------------------------------------------------------------------------------------

    def nodes(self, root: MappingNode) -> tuple[NodeRequest, ...]:
        """What the job asks of a scheduler."""
        child = self.read.child(root, "nodes")
        if child is None:
            return ()
        return tuple(
            self.node(name, key.span, node) for name, key, node in child.entries() if isinstance(node, MappingNode)
        )

    def node(self, name: str, span: Span, node: MappingNode) -> NodeRequest:
        """One entry of `nodes`."""
        read = self.read
        further = read.child(node, "options")
        options: dict[str, Any] = dict(read.value(further)) if further is not None else {}
        if (gres := read.text(node, "gres")) is not None:
            options["gres"] = gres
        if "exclusive" in node.keys:
            options["exclusive"] = read.boolean(node, "exclusive")
        return NodeRequest(
            name=name,
            type=read.text(node, "type") or name,
            count=read.integer(node, "count") or 1,
            cpus=read.integer(node, "cpus"),
            memory=read.size(node, "memory"),
            features=read.texts(node, "features"),
            options=options,
            span=span,
        )

    def implied_nodes(self, stages: list[MappingNode]) -> tuple[NodeRequest, ...]:
        """One node per type that the stages name, in that order, for a job without `nodes`."""
        found: dict[str, Span] = {}
        for stage in stages:
            selector = self.read.get(stage, "nodes")
            types = (
                self.read.items(selector, "type")
                if isinstance(selector, MappingNode)
                else self.read.items(stage, "nodes")
            )
            for item in types:
                if isinstance(item, Scalar) and item.text != ALL_NODES:
                    found.setdefault(item.text, item.span)
        return tuple(NodeRequest(name=name, type=name, span=span) for name, span in found.items())

    def selector(self, stage: MappingNode, nodes: tuple[NodeRequest, ...]) -> NodeSelector:
        """Which nodes a stage runs on; each name told that no node or type has."""
        value = stage.get("nodes")
        span = span_of(value) if value is not None else Span(line=1, column=1)
        names, types = [node.name for node in nodes], list(dict.fromkeys(node.type for node in nodes))
        if isinstance(value, MappingNode):
            for key in ("type", "name"):
                known = types if key == "type" else names
                for item in self.read.items(value, key):
                    self.known(item, known, "type" if key == "type" else "node")
            if len(value.keys) == 1:
                span = span_of(next(iter(value.values.values())))
            return NodeSelector(types=self.read.texts(value, "type"), names=self.read.texts(value, "name"), span=span)
        wanted = self.read.texts(stage, "nodes")
        if ALL_NODES in wanted:
            return NodeSelector(all=True, span=span)
        for item in self.read.items(stage, "nodes"):
            self.known(item, [*names, *types], "node")
        return NodeSelector(
            names=tuple(name for name in wanted if name in names and name not in types),
            types=tuple(name for name in wanted if name in types),
            span=span,
        )

    def known(self, item: Node, known: list[str], what: str) -> None:
        """Tells a node or type that does not exist."""
        if not isinstance(item, Scalar) or item.text in known:
            return
        message = f"no node has the type `{item.text}`" if what == "type" else f"there is no node `{item.text}`"
        self.read.tell(f"unknown-{what}", message, item.span, did_you_mean(item.text, known))

    # -- stages and their order ----------------------------------------------------------------------------------

    def stage(self, node: MappingNode, nodes: tuple[NodeRequest, ...]) -> Stage | None:
        """A stage; None when it has no name."""
        name = self.read.text(node, "name")
        if name is None:
            return None
        builder = TaskBuilder(read=self.read, drivers=self.drivers)
        built = (builder.task(item) for item in self.read.items(node, "tasks") if isinstance(item, MappingNode))
        tasks: tuple[Task, ...] = tuple(task for task in built if task is not None)
        stage = Stage(
            name=name,
            nodes=self.selector(node, nodes),
            tasks=tasks,
            together=self.read.text(node, "start") == "together",
            serial=self.read.boolean(node, "serial"),
            span=span_of(node.values["name"]),
        )
        if stage.together and any(task.long for task in tasks):
            self.read.tell(
                "together-with-long",
                "`start: together` is for stages that end by themselves",
                node.keys["start"].span,
                "start the long-running task in a stage before it",
            )
        if stage.together and stage.serial:
            self.read.tell(
                "together-with-serial", "`start: together` and `serial` exclude each other", node.keys["serial"].span
            )
        return stage

    def pipeline(self, root: MappingNode) -> tuple[Group | Block, ...]:
        """The groups and blocks in order."""
        found: list[Group | Block] = []
        for item in self.read.items(root, "pipeline"):
            if isinstance(item, SequenceNode):
                found.append(self.group(item))
            elif isinstance(item, MappingNode):
                found.append(self.block(item))
        return tuple(found)

    def group(self, node: SequenceNode) -> Group:
        """Stages that run in parallel."""
        refs = (self.ref(item) for item in node.items if isinstance(item, Scalar) and id(item) not in self.read.bad)
        return Group(stages=tuple(refs), span=span_of(node))

    def block(self, node: MappingNode) -> Block:
        """Groups that repeat."""
        groups = (self.group(item) for item in self.read.items(node, "stages") if isinstance(item, SequenceNode))
        matrix = self.read.child(node, "matrix")
        return Block(
            groups=tuple(groups),
            repeat=self.read.integer(node, "repeat") or 1,
            warmup=self.read.integer(node, "warmup") or 0,
            matrix={name: self.read.texts(matrix, name) for name in matrix.keys} if matrix is not None else {},
            span=span_of(node),
        )

    def ref(self, item: Scalar) -> StageRef:
        """A stage's name where it is used."""
        return StageRef(name=self.read.as_text(item), span=item.span)
