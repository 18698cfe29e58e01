"""A WatchLLM server that validates, and clients of the dialect that send to it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmobs.watchllm import WatchLLMClient
from tests.support.watchllm_server import WatchLLMServer

MakeClient = Callable[..., WatchLLMClient]


@pytest.fixture(scope="session")
def _watchllm_server() -> Iterator[WatchLLMServer]:
    with WatchLLMServer() as server:
        yield server


@pytest.fixture
def worker(_watchllm_server: WatchLLMServer) -> WatchLLMServer:
    """WatchLLM's ingestion, empty; for faults start one of your own."""
    _watchllm_server.forget()
    return _watchllm_server


@pytest.fixture
def make_client(worker: WatchLLMServer) -> Iterator[MakeClient]:
    """Make clients that send to `worker`; they are closed at the end."""
    made = []

    def make(**parameters: Any) -> WatchLLMClient:
        given = {"api_key": "test-key", "project_id": "proj-1", "base_url": worker.base_url}
        client = WatchLLMClient(**{**given, **parameters})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> WatchLLMClient:
    """A client that sends to `worker`."""
    return make_client()
