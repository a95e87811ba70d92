"""Who a task is for: its slots, their variables and links, and what references mean on each of them."""

# ruff: noqa: SLF001 - Ansible hands its plugins what they need in underscored attributes

from __future__ import annotations

from functools import cached_property

from ansible.template import Templar
from ansible_collections.benchhub.bench.plugins.module_utils.references import (
    RUNTIME_REFERENCE,
    Slots,
    UnknownReferenceError,
    expand,
)
from ansible_collections.benchhub.bench.plugins.plugin_utils.lines import Line
from ansible_collections.benchhub.bench.plugins.plugin_utils.links import TEMPLATES, LinkMaker
from ansible_collections.benchhub.bench.plugins.plugin_utils.secrets import Secrets

#: Group that holds every slot of the run, in order.
EVERY_SLOT = "benchhub"


class Fleet:
    """The slots of the inventory as one task of one play sees them."""

    def __init__(self, action):
        self._action = action
        self._vars = action.bench_vars
        self._own = self._vars["inventory_hostname"]
        self._known = {self._own: self._vars}
        self._links = {}
        self._maker = LinkMaker(action, self._own, self.variables, self._run_dir)
        self._slots = None
        self.secrets = Secrets(self.value(self._own, "benchhub_secrets", {}))

    def targets(self, *, failed_too=False):
        """The hosts of the play (of the batch, under ``serial``) with run_once, else only the task's own host."""
        task = self._action._task
        if not task.run_once or task.get_play().strategy not in ("linear", "ansible.builtin.linear"):
            return [self._own]
        return list(self._vars["ansible_play_hosts_all" if failed_too else "ansible_play_batch"])

    def slots_of(self, names):
        """The slots that groups and slots name, each once, in inventory order; UnknownReferenceError for others."""
        groups = self._vars["groups"]
        wanted = set()
        for name in names:
            if name in groups:
                wanted.update(groups[name])
            elif name in groups["all"]:
                wanted.add(name)
            else:
                raise UnknownReferenceError(f"there is no slot or group {name} in the inventory")
        return [slot for slot in groups["all"] if slot in wanted]

    def variables(self, slot):
        """All variables of one slot, as the task would have them there."""
        if slot not in self._known:
            hostvars = self._vars["hostvars"]
            known = hostvars._variable_manager.get_vars(
                play=self._action._task.get_play(),
                host=hostvars._inventory.get_host(slot),
                task=self._action._task,
                include_hostvars=False,
            )
            known.update(hostvars=hostvars, playbook_dir=self._vars.get("playbook_dir"))
            self._known[slot] = known
        return self._known[slot]

    def templar(self, slot):
        """Ansible's template engine with the variables of one slot."""
        return Templar(loader=self._action._loader, variables=self.variables(slot))

    def value(self, slot, name, default=None):
        """One variable of one slot, templated as Ansible does with variables of an inventory."""
        with TEMPLATES:
            value = self.variables(slot).get(name, default)
            return self.templar(slot).template(value) if value is not None else None

    def required(self, slot, name):
        """A variable that the inventory of a run always has, as text; UnknownReferenceError when it has not."""
        value = self.value(slot, name)
        if value is None:
            raise UnknownReferenceError(f"the inventory gives {slot} no {name}: use the inventory of a run folder")
        return str(value)

    def link(self, slot):
        """The Link of one slot."""
        if slot not in self._links:
            self._links[slot] = self._maker.link(slot, self._line(slot))
        return self._links[slot]

    def _run_dir(self, slot):
        return self.required(slot, "benchhub_run_dir")

    def _line(self, slot):
        folder = self._action.prepared.get("lines")
        return Line(folder, self._run_id, slot) if folder else None

    @cached_property
    def _run_id(self):
        return self.required(self._own, "benchhub_run_id")

    def expand(self, slot, text):
        """A text of the job as it reaches that slot."""
        return expand(str(text), lambda name: self._lookup(slot, name))

    def _lookup(self, slot, name):
        if not RUNTIME_REFERENCE.fullmatch(name):
            return None
        root, _dot, rest = name.partition(".")
        if root == "secrets":
            return self.secrets.value(rest)
        if root in ("nodes", "types"):
            return self._rows().resolve(name)
        if root == "central":
            return self._central(slot)
        variable = {
            "node.address": "benchhub_address",
            "node.index": "benchhub_index",
            "run.id": "benchhub_run_id",
            "run.dir": "benchhub_run_dir",
        }.get(name)
        return slot if variable is None else self.required(slot, variable)

    def _central(self, slot):
        central = self.value(slot, "benchhub_central")
        if not central:
            raise UnknownReferenceError("${central}: the job has no central node and no node of type database")
        return self._rows().row(central)["address"]

    def _rows(self):
        if self._slots is None:
            self._slots = Slots(
                [
                    {
                        "slot": slot,
                        "address": self.required(slot, "benchhub_address"),
                        "node": self.required(slot, "benchhub_node"),
                        "type": self.required(slot, "benchhub_type"),
                    }
                    for slot in self._vars["groups"].get(EVERY_SLOT, [])
                ]
            )
        return self._slots
