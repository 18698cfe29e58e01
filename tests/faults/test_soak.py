"""A short soak with a fixed seed; `python -m tests.faults.soak` runs longer ones."""

import pytest

from tests.faults.soak import soak

pytestmark = [pytest.mark.faults]


def test_soak() -> None:
    report = soak(20, seed=11)
    assert report.failures == []
    assert report.faults > 20
    assert report.events > 1_000
