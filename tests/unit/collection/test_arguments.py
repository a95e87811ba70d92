"""The documentation of every action says what its argument spec says, and its examples keep to it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.benchhub.bench.plugins.plugin_utils import arguments

ACTIONS = ("prepare", "start", "join", "service", "wait_for", "stop", "collect", "finish")
KEYS = ("type", "elements", "required", "default", "choices")


def documented(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            **{key: option[key] for key in KEYS if key in option},
            **({"options": documented(option["suboptions"])} if "suboptions" in option else {}),
        }
        for name, option in options.items()
    }


def specified(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            **{key: option[key] for key in KEYS if key in option},
            **({"options": specified(option["options"])} if "options" in option else {}),
        }
        for name, option in spec.items()
    }


def module(action: str) -> Any:
    return importlib.import_module(f"ansible_collections.benchhub.bench.plugins.modules.{action}")


@pytest.mark.parametrize("action", ACTIONS)
def test_documentation_and_argument_spec_agree(action: str) -> None:
    spec = getattr(arguments, action.upper())
    assert documented(yaml.safe_load(module(action).DOCUMENTATION)["options"]) == specified(spec)


@pytest.mark.parametrize("action", ACTIONS)
def test_examples_are_valid(action: str) -> None:
    name = f"benchhub.bench.{action}"
    examples = [task for task in yaml.safe_load(module(action).EXAMPLES) if name in task]
    assert examples
    for task in examples:
        validator = ArgumentSpecValidator(getattr(arguments, action.upper()))
        assert validator.validate(task[name]).error_messages == []
        assert task["run_once"] is True


@pytest.mark.parametrize("action", ACTIONS)
def test_results_are_documented(action: str) -> None:
    returned = yaml.safe_load(module(action).RETURN)
    assert returned["benchhub"]["sample"]["op"] == action
