"""Offsets and the common instant."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.benchhub.bench.plugins.plugin_utils import clock


def test_an_offset_is_measured_from_the_middle_of_the_round_trip() -> None:
    uncertainty, offset = clock.sample(before=100.0, node=103.01, after=100.02)
    assert uncertainty == pytest.approx(0.01)
    assert offset == pytest.approx(3.0)


@pytest.mark.parametrize(("offset", "used"), [(0.009, 0.0), (-0.009, 0.0), (0.02, 0.02), (-0.02, -0.02)])
def test_an_offset_within_its_uncertainty_is_noise(offset: float, used: float) -> None:
    assert clock.used_offset(offset, uncertainty=0.01) == used


@pytest.mark.parametrize(("slowest", "lead"), [(0.01, 0.1), (0.08, 0.15), (0.2, 0.3)])
def test_the_lead_leaves_the_slowest_node_time(slowest: float, lead: float) -> None:
    assert clock.lead(slowest) == pytest.approx(lead)


def test_this_machine_shares_our_clock() -> None:
    assert clock.same_kernel(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    assert not clock.same_kernel("00000000-0000-0000-0000-000000000000")
    assert not clock.same_kernel(None)
