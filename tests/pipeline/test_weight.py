"""What an event weighs is what it holds: every kind of event, field and door; and the bound holds."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpx2
import pytest

from llmobs import AsyncClient, ErrorInfo, Status
from llmobs.contrib.httpx import instrument
from llmobs.events import Event
from llmobs.runtime.time_slices import TimeSlices
from tests.helpers import ScriptedSink, make_event

pytestmark = pytest.mark.anyio
HEAVY = 100_000
AGAIN = 4
LEAST, MOST = 0.66, 1.5
"""Weight over measured memory, of events of some 100 KB."""


def text(n: int) -> str:
    return f"{n:06}" * (HEAVY // 6)


def digits(n: int) -> int:
    return n + (1 << (HEAVY * 8))


def messages(n: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text(n + i)[: HEAVY // 20]} for i in range(20)]


class Odd(Exception):
    pass


def raised(n: int) -> Odd:
    try:
        raise Odd(text(n))
    except Odd as error:
        return error


COMMON: dict[str, Callable[[int], Any]] = {
    "tags": lambda n: [text(n)],
    "user_id": text,
    "release": text,
    "session_id": text,
    "trace_id": text,
    "metadata": lambda n: {"k": text(n)},
}
ERRORS: dict[str, Callable[[int], Any]] = {
    "error ": text,
    "error": raised,
    "error  ": lambda n: {"message": "m", "stack": text(n)},
    "error   ": lambda n: {"message": "m", "context": {"k": text(n)}},
    "error    ": lambda n: ErrorInfo(message=text(n)),
}
CALLS: dict[str, tuple[dict[str, Any], dict[str, Callable[[int], Any]]]] = {
    "log_prompt_call": (
        {"prompt": "", "model": "m", "response": ""},
        {
            **dict.fromkeys(("prompt", "response", "model", "model_version"), text),
            **dict.fromkeys(("prompt_template_id", "finish_reason", "response_id"), text),
            "prompt ": messages,
            "response ": messages,
            "response_metadata": lambda n: {"k": text(n)},
            "tool_calls": messages,
            "request_params": lambda n: {"k": text(n)},
            "prompt_embedding": lambda n: [n + i / 7 for i in range(3000)],
            "errors": lambda n: [text(n)],
            "usage": lambda n: {text(n): 1},
            "usage ": lambda n: {f"{text(n)[: HEAVY // 50]}{i}": i for i in range(50)},
            "usage  ": lambda n: {"k": digits(n)},
            "request_params ": lambda n: {"k": [digits(n + i) >> (HEAVY * 7) for i in range(8)]},
            "latency_ms": text,
            "tokens_input": text,
            "status": text,
            **ERRORS,
        },
    ),
    "log_agent_step": (
        {"step_number": 1, "step_name": "s", "step_type": "reasoning"}
        | {"input_data": None, "output_data": None},
        {"input_data": text, "output_data": messages, "reasoning": text, "step_name": text}
        | {"context": lambda n: {"k": text(n)}, **ERRORS},
    ),
    "log_tool_call": (
        {"tool_name": "t", "input": None, "output": None},
        {"tool_name": text, "input": messages, "output": text, "tool_id": text, **ERRORS}
        | {"status": text, "latency_ms": text},
    ),
    "log_error": (
        {"error": "e"},
        {"context": lambda n: {"k": text(n)}, **ERRORS},
    ),
    "log_assertion_failed": (
        {"assertion_name": "a"},
        {"assertion_name": text, "expected": text, "actual": messages},
    ),
    "log_hallucination_detected": (
        {"detection_method": "heuristic", "confidence_score": 1.0, "flagged_content": ""},
        {"flagged_content": text, "recommendations": lambda n: [text(n)], "ground_truth": text},
    ),
    "log_evaluation": (
        {"name": "helpfulness"},
        {"name": text, "label": text, "explanation": text, "source": text},
    ),
    "log_performance_alert": (
        {"alert_type": "a", "threshold": 1.0, "actual_value": 1.0, "window_minutes": 1},
        {"affected_models": lambda n: [text(n)]},
    ),
}
CASES = [
    pytest.param(method, field, value, inside, id=f"{method}-{field.replace(' ', '_')}-{inside}")
    for method, (_, own) in CALLS.items()
    for field, value in {**COMMON, **own}.items()
    # Of the others, the client's methods are those of a tracker.
    for inside in ((False, True) if method == "log_prompt_call" else (False,))
]


def ratio(client: AsyncClient, record: Callable[[int], object]) -> float:
    """Return what *record*, called some times, weighs over what it makes the client hold."""
    record(0)  # what is made once
    gc.collect()
    before = client.statistics().queue_bytes
    tracemalloc.start()
    try:
        for number in range(1, AGAIN + 1):
            record(number)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held > AGAIN * HEAVY / 2, "the caller keeps nothing: what is measured is the client's"
    return float((client.statistics().queue_bytes - before) / held)


@pytest.fixture
def client() -> Iterator[AsyncClient]:
    """A client that is never run, one for all: making it takes longer than a test."""
    client = _idle()
    yield client
    client._pipeline.intake.reset()


@cache
def _idle() -> AsyncClient:
    return AsyncClient(sink=ScriptedSink(), max_queue_bytes=10**9, batch_bytes=10**9)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(("method", "field", "value", "inside"), CASES)
def test_every_field(
    client: AsyncClient, method: str, field: str, value: Callable[[int], Any], inside: bool
) -> None:
    given, _ = CALLS[method]
    run = client.run("r")
    target = getattr(run if inside else client, method)

    def record(number: int) -> None:
        first = () if inside else ("r",)
        target(*first, **{**given, field.strip(): value(number)})

    assert LEAST < ratio(client, record) < MOST


def exchange(number: int) -> httpx2.Response:
    pieces = [
        f'data: {{"choices": [{{"delta": {{"content": "{number:06}"}}}}]}}\n\n'.encode()
    ] * 2000

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Any:
            for piece in pieces:
                yield bytes(bytearray(piece))

    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())


@pytest.mark.parametrize("ended", ["read", "closed by the SDK", "answer"])
def test_what_the_wire_saw(client: AsyncClient, ended: str) -> None:
    numbers = iter(range(1000))

    def answer(request: Any) -> Any:
        if ended == "answer":
            return httpx2.Response(200, json={"model": "m", "text": text(next(numbers))})
        return exchange(next(numbers))

    http = instrument(httpx2.Client(transport=httpx2.MockTransport(answer)), llmobs_client=client)

    def record(number: int) -> None:
        question = {"model": "m", "messages": [{"role": "user", "content": text(number)}]}
        url = "https://api.test/v1/chat/completions"
        if ended == "answer":
            http.post(url, json=question)
            return
        with http.stream("POST", url, json={**question, "stream": True}) as response:
            for count, _ in enumerate(response.iter_raw()):
                if ended == "closed by the SDK" and count == 1990:
                    break

    assert LEAST < ratio(client, record) < MOST


@pytest.mark.parametrize("field", ["user_id", "session_id", "release", "metadata", "tags"])
def test_what_a_run_says_of_itself(client: AsyncClient, field: str) -> None:

    def record(number: int) -> None:
        value = COMMON[field](number)
        run = client.run(**{field: value})
        run.log_error("boom")

    assert LEAST < ratio(client, record) < MOST


def test_a_run_that_failed(client: AsyncClient) -> None:

    def record(number: int) -> None:
        with pytest.raises(Odd), client.run(metadata={"k": text(number)[:10]}):
            raise Odd(text(number))

    assert LEAST < ratio(client, record) < MOST


async def test_an_event_sent_is_weighed() -> None:
    client = AsyncClient(sink=ScriptedSink(), max_queue_bytes=HEAVY)
    async with client:
        with pytest.raises(Exception, match="too_large"):
            await client.send(make_event(prompt=text(1) * 2))


async def test_what_complete_added_is_weighed_when_it_goes_back_to_the_queue() -> None:
    class Down(ScriptedSink):
        pass

    def complete(event: Event) -> None:
        event.prompt = text(1)  # type: ignore[attr-defined]

    client = AsyncClient(sink=Down(), flush_interval_seconds=0.001)
    intake, stages = client._pipeline.intake, client._pipeline.stages
    client.record(make_event(status=Status.SUCCESS), None, 10, False, complete)
    (entry,) = taken = intake.next_batch()
    await stages.stages[0].run(taken, TimeSlices())
    assert HEAVY < entry.size < 1.5 * HEAVY
    intake.requeue_all()
    assert client.statistics().queue_bytes == entry.size
    intake.reset()


def test_the_bound_holds_end_to_end() -> None:
    client = AsyncClient(sink=ScriptedSink(), max_queue_bytes=20 * HEAVY)
    client.log_error("r", raised(0))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(200):
            client.log_error("r", raised(number))
            client.log_error("r", "e", tags=[text(number)])
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1.5 * 20 * HEAVY
    client._pipeline.intake.reset()
