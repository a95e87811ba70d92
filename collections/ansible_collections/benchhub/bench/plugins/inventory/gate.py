"""Inventory without hosts that is read only when the nodes of a run are known."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gate
short_description: Waits until the inventory of a benchmark run is there
version_added: "0.1.0"
author: The benchhub developers
description:
  - Adds no host. It waits until nobody holds a lock (flock) on its own file any more.
  - C(benchhub run) starts Ansible while it acquires nodes, and holds that lock until the inventory that follows on the
    command line is written. When the lock is gone and there is no inventory, Ansible ends with exit code 1.
  - Before it waits it can read an inventory, and tell C(benchhub run) which hosts that one has.
options:
  plugin:
    description: Must be V(benchhub.bench.gate).
    type: str
    required: true
    choices: [benchhub.bench.gate]
  until:
    description: Absolute path of the inventory that has to be there when the wait is over.
    type: str
    required: true
  reads:
    description: Absolute path of an inventory to read before the wait; anything C(ansible-inventory -i) accepts.
    type: str
  told:
    description: >-
      Absolute path of a file to write its hosts and groups to, as C(ansible-inventory --list) prints them. Of the
      variables of hosts it gets those that say whether a host fits a slot, and C(ansible_host); it is empty when the
      inventory cannot be read.
    type: str
"""

EXAMPLES = r"""
plugin: benchhub.bench.gate
until: /home/me/runs/20261123-193012-kairosdb-7f3a/inventory/hosts.yml
reads: /home/me/lab/hosts.ini
told: /home/me/runs/20261123-193012-kairosdb-7f3a/artifacts/run/told.json
"""

import contextlib
import fcntl
import gc
import json
import sys
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins import loader as plugin_loader
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.vars import combine_vars, load_extra_vars
from ansible_collections.benchhub.bench.plugins.inventory import slots

#: What every run of the default profile uses: the actions of this collection.
_ACTIONS = ("prepare", "start", "join", "service", "wait_for", "stop", "finish")
#: What C(benchhub run) asks of hosts. Nothing else of the inventory is told: there may be secrets in it.
_TOLD = ("ansible_host", "cpus", "features", "memory")


class InventoryModule(BaseInventoryPlugin):
    """`benchhub.bench.gate`"""

    NAME = "benchhub.bench.gate"

    def verify_file(self, path):
        """Whether the file may be meant for this plugin; its `plugin:` key decides."""
        return super().verify_file(path) and Path(path).name == "gate.yml"

    def parse(self, inventory, loader, path, cache=True):
        """Returns when the gate is open."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        until = Path(self.get_option("until"))
        if until.exists():  # `meta: refresh_inventory`
            return
        try:
            if self.get_option("reads"):
                _tell(self.get_option("reads"), loader, Path(self.get_option("told")))
        except Exception as error:  # noqa: BLE001 - Ansible would try another plugin, and not wait
            sys.exit(f"{self.get_option('reads')}: {error}")
        _load_ahead()
        with open(path, encoding="utf-8") as gate:
            fcntl.flock(gate, fcntl.LOCK_SH)
        if not until.exists():
            sys.exit(f"{until}: the nodes of this run never came")
        # What is loaded by now stays until the end. Looking through it again and again, in every worker and at the end
        # of this process, would cost more than anything else that a small play does.
        gc.freeze()


def _tell(source, loader, path):
    """Writes what an inventory has to a file that is there only when it is whole."""
    try:
        told = _list(slots.read_ahead(source, loader), loader, source)
    except AnsibleError:
        told = {}  # the controller asks ansible-inventory then, which says what is wrong
    part = path.with_suffix(".part")
    part.write_text(json.dumps(told), encoding="utf-8")
    part.replace(path)


def _list(found, loader, source):
    extra = load_extra_vars(loader)
    hostvars = {}
    for name, host in found.hosts.items():
        variables = combine_vars(slots.variables_of(host, loader, source), extra)
        plain = {key: _plain(variables.get(key)) for key in _TOLD}
        hostvars[name] = {key: value for key, value in plain.items() if value is not None}
    groups = {
        name: {"hosts": [h.name for h in group.hosts], "children": [g.name for g in group.child_groups]}
        for name, group in found.groups.items()
    }
    return {"_meta": {"hostvars": hostvars}, **groups}


def _plain(value):
    """A value as it may be told: what is vaulted by itself, or is no text, number or list of those, is nothing."""
    if isinstance(value, (list, tuple)):
        return [str(item) for item in value if isinstance(item, (str, int))]
    return value if isinstance(value, (str, int)) else None


def _load_ahead():
    """Loads and makes what is needed when the gate is open; whoever needs it says what is wrong with it."""
    with contextlib.suppress(Exception):
        for kind in ("connection", "shell", "become", "callback"):  # Ansible itself loads all of these
            list(getattr(plugin_loader, f"{kind}_loader").all(class_only=True))
        for name in _ACTIONS:
            plugin_loader.action_loader.get(f"benchhub.bench.{name}", class_only=True)
        plugin_loader.strategy_loader.get("linear", class_only=True)
        # here, since a project of the portable profile has this plugin but nothing of the supervisor
        from ansible_collections.benchhub.bench.plugins.module_utils import bootstrap  # noqa: PLC0415

        bootstrap.program()  # workers are forked from this process, and find it made
