"""One collector for a module, with a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import Serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collector") / "llmobs.db"


@pytest.fixture(scope="module")
def collector(store: Path) -> Iterator[Serving]:
    with Serving(store) as running:
        yield running


@pytest.fixture
def anyio_backend() -> str:
    """The collector has a process of its own: which loop asks it does not matter."""
    return "asyncio"
