"""Inventory of a run: slots that are played by hosts of the user's own inventory, with all of their variables."""

from __future__ import annotations

DOCUMENTATION = r"""
name: slots
short_description: Slots of a benchmark run, played by hosts of another inventory
version_added: "0.1.0"
author: The benchhub developers
description:
  - Reads the inventory I(source) and gives every slot the variables of the host that plays it, group variables and
    vaulted values among them. Nothing of that is written to a file.
  - A slot gets C(ansible_host) of its host; where that is not set, the name of the host.
options:
  plugin:
    description: Must be V(benchhub.bench.slots).
    type: str
    required: true
    choices: [benchhub.bench.slots]
  source:
    description: Absolute path of the inventory to take hosts from; anything C(ansible-inventory -i) accepts.
    type: str
    required: true
  slots:
    description: >-
      Slot name to a mapping of C(host) (its name in the source), C(type), C(node) and C(index),
      and optionally C(run_dir), its folder on the node. The order is the order of the slots.
    type: dict
    required: true
  vars:
    description: Variables of the group C(benchhub), which every slot is in.
    type: dict
    default: {}
"""

EXAMPLES = r"""
plugin: benchhub.bench.slots
source: /home/me/lab/hosts.ini
slots:
  db: {host: h001, type: database, node: db, index: 0}
  loader-1: {host: h002, type: loader, node: loader, index: 0}
vars:
  benchhub_run_id: 20261123-193012-kairosdb-7f3a
"""

import re

from ansible.errors import AnsibleParserError
from ansible.inventory.helpers import get_group_vars, sort_groups
from ansible.inventory.manager import InventoryManager
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

#: Said of a slot by its own inventory; the source's answer would be another host's.
_MAGIC = {"inventory_hostname", "inventory_hostname_short", "inventory_file", "inventory_dir", "group_names", "groups"}
_SLOT_KEYS = {"host", "type", "node", "index"}
_READ = {}


class InventoryModule(BaseInventoryPlugin):
    """`benchhub.bench.slots`"""

    NAME = "benchhub.bench.slots"

    def verify_file(self, path):
        """Whether the file may be meant for this plugin; its `plugin:` key decides."""
        return super().verify_file(path) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory, loader, path, cache=True):
        """Fills the inventory with the slots and groups of the run."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        source = self.get_option("source")
        hosts = _READ.pop(source, None) or InventoryManager(loader=loader, sources=[source])
        inventory.add_group("benchhub")
        for name, value in self.get_option("vars").items():
            inventory.set_variable("benchhub", name, value)
        for slot, played in self.get_option("slots").items():
            self._check(slot, played)
            host = hosts.get_host(played["host"])
            if host is None:
                raise AnsibleParserError(f"slot {slot}: there is no host {played['host']} in {source}")
            self._add(slot, played, variables_of(host, loader, source))
        inventory.add_group("benchhub_failed")

    @staticmethod
    def _check(slot, played):
        missing = _SLOT_KEYS - set(played or ())
        if missing:
            raise AnsibleParserError(f"slot {slot}: {', '.join(sorted(missing))} is missing")

    def _add(self, slot, played, variables):
        inventory = self.inventory
        inventory.add_host(slot, group="benchhub")
        # variables first: a host of the source that is itself called benchhub_… must not win
        for name, value in variables.items():
            inventory.set_variable(slot, name, value)
        address = variables.get("ansible_host") or played["host"]
        own = {
            "ansible_host": address,
            "benchhub_address": variables.get("benchhub_address", address),
            "benchhub_index": played["index"],
            "benchhub_node": played["node"],
            "benchhub_type": played["type"],
        }
        if played.get("run_dir"):
            own["benchhub_run_dir"] = played["run_dir"]
        for name, value in own.items():
            inventory.set_variable(slot, name, value)
        slots = self.get_option("slots")
        taken = set(slots) | {other["type"] for other in slots.values()}
        for group in (played["type"], played["node"]):
            if group == played["type"] or group not in taken:
                inventory.add_group(_group_name(group))
                inventory.add_host(slot, group=_group_name(group))


def read_ahead(source, loader):
    """The inventory at a path, which slots are then taken from: asked again, a dynamic one might give other hosts."""
    _READ[source] = InventoryManager(loader=loader, sources=[source])
    return _READ[source]


def variables_of(host, loader, source):
    """What Ansible would know of the host before a play: group variables, then its own, vars plugins included.

    In the order of Ansible's own VariableManager: of what is said twice the last one counts.
    """
    groups = sort_groups(host.get_groups())  # `all` first, a group behind those it is in
    found = get_group_vars(groups)
    for entities in (groups[:1], groups[1:]):
        found = combine_vars(found, get_vars_from_inventory_sources(loader, [source], entities, "all"))
    found = combine_vars(found, host.get_vars())
    found = combine_vars(found, get_vars_from_inventory_sources(loader, [source], [host], "all"))
    return {name: value for name, value in found.items() if name not in _MAGIC}


def _group_name(name):
    """The group of a node type or node name: the identifier that Ansible wants, as the compiled plays say it."""
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned
