"""Files that a job collects: they come home before its cleanup stages, and what does not come is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchhub_ansible.testing.leftovers import leftovers

pytestmark = pytest.mark.real

JOB = """\
version: 2
name: collects
nodes:
  db: {type: database}
stages:
  - name: measure
    nodes: all
    tasks:
      - name: write
        shell: mkdir data; echo kept > data/a.txt; echo 'rate 7' > data/rate; ln -s /etc/passwd data/link
        collect: [data/a.txt, data/link, 'never/${node.name}/*']
        metrics: [{name: rate, file: data/rate, regex: 'rate (\\d+)'}]
  - name: skipped
    nodes: all
    tasks:
      - {name: idle, shell: 'true', when: 'false', collect: [unwanted]}
  - name: drop
    nodes: all
    tasks: [{name: drop, shell: rm -r data; echo more > more.txt, collect: [more.txt]}]
pipeline: [[measure], [skipped]]
cleanup: [drop]
"""


@pytest.mark.parametrize("profile", ["default", "portable"])
def test_files_come_home_before_the_cleanup_stages(profile: str, benchhub: Any) -> None:
    job: Path = benchhub.folder / "job.yml"
    job.write_text(JOB)
    done = benchhub.call("run", job, "--profile", profile)
    assert done.returncode == 0, done.stdout
    run = benchhub.run_folder()
    (kept,) = (run / "collected/db/files").rglob("a.txt")
    assert kept.read_text() == "kept\n"
    assert list((run / "collected/db/files").rglob("more.txt"))
    (sample,) = benchhub.result()["samples"]
    assert (sample["value"], sample["valid"]) == (7.0, True)
    assert leftovers(run.name) == []
    if profile == "default":
        # what else kept the machine busy is told as well, and says nothing here
        told = [text for text in benchhub.result()["warnings"] if ": not collected: " in text]
        assert any("nothing matched 'never/db/*', which task 'write' names" in text for text in told), told
        assert any(text.endswith("data/link: it is a link") for text in told), told
        assert len(told) == 2
        for text in told:
            assert text.split("/")[-1] in (run / "report.md").read_text().replace("\\", "")
