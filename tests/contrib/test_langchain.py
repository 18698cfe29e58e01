"""The LangChain handler with langchain-core's own fake models: no provider, no network."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from llmobs import (
    AgentStepEvent,
    Client,
    ErrorEvent,
    Event,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
    bind_run,
    current_run,
    current_tracker,
    observe,
)
from llmobs.contrib._langchain.calls import answer
from llmobs.contrib._langchain.messages import message
from llmobs.contrib._langchain.runs import _frames
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.runtime.context import current_frame
from llmobs.testing import CapturedEvents

PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])


@pytest.fixture
def handler(client: Client) -> LLMObsCallbackHandler:
    return LLMObsCallbackHandler(client)


def using(handler: LLMObsCallbackHandler, **more: Any) -> Any:
    return {"callbacks": [handler], **more}


def names(events: list[Event]) -> list[tuple[str, str | None]]:
    """What happened and inside what, oldest first."""
    called = {
        event.event_id: getattr(event, "step_name", None)
        or getattr(event, "tool_name", None)
        or getattr(event, "name", None)
        or event.event_type
        for event in events
    }
    return [(called[e.event_id], called.get(e.parent_id or "")) for e in events]


def chat(*answers: str) -> FakeListChatModel:
    return FakeListChatModel(responses=list(answers) or ["fine"])


CHAIN_SHAPE = [
    ("ChatPromptTemplate", "RunnableSequence"),
    ("prompt_call", "RunnableSequence"),
    ("StrOutputParser", "RunnableSequence"),
    ("RunnableSequence", None),
    ("RunnableSequence", None),
]


def test_a_chain(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    chain = PROMPT | chat("42") | StrOutputParser()
    assert chain.invoke({"question": "why?"}, config=using(handler, tags=["t"])) == "42"
    assert names(events) == CHAIN_SHAPE
    [call] = events.of(PromptCallEvent)
    assert call.prompt == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "why?"}]},
    ]
    assert call.response[0]["parts"] == [{"type": "text", "content": "42"}]
    assert (call.operation, call.status, call.tags) == ("chat", "success", ("t",))
    prompt, parser, sequence = events.of(AgentStepEvent)
    assert (prompt.step_type, parser.step_type) == ("reasoning", "output")
    assert sequence.input_data == {"question": "why?"}
    assert sequence.output_data == "42"
    assert prompt.output_data == call.prompt
    [run] = events.of(RunEvent)
    assert (run.name, run.status, run.events) == ("RunnableSequence", "success", 4)
    assert len({event.run_id for event in events}) == 1
    assert current_run() is None


def test_a_streamed_chain(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    chain = PROMPT | chat("forty-two") | StrOutputParser()
    assert "".join(chain.stream({"question": "why?"}, config=using(handler))) == "forty-two"
    assert names(events) == CHAIN_SHAPE
    [call] = events.of(PromptCallEvent)
    assert call.stream is True
    assert call.time_to_first_token_ms is not None
    assert call.latency_ms is not None
    assert call.time_to_first_token_ms <= call.latency_ms
    assert call.response[0]["parts"] == [{"type": "text", "content": "forty-two"}]


def test_asynchronous_chains(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    chain = PROMPT | chat("a", "b") | StrOutputParser()

    async def main() -> None:
        await chain.ainvoke({"question": "why?"}, config=using(handler))
        assert current_run() is None, "what ended elsewhere is not current here"
        assert names(events) == CHAIN_SHAPE
        events.clear()
        async for _ in chain.astream({"question": "why?"}, config=using(handler)):
            pass
        assert names(events) == CHAIN_SHAPE
        assert current_run() is None

    asyncio.run(main())


def test_frames_do_not_pile_up_in_a_long_lived_task(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    async def main() -> None:
        model = chat("a")
        for _ in range(50):
            await model.ainvoke("hi", config=using(handler))
        events.clear()
        gc.collect()
        assert not any(type(each).__name__ == "PromptCall" for each in _alive())

    asyncio.run(main())


def _alive() -> list[Any]:
    from llmobs.capture.operations import PromptCall

    # Not isinstance: it asks lazy objects (Django's settings) of other tests for their class.
    found = [each for each in gc.get_objects() if issubclass(type(each), PromptCall)]
    return found[1:]  # the last one is what the variable of this context still holds


def test_it_joins_the_current_run(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    async def main() -> None:
        await chat().ainvoke("hi", config=using(handler))
        current_tracker().log_error("after the call")

    with client.run("r1") as run:
        with run.agent_step("plan") as step:
            asyncio.run(main())
        assert current_run() is run
    assert {event.run_id for event in events} == {"r1"}
    call, error, _, run_event = events
    assert call.parent_id == step.event_id
    assert error.parent_id == step.event_id, "the call had ended"
    assert isinstance(run_event, RunEvent), "one run event, of the run that was there"


def test_what_a_tool_records_belongs_to_the_tool(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    @tool
    def search(query: str) -> str:
        """Search."""
        tracker = current_tracker()
        with tracker.agent_step("rank"):
            return str(chat("ranked").invoke(query).text) + query

    result = search.invoke(
        {"name": "search", "args": {"query": "x"}, "id": "call-1", "type": "tool_call"},
        config=using(handler),
    )
    assert result.content == "rankedx"
    call, step, used, _ = events
    # The model inside has no handler of its own: LangChain hands on that of the tool.
    assert isinstance(call, PromptCallEvent)
    assert call.parent_id == step.event_id
    assert isinstance(used, ToolCallEvent)
    assert step.parent_id == used.event_id
    assert (used.tool_name, used.tool_id) == ("search", "call-1")
    assert (used.input, used.output) == ({"query": "x"}, "rankedx")


def test_failing_tools(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    @tool
    def broken() -> str:
        """Fail."""
        raise ToolException("no such place")

    with pytest.raises(ToolException):
        broken.invoke({}, config=using(handler))
    broken.handle_tool_error = True
    broken.invoke({"name": "broken", "args": {}, "id": "1", "type": "tool_call"}, using(handler))
    raised, handled = events.of(ToolCallEvent)
    assert raised.error is not None
    assert raised.error.message == "no such place"
    assert handled.status == "error"
    assert handled.output == "no such place"
    first, second = events.of(RunEvent)
    assert (first.status, second.errors) == ("error", 1)


class Library(BaseRetriever):
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        if query == "burn":
            raise OSError("the library burns")
        return [Document(page_content="page", metadata={"source": "shelf"}, id="1")]


def test_retrievers(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    Library().invoke("pages", config=using(handler))
    with pytest.raises(OSError, match="burns"):
        Library().invoke("burn", config=using(handler))
    found, burnt = events.of(ToolCallEvent)
    assert (found.tool_name, found.input) == ("Library", {"query": "pages"})
    assert found.output == [{"content": "page", "id": "1", "metadata": {"source": "shelf"}}]
    assert burnt.status == "error"


def test_errors_go_up_and_show_on_the_way(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    chain = PROMPT | chat("no json") | JsonOutputParser()
    with pytest.raises(ValueError, match="Invalid json"):
        chain.invoke({"question": "why?"}, config=using(handler))
    _, parser, sequence = events.of(AgentStepEvent)
    assert parser.status == sequence.status == "error"
    assert events.of(RunEvent)[0].status == "error"


def test_a_failing_model(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    class Failing(FakeListChatModel):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            raise TimeoutError("too slow")

    with pytest.raises(TimeoutError):
        Failing(responses=["x"]).invoke("hi", config=using(handler))
    [call] = events.of(PromptCallEvent)
    assert call.status == "timeout"
    assert call.error is not None


def test_retries_and_fallbacks_are_numbered(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    outcomes = iter([ConnectionError("lost"), "fine"])

    class Flaky(FakeListChatModel):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    model = Flaky(responses=["x"]).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    model.invoke("hi", config=using(handler))
    first, second = events.of(PromptCallEvent)
    assert (first.status, second.status) == ("error", "success")
    assert (first.attempt, second.attempt) == (None, 2)


def test_cancellation(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    asked = asyncio.Event()

    class Slow(FakeListChatModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            asked.set()
            await asyncio.sleep(60)
            return ChatResult(generations=[])

    async def main() -> None:
        chain = PROMPT | Slow(responses=["x"])
        task = asyncio.create_task(chain.ainvoke({"question": "?"}, config=using(handler)))
        await asyncio.wait_for(asked.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    _, sequence = events.of(AgentStepEvent)
    assert sequence.status == "cancelled"
    assert [call.status for call in events.of(PromptCallEvent)] == ["cancelled"]


def test_a_stream_left_early(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    stream = chat("a long answer").stream("hi", config=using(handler))
    next(stream)
    assert current_run() is None, "the consumer is not inside the call"
    stream.close()
    [call] = events.of(PromptCallEvent)
    assert call.status == "cancelled"
    assert current_run() is None


def test_parallel_branches(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    both = RunnableParallel(a=PROMPT | chat("A"), b=PROMPT | chat("B"))
    assert {k: v.content for k, v in both.invoke({"question": "?"}, using(handler)).items()} == {
        "a": "A",
        "b": "B",
    }
    sequences = {e.event_id for e in events.of(AgentStepEvent) if e.step_name == "RunnableSequence"}
    assert {call.parent_id for call in events.of(PromptCallEvent)} == sequences
    assert len(sequences) == 2
    events.clear()
    asyncio.run(both.ainvoke({"question": "?"}, using(handler)))
    assert len({call.parent_id for call in events.of(PromptCallEvent)}) == 2
    assert len(events.of(RunEvent)) == 1


def test_one_handler_in_many_threads(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    chain = PROMPT | chat("x") | StrOutputParser()

    def work(number: int) -> None:
        chain.invoke({"question": str(number)}, config=using(handler))
        assert current_frame() is None, "a thread of a pool keeps nothing"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(64)))
    assert len(events.of(RunEvent)) == len(events.of(PromptCallEvent)) == 64
    for call in events.of(PromptCallEvent):
        assert names(events.in_run(call.run_id)) == CHAIN_SHAPE


def test_a_thread_without_the_context_keeps_nothing_of_the_run(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    with ThreadPoolExecutor(1) as pool:

        def elsewhere(question: str, config: Any) -> str:
            work = pool.submit(lambda: chat("x").invoke(question, config=config).text)
            return str(work.result())

        with client.run("r1"):
            RunnableLambda(elsewhere).invoke("hi", config=using(handler))
        assert pool.submit(current_frame).result() is None
    [call] = events.of(PromptCallEvent)
    assert call.run_id == "r1"
    assert call.parent_id == events.of(AgentStepEvent)[0].event_id


def test_completion_models(events: CapturedEvents, handler: LLMObsCallbackHandler) -> None:
    FakeListLLM(responses=["one", "two"]).batch(["a", "b"], config=using(handler))
    calls = events.of(PromptCallEvent)
    assert [call.prompt for call in calls] == ["a", "b"]
    assert {call.operation for call in calls} == {"text_completion"}
    assert [call.response[0]["parts"][0]["content"] for call in calls] == ["one", "two"]


def test_usage_model_and_tools_of_an_answer(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    said = AIMessage(
        content="",
        tool_calls=[{"name": "search", "args": {"q": 1}, "id": "c1"}],
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "input_token_details": {"cache_read": 60, "cache_creation": 10},
            "output_token_details": {"reasoning": 5},
        },
        response_metadata={
            "model_name": "m-2026",
            "finish_reason": "tool_calls",
            "id": "resp-1",
        },
    )
    GenericFakeChatModel(messages=iter([said])).invoke("hi", config=using(handler))
    [call] = events.of(PromptCallEvent)
    assert (call.tokens_input, call.tokens_output) == (100, 20)
    assert (call.tokens_cached, call.tokens_cache_write, call.tokens_reasoning) == (60, 10, 5)
    assert (call.model_version, call.finish_reason) == ("m-2026", "tool_calls")
    assert call.response_id == "resp-1"
    assert call.tool_calls == [{"id": "c1", "name": "search", "arguments": {"q": 1}}]
    assert call.response[0]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": 1}}
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            {"token_usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
            (9, 3, None),
        ),
        (
            {"usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 2}},
            (9, 2, 4),
        ),
        ({}, (None, None, None)),
    ],
)
def test_usage_of_models_that_tell_it_the_old_way(output: Any, expected: Any) -> None:
    generation = ChatGeneration(message=AIMessage(content="x"))
    fields = answer(LLMResult(generations=[[generation]], llm_output=output))
    found = tuple(fields.get(f"tokens_{name}") for name in ("input", "output", "cached"))
    assert found == expected


@pytest.mark.parametrize(
    ("given", "role", "parts"),
    [
        (HumanMessage("hi"), "user", [{"type": "text", "content": "hi"}]),
        (SystemMessage("s"), "system", [{"type": "text", "content": "s"}]),
        (
            ToolMessage("done", tool_call_id="c1"),
            "tool",
            [{"type": "tool_call_response", "id": "c1", "response": "done"}],
        ),
        (
            AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "x"}]),
            "assistant",
            [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "x"}],
        ),
        (
            AIMessage([{"type": "reasoning", "reasoning": "hm"}]),
            "assistant",
            [{"type": "reasoning", "content": "hm"}],
        ),
        (
            AIMessage(
                [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}],
                tool_calls=[{"name": "f", "args": {}, "id": "c1"}],
            ),
            "assistant",
            [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {}}],
        ),
        (
            HumanMessage([{"type": "image", "url": "https://example.test/cat.png"}]),
            "user",
            [{"type": "uri", "modality": "image", "uri": "https://example.test/cat.png"}],
        ),
    ],
)
def test_messages(given: BaseMessage, role: str, parts: Any) -> None:
    assert message(given) == {"role": role, "parts": parts}


def test_pictures_are_named_and_not_kept() -> None:
    given = HumanMessage([{"type": "image", "base64": "QUJD" * 500, "mime_type": "image/png"}])
    [part] = message(given)["parts"]
    assert (part["type"], part["modality"], part["content"]) == ("blob", "image", "")


def test_missing_ends_do_not_pile_up(events: CapturedEvents, client: Client) -> None:
    handler = LLMObsCallbackHandler(client, max_open=10)

    def begin() -> None:
        handler.on_chat_model_start(
            {"name": "m"}, [[HumanMessage("x")]], run_id=uuid4(), batch_size=1
        )

    for _ in range(25):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(begin).result()
    calls = events.of(PromptCallEvent)
    assert len(calls) == 15
    assert {call.status for call in calls} == {"cancelled"}
    assert all("never told its end" in call.warnings[0] for call in calls)
    handler.on_llm_end(LLMResult(generations=[]), run_id=uuid4())
    handler.on_chain_end({}, run_id=uuid4())
    handler.on_tool_error(ValueError("x"), run_id=uuid4())
    assert len(events.of(PromptCallEvent)) == 15


def test_nothing_raises_into_the_chain(
    events: CapturedEvents,
    handler: LLMObsCallbackHandler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from llmobs.contrib._langchain.runs import OpenRuns
    from llmobs.runtime import troubles

    troubles.raise_internal_errors(False)
    monkeypatch.setattr(OpenRuns, "context_for", lambda *_: 1 / 0)
    assert (PROMPT | chat("ok")).invoke({"question": "?"}, config=using(handler)).text == "ok"
    assert "internal error while trying to record what LangChain does" in caplog.text


def test_a_block_around_a_call_and_the_handler_make_one_event(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    with client.run() as run, run.prompt_call(model="mine") as call:
        chat("said").invoke("asked", config=using(handler))
        call.finish(tokens_input=7)
    [event] = events.of(PromptCallEvent)
    assert (event.event_id, event.model, event.tokens_input) == (call.event_id, "mine", 7)
    assert event.prompt[0]["parts"][0]["content"] == "asked"
    assert event.response[0]["parts"][0]["content"] == "said"


def test_a_second_call_in_a_block_is_an_event_of_its_own(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    with client.run() as run, run.prompt_call(model="mine") as call:
        model = chat("one", "two")
        model.invoke("a", config=using(handler))
        model.invoke("b", config=using(handler))
    first, last = events.of(PromptCallEvent)
    assert last.event_id == call.event_id, "the last one is the block's, as with attempts"
    assert last.response[0]["parts"][0]["content"] == "two"
    assert first.parent_id == call.event_id
    assert first.response[0]["parts"][0]["content"] == "one"


def test_conversations_metadata_and_hidden_nodes(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    hidden = (RunnableLambda(lambda x: x) | chat("x")).with_config(tags=["langsmith:hidden"])
    outer: Any = RunnableLambda(lambda x: hidden.invoke(x))
    outer.invoke("hi", config=using(handler, metadata={"thread_id": "t1", "shop": 1, "ls_x": 2}))
    assert all(event.session_id == "t1" for event in events)
    [call] = events.of(PromptCallEvent)
    root = events.of(AgentStepEvent)[-1]
    assert call.parent_id == root.event_id, "through the hidden one"
    assert root.metadata == {"thread_id": "t1", "shop": 1}
    assert not any("Sequence" in each.step_name for each in events.of(AgentStepEvent))


def test_events_of_the_application_between_the_pieces_of_a_stream(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    async def pieces() -> AsyncIterator[Any]:
        async for piece in chat("abc").astream("hi", config=using(handler)):
            yield piece

    async def main() -> None:
        async for _ in pieces():
            current_tracker().log_error("meanwhile")

    with client.run() as run:
        asyncio.run(main())
    errors = events.of(ErrorEvent)
    assert len(errors) >= 3
    assert {error.parent_id for error in errors} == {None}
    assert {error.run_id for error in errors} == {run.run_id}


# Whatever shape LangChain is called in, what follows belongs where it stands in the code.


async def _ainvoke(chain: Any, config: Any) -> None:
    await chain.ainvoke({"question": "why?"}, config=config)


async def _astream(chain: Any, config: Any) -> None:
    async for _ in chain.astream({"question": "why?"}, config=config):
        pass


async def _astream_left_early(chain: Any, config: Any) -> None:
    async for _ in chain.astream({"question": "why?"}, config=config):
        break


async def _abatch(chain: Any, config: Any) -> None:
    await chain.abatch([{"question": "a"}, {"question": "b"}], config=config)


async def _batch(chain: Any, config: Any) -> None:
    chain.batch([{"question": "a"}, {"question": "b"}], config=config)


async def _invoke(chain: Any, config: Any) -> None:
    chain.invoke({"question": "why?"}, config=config)


async def _stream(chain: Any, config: Any) -> None:
    list(chain.stream({"question": "why?"}, config=config))


async def _stream_left_early(chain: Any, config: Any) -> None:
    for _ in chain.stream({"question": "why?"}, config=config):
        break


SHAPES = [
    _ainvoke, _astream, _astream_left_early, _abatch, _batch, _invoke, _stream, _stream_left_early,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("what", ["chain", "model"])
def test_what_follows_belongs_where_it_stands(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client, shape: Any, what: str
) -> None:
    model = chat("fine")
    asked: Any = RunnableLambda(lambda given: given["question"]) | model
    if what == "chain":
        asked = PROMPT | model | StrOutputParser()

    @observe(name="observed")
    async def observed() -> None:
        await shape(asked, using(handler))
        current_tracker().log_error("in the observed function")

    async def main() -> None:
        with client.run("run", user_id="u1") as run:
            with run.agent_step("step") as step:
                await shape(asked, using(handler))
                assert current_frame() is step
                current_tracker().log_error("in the step")
            assert current_run() is run
            await observed()
            current_tracker().log_error("in the run")
        assert current_run() is None
        current_tracker().log_error("afterwards")

    asyncio.run(main())
    steps = {each.step_name: each for each in events.of(AgentStepEvent)}
    assert steps["step"].parent_id is None
    assert steps["observed"].parent_id is None
    parents = {each.error.message: each for each in events.of(ErrorEvent)}
    assert parents["in the step"].parent_id == steps["step"].event_id
    assert parents["in the observed function"].parent_id == steps["observed"].event_id
    assert parents["in the run"].parent_id is None
    assert parents["in the run"].run_id == "run"
    assert (parents["afterwards"].run_id == "run", parents["afterwards"].user_id) == (False, None)
    assert [each.run_id for each in events.of(RunEvent)] == ["run"]


# Siblings are siblings, and each root outside any run is a run.


def ordered(found: Iterable[tuple[str, str | None]]) -> list[str]:
    return sorted(f"{name} in {parent}" for name, parent in found)


PAIR = [{"question": "a"}, {"question": "b"}]


def _batches(chain: Any, config: Any) -> None:
    chain.batch(PAIR, config=config)


def _asynchronous_batches(chain: Any, config: Any) -> None:
    asyncio.run(chain.abatch(PAIR, config=config))


def _interleaved(chain: Any, config: Any) -> None:
    first, second = (chain.stream(given, config=config) for given in PAIR)
    next(first), next(second)
    list(first), list(second)


def _interleaved_asynchronously(chain: Any, config: Any) -> None:
    async def main() -> None:
        first, second = (chain.astream(given, config=config) for given in PAIR)
        await anext(first), await anext(second)
        assert [c async for c in first]
        assert [c async for c in second]

    asyncio.run(main())


def _gathered(chain: Any, config: Any) -> None:
    async def main() -> None:
        await asyncio.gather(*(chain.ainvoke(given, config=config) for given in PAIR))

    asyncio.run(main())


def _in_a_pool(chain: Any, config: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        for given in PAIR:
            pool.submit(chain.invoke, given, config=config).result()


SIBLINGS = [
    _batches, _asynchronous_batches, _interleaved, _interleaved_asynchronously, _gathered, _in_a_pool,
]  # fmt: skip


@pytest.mark.parametrize("shape", SIBLINGS)
def test_siblings_outside_a_run_are_runs_of_their_own(
    events: CapturedEvents, handler: LLMObsCallbackHandler, shape: Any
) -> None:
    shape(PROMPT | chat("fine", "good") | StrOutputParser(), using(handler))
    runs = events.of(RunEvent)
    assert [(run.name, run.events) for run in runs] == [("RunnableSequence", 4)] * 2
    for run in runs:
        of_run = [event for event in events if event.run_id == run.run_id]
        assert ordered(names(of_run)) == ordered(CHAIN_SHAPE)
        [call] = [event for event in of_run if isinstance(event, PromptCallEvent)]
        [root] = [e for e in of_run if getattr(e, "step_name", "") == "RunnableSequence"]
        if "interleaved" not in shape.__name__:  # of a stream, LangChain tells the input at its end
            assert call.prompt[-1]["parts"][0]["content"] == root.input_data["question"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [s for s in SIBLINGS if s is not _in_a_pool])
def test_siblings_inside_a_step_are_children_of_the_step(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client, shape: Any
) -> None:
    with client.run() as run, run.agent_step("step"):
        shape(PROMPT | chat("fine", "good") | StrOutputParser(), using(handler))
    inside = [(name, parent or "step") for name, parent in CHAIN_SHAPE[:4]] * 2
    assert ordered(names(events)) == ordered([*inside, ("step", None), ("run", None)])


def test_the_consumer_of_a_stream_is_not_inside_it(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    inside: list[str | None] = []

    def look(text: str) -> str:
        current_tracker().log_error("inside")
        return text

    chain = PROMPT | chat("fine") | StrOutputParser() | RunnableLambda(look)
    with client.run() as run, run.agent_step("step") as step:
        for _ in chain.stream({"question": "?"}, config=using(handler)):
            run.log_error("between")
            with run.tool_call("show"):
                pass
    for error in events.of(ErrorEvent):
        inside = [e.event_id for e in events.of(AgentStepEvent) if e.step_name == "look"]
        assert error.parent_id in (inside if error.error.message == "inside" else [step.event_id])
    assert {each.parent_id for each in events.of(ToolCallEvent)} == {step.event_id}


def test_a_chain_called_by_code_of_another_belongs_to_it(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    def ask(question: str) -> str:
        # Given callbacks of its own, LangChain calls it a root.
        return str((chat("inner") | StrOutputParser()).invoke(question, config=using(handler)))

    chain = RunnableLambda(ask) | RunnableLambda(lambda text: text + "!")
    assert chain.batch(["a", "b"], config=using(handler)) == ["inner!", "inner!"]
    assert len(events.of(RunEvent)) == 2
    named = {e.event_id: e for e in events.of(AgentStepEvent)}
    inner = [e for e in named.values() if e.input_data in ("a", "b") and e.step_name != "ask"]
    assert [named[e.parent_id or ""].step_name for e in inner if e.parent_id].count("ask") == 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bound", ["twice", "two handlers", "two, one on the model"])
def test_each_call_once_however_many_handlers(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client, shape: Any, bound: str
) -> None:
    model = chat("fine")
    other = handler if bound == "twice" else LLMObsCallbackHandler(client)
    config = {"callbacks": [handler, other]}
    if bound == "two, one on the model":
        model.callbacks, config = [other], using(handler)
    before = client.statistics().dropped.get("duplicate", 0)
    asyncio.run(shape(PROMPT | model | StrOutputParser(), config))
    runs = events.of(RunEvent)
    assert len(runs) == (2 if "batch" in shape.__name__ else 1)
    assert len(events.of(PromptCallEvent)) == len(runs)
    assert all(name for name, parent in names(events))
    for run in runs:
        shape_of_run = names([event for event in events if event.run_id == run.run_id])
        assert ordered(shape_of_run) == ordered(CHAIN_SHAPE)
    if bound != "twice":  # LangChain itself drops most of those
        dropped = client.statistics().dropped["duplicate"] - before
        assert dropped == len(runs) * (1 if "model" in bound else 4)
    assert len(handler._runs) == len(other._runs) == 0


def test_handlers_of_two_clients_each_record(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    with Client(sink="memory:") as elsewhere:
        chain = PROMPT | chat("fine") | StrOutputParser()
        chain.invoke(
            {"question": "?"}, config={"callbacks": [handler, LLMObsCallbackHandler(elsewhere)]}
        )
        assert ordered(names(events)) == ordered(CHAIN_SHAPE * 2)
        assert len({event.run_id for event in events}) == 2
        assert not elsewhere.statistics().dropped


def test_answers_of_the_cache_cost_nothing(
    events: CapturedEvents, handler: LLMObsCallbackHandler
) -> None:
    said = AIMessage(
        content="fine",
        usage_metadata={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        response_metadata={"model_name": "gpt-4o"},
    )
    model = GenericFakeChatModel(messages=iter([said]), cache=InMemoryCache())
    asyncio.run(model.ainvoke("hi", config=using(handler)))
    model.invoke("hi", config=using(handler))
    asked, cached = events.of(PromptCallEvent)
    assert asked.cost_source != "cache"
    assert (cached.cost_usd, cached.cost_source) == (0.0, "cache")
    assert (cached.tokens_input, cached.tokens_output) == (10, 5)
    assert cached.response == asked.response


@pytest.mark.parametrize("in_a_tool", [False, True])
def test_an_interrupt_tells_what_was_asked_and_what_was_answered(
    events: CapturedEvents, handler: LLMObsCallbackHandler, in_a_tool: bool
) -> None:
    @tool
    def confirm() -> str:
        """Confirm."""
        return str(interrupt({"question": "really?"}))

    def ask(state: Any) -> Any:
        return {"said": confirm.invoke({}) if in_a_tool else interrupt({"question": "really?"})}

    graph: Any = StateGraph(dict)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph = graph.compile(checkpointer=InMemorySaver())
    config = using(handler, configurable={"thread_id": "t"})
    graph.invoke({"said": ""}, config)
    graph.invoke(Command(resume={"answer": "yes"}), config)
    steps = [e for e in events.of(AgentStepEvent) if e.step_name == "ask"]
    assert steps[0].status == "success"
    context: Any = steps[0].context
    if in_a_tool:
        context = events.of(ToolCallEvent)[0].metadata
    assert context["interrupted"] == "GraphInterrupt"
    assert [each["value"] for each in context["asked"]] == [{"question": "really?"}]
    again = [e for e in events.of(AgentStepEvent) if e.step_name == "LangGraph"][1]
    assert again.input_data == {"resume": {"answer": "yes"}}


@pytest.mark.parametrize("inside_a_run", [True, False])
def test_threads_that_a_chain_starts_belong_to_it_if_bound(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client, inside_a_run: bool
) -> None:
    def work() -> None:
        current_tracker().log_error("in the thread")

    def start(text: str) -> str:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(bind_run(work)).result()
        return text

    with client.run() if inside_a_run else nullcontext():
        (RunnableLambda(str.upper) | RunnableLambda(start)).invoke("x", config=using(handler))
    [error] = events.of(ErrorEvent)
    [step] = [e for e in events.of(AgentStepEvent) if e.step_name == "start"]
    assert (error.parent_id, error.run_id) == (step.event_id, step.run_id)


def test_what_another_handler_or_a_hidden_node_ends_leaves_the_frames_of_others(
    events: CapturedEvents, handler: LLMObsCallbackHandler, client: Client
) -> None:
    other = LLMObsCallbackHandler(client)
    root, hidden, call = uuid4(), uuid4(), uuid4()
    for each in (handler, other):
        each.on_chain_start({"name": "root"}, {}, run_id=root)
    handler.on_chain_start({}, {}, run_id=hidden, parent_run_id=root, tags=["langsmith:hidden"])
    handler.on_chain_end({}, run_id=hidden)
    other.on_chain_end({}, run_id=root)
    frame = handler._runs.get(root).frame  # type: ignore[union-attr]
    assert frame in _frames
    handler.on_tool_start({"name": "t"}, "x", run_id=call, parent_run_id=root)
    handler.on_tool_end("y", run_id=call)
    handler.on_chain_end({}, run_id=root)
    assert names(events)[0] == ("t", "root")
    assert frame not in _frames
    assert len(handler._runs) == len(other._runs) == 0
