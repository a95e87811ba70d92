"""The small examples, each on real nodes of its own: containers that install what they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.engine import Engine
from tests.integration.conftest import variables
from tests.integration.xephon.conftest import SETUP_LIMIT

pytestmark = [pytest.mark.real, pytest.mark.timeout(SETUP_LIMIT + 900)]

EXAMPLES = Path(__file__).parents[3] / "examples"


def run(benchhub: Any, engine: Engine, name: str, where: str, **given: Any) -> dict[str, Any]:
    """The result of a run of the example that succeeded and left nothing."""
    benchhub.environment.update(engine.variables)
    done = benchhub.call("run", EXAMPLES / name / "job.yml", "--on", where, *variables(**given), limit=800)
    assert done.returncode == 0, done.stdout
    result: dict[str, Any] = benchhub.result()
    assert result["samples"]
    assert all(sample["valid"] for sample in result["samples"])
    assert engine.of_run(benchhub.run_folder().name) == []
    return result


def value(result: dict[str, Any], metric: str) -> float:
    (found,) = [sample["value"] for sample in result["samples"] if sample["metric"] == metric]
    return float(found)


def test_redis(benchhub: Any, docker_engine: Engine) -> None:
    result = run(benchhub, docker_engine, "redis", "docker:engine=no", requests=5000)
    gets = [summary for summary in result["summaries"] if summary["metric"] == "get"]
    assert [(summary["values"], summary["n"]) for summary in gets] == [({"clients": "1"}, 3), ({"clients": "16"}, 3)]
    assert 0 < value(result, "keys") <= 100000


def test_nginx(benchhub: Any, docker_engine: Engine) -> None:
    result = run(benchhub, docker_engine, "nginx-wrk", "docker:engine=no", seconds=1)
    (total,) = [a["value"] for a in result["aggregates"] if a["metric"] == "throughput"]
    assert total == pytest.approx(sum(s["value"] for s in result["samples"] if s["metric"] == "throughput"))


def test_mariadb(benchhub: Any, docker_engine: Engine) -> None:
    result = run(benchhub, docker_engine, "mariadb-sysbench", "docker:engine=no", seconds=1)
    assert value(result, "rows") == value(result, "inserts"), "what sysbench sent is not what the database holds"


def test_postgresql_in_containers(benchhub: Any, setup: Engine) -> None:
    result = run(benchhub, setup, "postgresql-containers", "docker", seconds=1)
    assert value(result, "rows") == value(result, "transactions"), "what pgbench sent is not what the database holds"
