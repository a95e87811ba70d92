"""A script for sh, through login shells that read quotes differently."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from ansible_collections.benchhub.bench.plugins.plugin_utils.shells import by_sh


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
def test_a_script_arrives_byte_for_byte(shell: str, text: str) -> None:
    script = f'printf %s {shlex.quote(text)} "$1"'
    command = by_sh(script, "/a folder/of 'it'")
    done = subprocess.run([shell, "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == text + "/a folder/of 'it'"


def test_what_all_shells_read_alike_costs_no_further_process() -> None:
    assert by_sh("id -u && id -g") == "/bin/sh -c 'id -u && id -g' sh"
