"""Lab files: every mistake is told at its place, and the JSON Schema says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from benchhub_ansible import resources
from benchhub_ansible.errors import ExitCode, JobError
from benchhub_ansible.schedulers.pool.lab import LEASE, WAIT, Lab, read_lab

GOOD = """\
version: 1
leases: /var/lib/benchhub/lab.leases
lease: 5m
wait: 2h
vars: {ansible_user: bench, ansible_port: 2222}
machines:
  - name: m1
    address: 192.0.2.1
    types: [database, loader]
    features: [ssd]
    cpus: 16
    memory: 64GiB
    vars: {ansible_port: 22}
  - {name: m2.lab, types: loader}
"""


def lab_of(tmp_path: Path, text: str) -> Lab:
    path = tmp_path / "lab.yml"
    path.write_text(text)
    return read_lab(path)


def errors_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(JobError) as caught:
        lab_of(tmp_path, text)
    assert caught.value.exit_code == ExitCode.JOB
    return [diagnostic.headline.partition("lab.yml:")[2].strip() for diagnostic in caught.value.diagnostics]


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, GOOD)
    assert (lab.leases, lab.lease, lab.wait) == (Path("/var/lib/benchhub/lab.leases"), 300.0, 7200.0)
    first, second = lab.machines
    assert (first.address, first.types, first.memory) == ("192.0.2.1", ("database", "loader"), 64 * 2**30)
    assert first.vars == {"ansible_user": "bench", "ansible_port": 22}
    assert (second.address, second.types, second.vars["ansible_port"]) == ("m2.lab", ("loader",), 2222)


def test_what_need_not_be_said(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "machines: [{name: a, types: loader}]")
    assert (lab.lease, lab.wait) == (LEASE, WAIT)
    assert lab.leases == tmp_path.resolve() / "lab.yml.leases"


def test_the_leases_lie_beside_the_file_and_not_beside_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    lab_of(tmp_path / "real", "machines: [{name: a, types: loader}]")
    link = tmp_path / "link.yml"
    link.symlink_to(tmp_path / "real" / "lab.yml")
    assert read_lab(link).leases == tmp_path.resolve() / "real" / "lab.yml.leases"


BROKEN = {
    "": "error[wrong-type]: a lab is a mapping with the key machines",
    "- a\n": "1:1: error[wrong-type]: a lab is a mapping with the key machines",
    "machines: []\n": "1:11: error[empty-list]: this list is empty",
    "machines: [{name: a}]\n": "1:12: error[missing-key]: the machine has no `types`",
    "machines: [{types: a}]\n": "1:12: error[missing-key]: the machine has no `name`",
    "machines: [{name: a, types: a, cpus: 0}]\n": "1:38: error[out-of-range]: 0 is less than 1",
    "machines: [{name: a, types: a, memory: 8 gigs}]\n": "1:40: error[bad-size]: `8 gigs`: a size is a number of bytes "
    "or a text such as 512MiB, 8GiB",
    "machines: [{name: a, types: a}]\nlease: soon\n": "2:8: error[bad-duration]: `soon`: a duration is a number of "
    "seconds or a text such as 30s, 2m, 1h30m",
    "machines: [{name: a, types: a}]\nlease: 1s\n": "2:8: error[out-of-range]: a lease of 1s ends before it can be "
    "renewed",
    "machines: [{name: a, types: a}]\nversion: 2\n": "2:10: error[out-of-range]: 2 is more than 1",
    "machines: [{name: a, types: a}]\nmachine: 2\n": "2:1: error[unknown-key]: `machine` is not a key of a pool",
    "machines: [{name: a, types: a, feature: [x]}]\n": "1:32: error[unknown-key]: `feature` is not a key of a machine",
    "machines: [{name: a, types: [no]}]\n": "1:30: error[yaml-surprise]: YAML takes `no` for the boolean false",
    "machines: [{name: a, types: b}, {name: a, types: b}]\n": "1:40: error[duplicate-name]: the name `a` stands here a "
    "second time",
    "machines: [{name: a, address: h, types: b}, {name: c, address: h, types: b}]\n": "1:64: error[duplicate-name]: "
    "the address `h` stands here a second time",
    "machines: [{name: a, address: -oProxyCommand=x, types: b}]\n": "1:31: error[bad-value]: `-oProxyCommand=x` is not "
    "a host name or an address",
    "machines: [{name: a, types: b, vars: {ansible_password: x}}]\n": "1:39: error[secret]: `ansible_password` would "
    "be written to every run folder in clear text",
    "machines: [{name: a, types: b, vars: {benchhub_run_id: x}}]\n": "1:39: error[bad-value]: `benchhub_run_id` cannot "
    "be a variable here",
    "machines: [{name: a, name: b, types: b}]\n": "1:22: error[duplicate-key]: `name` stands here a second time",
    "machines: [{name: a\n": "2:1: error[syntax]: a mapping `{…}` is not closed, or a comma is missing",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, text: str) -> None:
    assert errors_of(tmp_path, text)[0] == BROKEN[text]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = "wait: soon\nmachines:\n  - {name: a, types: []}\n  - {name: b, typs: x}\n"
    assert [line.split(" ")[0] for line in errors_of(tmp_path, text)] == ["1:7:", "3:22:", "4:5:", "4:15:"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_bytes(b"machines: \xff")
    with pytest.raises(JobError, match="not UTF-8"):
        read_lab(tmp_path / "lab.yml")
    with pytest.raises(JobError, match="cannot be read"):
        read_lab(tmp_path)


def test_a_password_that_ansible_reads_elsewhere_is_no_secret_of_the_file(tmp_path: Path) -> None:
    text = "machines: [{name: a, types: b, vars: {ansible_password: \"{{ lookup('file', 'x') }}\"}}]"
    assert lab_of(tmp_path, text).machines[0].vars["ansible_password"].startswith("{{")


def test_addresses_behind_one_host_differ_by_port(tmp_path: Path) -> None:
    row = "{{name: {0}, address: h, types: b, vars: {{ansible_port: {1}}}}}"
    assert len(lab_of(tmp_path, f"machines: [{row.format('a', 1)}, {row.format('c', 2)}]").machines) == 2


def test_the_published_schema_accepts_and_refuses_the_same() -> None:
    schema = json.loads(resources.schema("pool").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(yaml.safe_load(GOOD))
    for text, told in BROKEN.items():
        if any(code in told for code in ("missing-key", "unknown-key", "empty-list", "is less than 1", "wrong-type")):
            assert not validator.is_valid(yaml.safe_load(text)), text


def test_the_lab_file_of_the_how_to_is_good(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "share-a-pool.md").read_text()
    (first, *_) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert [machine.name for machine in lab_of(tmp_path, first).machines] == ["m1", "m2", "m3"]
