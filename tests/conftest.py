"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Hypothesis fails an example that takes longer than 200 ms: a busy machine, no defect. pytest has a limit of its own.
settings.register_profile("benchhub", deadline=None)
settings.load_profile("benchhub")

#: Where tests take minutes, the longest first. Tests of one line share what they start, so one worker begins with them.
_LONG = (
    ("tests/integration/xephon/test_real.py", "tests/integration/xephon/test_small_examples.py"),
    ("tests/integration/molecule/", "tests/integration/hosts/"),
    ("tests/integration/quickstart/", "tests/integration/compile/"),
    ("tests/integration/slurm/", "tests/integration/bytes/", "tests/packaging/"),
)


@pytest.hookimpl(trylast=True)  # what is not selected has gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has the workers of xdist begin with the long tests, and fill what is left of the time with short ones."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    firsts = [[item for item in items if item.nodeid.startswith(paths)] for paths in _LONG]
    rest = [item for item in items if not item.nodeid.startswith(tuple(path for paths in _LONG for path in paths))]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        # as xdist's `worksteal` deals them out at first: equal shares of what is left, in this order
        share = (len(items) - len(ordered)) // (workers - worker)
        first = [item for group in firsts[worker::workers] for item in group]
        fill = max(0, share - len(first))
        ordered += [*first, *rest[:fill]]
        rest = rest[fill:]
    items[:] = [*ordered, *rest]
