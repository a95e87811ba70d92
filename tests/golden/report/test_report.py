"""One folder a case: ``run/`` is a run folder as it was left; beside it what benchhub makes of it.

``BENCHHUB_GOLDEN=write pytest tests/golden/report`` writes the expected files; read the difference before you keep it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from benchhub_ansible import resources
from benchhub_ansible.reports.base import render
from benchhub_ansible.results.build import build_result
from benchhub_ansible.results.store import write_result

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/run"))
EXPECTED = {"result.json": "json", "report.md": "markdown", "console.txt": "console"}


def test_there_are_cases() -> None:
    assert {"success", "database-dead", "step-failed", "service-died", "killed"} <= set(CASES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EXPECTED)
def test_report(case: str, name: str) -> None:
    text = render(EXPECTED[name], build_result(HERE / case / "run"), width=110)
    path = HERE / case / name
    if os.environ.get("BENCHHUB_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("case", CASES)
def test_stored_result_fits_its_schema(case: str, tmp_path: Path) -> None:
    path = write_result(build_result(HERE / case / "run"), tmp_path)
    assert path.read_text() == (HERE / case / "result.json").read_text()
    jsonschema.validate(json.loads(path.read_text()), json.loads(resources.schema("result").read_text()))


def test_every_field_of_the_schema_is_described() -> None:
    schema = json.loads(resources.schema("result").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, part in {"": schema, **schema["$defs"]}.items():
        assert part["title"], name
        for field, about in part["properties"].items():
            assert about.get("description") or "$ref" in about, (name, field)
