"""Documentation holds: links lead somewhere, examples validate, every verb tells how it is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from benchhub_ansible.cli.main import VERBS, run_cli
from benchhub_ansible.errors import JobError
from benchhub_ansible.job.load import load_file, load_job
from benchhub_ansible.source import Source

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_whole_jobs_in_the_docs_are_valid(page: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if not re.search(r"^version: 2$", block, re.MULTILINE) or not re.search(r"^pipeline:", block, re.MULTILINE):
            continue
        try:
            load_job(Source(name=named(page), text=block))
        except JobError as error:
            pytest.fail(error.render())


@pytest.mark.parametrize("job", sorted(ROOT.glob("examples/*/job.yml")), ids=named)
def test_the_examples_are_valid_without_a_warning(job: Path) -> None:
    assert [warning.headline for warning in load_file(job).warnings] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_how_it_is_used(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([verb, "--help"]) == 0
    assert re.search(r"(?i)example", capsys.readouterr().out), f"`benchhub {verb} --help` shows no example"


def test_every_yaml_file_of_the_docs_and_examples_parses() -> None:
    for path in ROOT.glob("examples/**/*.yml"):
        assert yaml.safe_load(path.read_text()), named(path)
