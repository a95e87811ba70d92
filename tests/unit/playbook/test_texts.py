from __future__ import annotations

from typing import Any

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchhub_ansible.playbook.texts import has_reference, templated
from benchhub_ansible.playbook.yaml_text import Unsafe
from benchhub_ansible.values import RUNTIME_REFERENCE, expand, has_secret

HOSTS: dict[str, dict[str, Any]] = {
    "db": {"benchhub_address": "10.0.0.1", "benchhub_node": "db", "benchhub_type": "database"},
    "loader-1": {"benchhub_address": "10.0.0.2", "benchhub_node": "loader", "benchhub_type": "loader"},
    "loader-2": {"benchhub_address": "10.0.0.3", "benchhub_node": "loader", "benchhub_type": "loader"},
}
VALUES = {
    "central": "10.0.0.1",
    "node.address": "10.0.0.3",
    "node.name": "loader-2",
    "node.index": "1",
    "nodes.db.address": "10.0.0.1",
    "nodes.loader[1].name": "loader-2",
    "types.loader.addresses": "10.0.0.2,10.0.0.3",
    "types.loader.names": "loader-1,loader-2",
    "run.id": "r{{ 1 }}",
    "run.dir": "/tmp/x",
    "secrets.PW": "s{% x %}",
}


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701 - as Ansible sets it
    made.filters["extract"] = lambda key, mapping: mapping[key]
    return made


ENVIRONMENT = _environment()


def _rendered(text: str) -> str:
    """What Ansible makes of a value: nothing of one marked unsafe, else the template filled in."""
    if isinstance(text, Unsafe):
        return str(text)
    hosts = {name: {**variables, "inventory_hostname": name} for name, variables in HOSTS.items()}
    return ENVIRONMENT.from_string(text).render(
        hosts["loader-2"],
        benchhub_index=1,
        groups={"benchhub": list(HOSTS)},
        hostvars=hosts,
        benchhub_central="db",
        benchhub_run_id=VALUES["run.id"],
        benchhub_run_dir=VALUES["run.dir"],
        secret={"PW": VALUES["secrets.PW"]},
    )


PIECES = st.one_of(
    st.sampled_from(
        ["{", "}", "%", "#", "{{", "}}", "{%", "%}", "$", "$${", "${HOME}", "\n", "'", '"', "\\", "-", " "]
    ),
    st.sampled_from([f"${{{name}}}" for name in VALUES]),
    st.text(max_size=3),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_ansible_s_templating_gives_the_bytes_that_the_text_means(text: str) -> None:
    def value(name: str) -> str | None:
        return VALUES.get(name) if RUNTIME_REFERENCE.fullmatch(name) else None

    # Jinja itself makes \n of \r\n; Ansible's YAML and modules are given such a text as it is.
    meant = expand(text, value)
    written = templated(text, secret="secret.NAME")
    if "\r" not in text:
        assert _rendered(written) == meant


def test_an_override_of_jinja_s_delimiters_is_a_text_like_any_other() -> None:
    assert templated("#jinja2: x ${node.name}", secret="").startswith("{{ '#' }}jinja2:")


@pytest.mark.parametrize(
    ("text", "reference", "secret"),
    [
        ("a", False, False),
        ("${HOME} $${run.id}", False, False),
        ("${run.id}", True, False),
        ("${secrets.A}", True, True),
    ],
)
def test_what_a_text_waits_for(text: str, reference: bool, secret: bool) -> None:
    assert (has_reference(text), has_secret(text)) == (reference, secret)
