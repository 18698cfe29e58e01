"""Events as doors record them, and the clients that do."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client
from llmobs.contrib.opentelemetry import tracer_provider
from llmobs.testing import CapturedEvents, capture_events


@pytest.fixture
def events() -> Iterator[CapturedEvents]:
    with capture_events() as captured:
        yield captured


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(sink="memory:") as client:
        yield client


@pytest.fixture
def provider(client: Client) -> Iterator[TracerProvider]:
    provider = tracer_provider(client)
    yield provider
    provider.shutdown()
