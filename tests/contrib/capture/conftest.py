"""Real SDK clients against the local model server, and the events they give."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from llmobs import Client
from llmobs.contrib import anthropic as anthropic_door
from llmobs.contrib import openai as openai_door
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


# Building a client takes a tenth of a second, most of it for TLS: one each is enough.


@pytest.fixture(scope="session")
def llmobs_client() -> Iterator[Client]:
    with Client(sink="memory:") as client:
        yield client


@pytest.fixture(scope="session")
def plain_gpt(llm_server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def gpt(llm_server: str, llmobs_client: Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0) as client:
        yield openai_door.instrument(client, llmobs_client=llmobs_client)


@pytest.fixture(scope="session")
def plain_claude(llm_server: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=llm_server, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def claude(llm_server: str, llmobs_client: Client) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=llm_server, api_key="any", max_retries=0) as client:
        yield anthropic_door.instrument(client, llmobs_client=llmobs_client)
