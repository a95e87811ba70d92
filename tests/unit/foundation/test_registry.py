"""Plugins come by entry point, and a missing one names what there is."""

import pytest

from benchhub_ansible import registry, resources
from benchhub_ansible.errors import PluginError


def test_built_ins_come_through_the_entry_points() -> None:
    assert {"local", "inventory"} <= set(registry.names("scheduler"))
    assert {"shell", "exec", "docker", "module"} <= set(registry.names("driver"))


def test_every_plugin_loads() -> None:
    assert [state for state in registry.states() if state.problem] == []


def test_a_mistyped_plugin_is_told_with_a_suggestion() -> None:
    with pytest.raises(PluginError) as caught:
        registry.load("scheduler", "locale")
    assert caught.value.diagnostics[0].hint == "did you mean 'local'?"


def test_the_data_files_are_found() -> None:
    assert resources.schema("job").is_file()
    assert (resources.collections() / "ansible_collections" / "benchhub" / "bench" / "galaxy.yml").is_file()
