"""The pytest fixture ``llmobs_events``; imports nothing until it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmobs.testing import CapturedEvents


@pytest.fixture
def llmobs_events() -> Iterator[CapturedEvents]:
    """Collect what the test records with llmobs, instead of delivering it; see `llmobs.testing`."""
    from llmobs.testing import capture_events

    with capture_events() as events:
        yield events
