from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.fixture
def gpt(llm_server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(llm_server: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=llm_server, api_key="any", max_retries=0) as client:
        yield client
