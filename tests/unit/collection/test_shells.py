"""A script for sh, through login shells that read quotes differently."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

FILE = "collections/ansible_collections/benchhub/bench/plugins/plugin_utils/shells.py"


@pytest.fixture(scope="module")
def shells() -> Any:
    spec = importlib.util.spec_from_file_location("shells", Path(__file__).parents[3] / FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.real  # `make fast` needs no Debian package
@pytest.mark.parametrize("shell", ["sh", "bash", "tcsh", "bsd-csh", "fish"])
@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\n\nand more",
        'it\'s "quoted" `here` $HOME ${x} $(id)',
        r"back\\slashes \n \0123 \\' \!",
        "!! !$ !-1 [ a != b ] ! c",
        "\n7 octal digits may follow \\8 !9",
        "{{ x }} %s %b %% # ; & | < > * ? [a] ~ é 名",
        "x" * 5000,
    ],
)
def test_a_script_arrives_byte_for_byte(shells: Any, shell: str, text: str) -> None:
    script = f'printf %s {shlex.quote(text)} "$1"'
    command = shells.by_sh(script, "/a folder/of 'it'")
    done = subprocess.run([shell, "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == text + "/a folder/of 'it'"


def test_what_all_shells_read_alike_costs_no_further_process(shells: Any) -> None:
    assert shells.by_sh("id -u && id -g") == "/bin/sh -c 'id -u && id -g' sh"
