"""llmobs.watchllm.langchain: the handler of the original package, driven by the real langchain-core."""

import inspect
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from llmobs.watchllm import WatchLLMClient, get_callback_handler, trace
from llmobs.watchllm.langchain import WatchLLMCallbackHandler, create_callback_handler
from tests.support.watchllm_server import WatchLLMServer


@tool
def calculator(question: str) -> str:
    """Answer."""
    return f"the answer to {question}"


class Search(BaseRetriever):
    def _get_relevant_documents(self, query: str, **more: Any) -> list[Document]:
        return [Document("AI is artificial"), Document("ML is a part of it")]


def chat(*answers: str) -> GenericFakeChatModel:
    said = (
        AIMessage(a, usage_metadata={"input_tokens": 5, "output_tokens": 1, "total_tokens": 6})
        for a in answers
    )
    return GenericFakeChatModel(messages=said)


def ask(handler: WatchLLMCallbackHandler, model: Any, question: Any = "What is 2+2?") -> Any:
    return model.invoke(question, config={"callbacks": [handler]})


def test_the_signature_is_the_originals() -> None:
    parameters = inspect.signature(WatchLLMCallbackHandler).parameters
    assert list(parameters) == [
        "client", "run_id", "user_id", "tags", "metadata", "log_prompts", "log_responses",
    ]  # fmt: skip
    assert [p.default for p in parameters.values()][1:] == [None, None, None, None, True, True]
    assert get_callback_handler() is WatchLLMCallbackHandler


def test_its_attributes(client: WatchLLMClient) -> None:
    handler = create_callback_handler(
        client, run_id="r", user_id="u", tags=["t"], metadata={"env": "p"}, log_prompts=False
    )
    assert (handler.client, handler.run_id, handler.user_id) == (client, "r", "u")
    assert (handler.tags, handler.metadata) == (["t"], {"env": "p"})
    assert (handler.log_prompts, handler.log_responses) == (False, True)
    assert len(WatchLLMCallbackHandler(client).run_id) == 36


def test_everything_belongs_to_the_run_of_the_handler(
    client: WatchLLMClient, worker: WatchLLMServer
) -> None:
    handler = WatchLLMCallbackHandler(
        client, run_id="run-7", user_id="u-1", tags=["t"], metadata={"version": "2.0"}
    )
    with trace("another"):
        assert ask(handler, chat("4")).content == "4"
    ask(handler, FakeListLLM(responses=["5"]))
    ask(handler, RunnableLambda(lambda x: calculator.invoke(x)), {"question": "6"})
    ask(handler, Search())
    client.flush()
    assert worker.events
    for event in worker.events:
        assert (event["run_id"], event["user_id"], event["tags"]) == ("run-7", "u-1", ["t"])
        held = event.get("context", event.get("response_metadata"))
        assert held["metadata"]["version"] == "2.0"
    kinds = [(e["event_type"], e.get("step_type")) for e in worker.events]
    assert kinds.count(("prompt_call", None)) == 2
    assert kinds.count(("agent_step", "tool_call")) == 2  # the tool and the retriever
    assert kinds.count(("agent_step", "reasoning")) == 1  # the chain; none for the run itself
    first = worker.events[0]
    assert (first["tokens_input"], first["tokens_output"]) == (5, 1)
    assert "4" in first["response"]
    assert "What is 2+2?" in first["prompt"]


def test_an_error_of_a_model(client: WatchLLMClient, worker: WatchLLMServer) -> None:
    class Broken(FakeListLLM):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            raise ValueError("API error")

    with pytest.raises(ValueError, match="API error"):
        ask(WatchLLMCallbackHandler(client), Broken(responses=[]))
    client.flush()
    [event] = worker.events
    assert event["status"] == "error"
    assert event["error"]["message"] == "API error"


@pytest.mark.parametrize(
    ("options", "hidden", "shown"),
    [
        ({"log_prompts": False}, "secret question", "secret answer"),
        ({"log_responses": False}, "secret answer", "secret question"),
    ],
)
def test_prompts_and_responses_can_be_kept_back(
    options: dict[str, bool],
    hidden: str,
    shown: str,
    client: WatchLLMClient,
    worker: WatchLLMServer,
) -> None:
    handler = WatchLLMCallbackHandler(client, **options)  # type: ignore[arg-type]
    ask(handler, chat("secret answer"), "secret question")
    ask(handler, RunnableLambda(lambda x: "secret answer"), "secret question")
    client.flush()
    call, step = worker.events
    for event in (call, step):
        assert hidden not in str(event)
        assert "[REDACTED]" in str(event)
        assert shown in str(event)
