"""hosts.yml is a pure function; it holds no secret and no variable of the user's inventory."""

from __future__ import annotations

import textwrap

import yaml

from benchhub_ansible.job.model import Secret
from benchhub_ansible.plan.model import Plan, Slot
from benchhub_ansible.playbook.inventory import inventory
from benchhub_ansible.schedulers.base import AllocatedNode, Allocation
from benchhub_ansible.source import Span

_SLOTS = (
    Slot(name="db", node="db", type="my-db", index=0),
    Slot(name="loader-1", node="loader", type="loader", index=0),
    Slot(name="loader-2", node="loader", type="loader", index=1),
)
_SPAN = Span(line=1, column=1)


def _plan(**changes: object) -> Plan:
    values: dict[str, object] = {
        "job": "j",
        "source": "job.yml",
        "requests": (),
        "slots": _SLOTS,
        "central": "db",
        "groups": (),
        "limit": 60.0,
        "teardown_limit": 60.0,
        "lease": 60.0,
        **changes,
    }
    return Plan(**values)  # type: ignore[arg-type]


def _allocation(source: str | None = None) -> Allocation:
    nodes = tuple(
        AllocatedNode(slot=s.name, host=f"h{n}", address=f"192.0.2.{n}", vars={"ansible_connection": "local"})
        for n, s in enumerate(_SLOTS)
    )
    return Allocation(id="a", scheduler="local", nodes=nodes, inventory_source=source)


def _bytes(plan: Plan, allocation: Allocation, job_dir: str = "/jobs") -> bytes:
    return inventory(plan, allocation, run_id="R", job_dir=job_dir, collect_dest="/runs/R/collected")


def test_the_bytes() -> None:
    expected = """\
        ---
        # Who plays which slot in run R (scheduler local).
        all:
          vars:
            benchhub_run_id: R
            benchhub_central: db
            benchhub_node_dir: /tmp
            benchhub_job_dir: /jobs
            benchhub_collect_dest: /runs/R/collected
          children:
            benchhub:
              hosts:
                db:
                  ansible_connection: local
                  benchhub_run_dir: /tmp/benchhub-R/db
                  benchhub_address: 192.0.2.0
                  benchhub_index: 0
                  benchhub_node: db
                  benchhub_type: my-db
        """
    text = _bytes(_plan(), _allocation()).decode()
    assert text.startswith(textwrap.dedent(expected))
    groups = yaml.safe_load(text)["all"]["children"]
    assert list(groups) == ["benchhub", "my_db", "loader", "benchhub_failed"]
    assert list(groups["loader"]["hosts"]) == ["loader-1", "loader-2"]
    assert _bytes(_plan(), _allocation()) == text.encode()


def test_a_path_that_looks_like_an_expression_stays_a_path() -> None:
    assert "benchhub_job_dir: !unsafe /jobs/{{ x }}\n" in _bytes(_plan(), _allocation(), "/jobs/{{ x }}").decode()


def test_of_the_users_inventory_only_names_are_written() -> None:
    data = yaml.safe_load(_bytes(_plan(), _allocation("/lab/hosts.ini")))
    assert data["plugin"] == "benchhub.bench.slots"
    assert data["source"] == "/lab/hosts.ini"
    expected = {"host": "h2", "type": "loader", "node": "loader", "index": 1, "run_dir": "/tmp/benchhub-R/loader-2"}
    assert data["slots"]["loader-2"] == expected
    assert "ansible_connection" not in str(data)


def test_secrets_are_named_and_not_valued() -> None:
    secrets = (Secret(name="PW", env="PGPASSWORD", span=_SPAN), Secret(name="KEY", file="key.txt", span=_SPAN))
    data = yaml.safe_load(_bytes(_plan(secrets=secrets), _allocation()))
    assert data["all"]["vars"]["benchhub_secrets"] == {"PW": {"env": "PGPASSWORD"}, "KEY": {"file": "key.txt"}}
