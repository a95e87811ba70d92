"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# Hypothesis fails an example that takes longer than 200 ms: a busy machine, no defect. pytest has a limit of its own.
settings.register_profile("benchhub", deadline=None)
settings.load_profile("benchhub")
