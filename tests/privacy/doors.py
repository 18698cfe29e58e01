"""
Ways into llmobs that are no method of a tracker: each is handed a text, to put wherever it can.

A door is a function of a client and a text; add one to `DOORS`, and the matrix tries it.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import httpx2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

import llmobs
from llmobs import Client
from llmobs.contrib._tasks import TaskRuns, carry
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.contrib.httpx import RecordingTransport
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.contrib.opentelemetry import LLMObsSpanProcessor
from tests.contrib.corpus import Case, js
from tests.contrib.corpus.all import CASES
from tests.contrib.test_opentelemetry import PREVIOUS, TODAY
from tests.support.asgi import call, http_scope

__all__ = ["DOORS", "filled", "filled_body"]

Door = Callable[[Client, str], None]
DISCRIMINATORS: Final = frozenset({"type", "object", "role", "event"})
"""What tells a wire's messages apart: with a text in their place, nothing would be read."""


def _failing(text: str) -> None:
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            raise ValueError(f"bad value {text}") from cause
    except ValueError as error:
        error.add_note(f"noted {text}")
        raise ExceptionGroup(f"group of {text}", [error, RuntimeError(text)]) from None


def exceptions(client: Client, text: str) -> None:
    with suppress(ExceptionGroup), client.run(name=f"job {text}") as run:
        with suppress(ExceptionGroup), run.prompt_call(model=text, prompt=text):
            _failing(text)
        with suppress(ExceptionGroup), run.agent_step(text):
            _failing(text)
        with suppress(ExceptionGroup), run.tool_call(text, input={text: text}):
            _failing(text)
        _failing(text)


def observed(client: Client, text: str) -> None:
    @llmobs.observe
    def function(value: Any, *, key: Any) -> Any:
        return {value: key}

    @llmobs.observe(tool=True)
    def generator(value: str) -> Iterator[str]:
        yield from value  # a character at a time

    @llmobs.observe(name=text)
    def failing() -> None:
        _failing(text)

    @llmobs.observe
    async def pieces() -> Any:
        for at in range(0, len(text), 7):
            yield text[at : at + 7]

    async def read() -> None:
        async for _ in pieces():
            pass

    with client.run():
        function(text, key=[text.encode(), bytearray(text.encode()), memoryview(text.encode())])
        list(generator(text))
        asyncio.run(read())
        with suppress(ExceptionGroup):
            failing()


def tasks(client: Client, text: str) -> None:
    with client.run(run_id=text, user_id=text, session_id=text, trace_id=text, span_id=text):
        carried = carry(text)
    with suppress(ExceptionGroup), TaskRuns(client).running(text, text, attempt=2, carried=carried):
        _failing(text)


def asgi(client: Client, text: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        llmobs.current_tracker().log_error("noted")
        if scope["path"].startswith("/fail"):
            _failing(text)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    raw = text.encode("latin-1", "replace")
    names = (
        "x-run-id",
        "x-request-id",
        "traceparent",
        "user-agent",
        "cookie",
        "authorization",
        "host",
    )
    for trusts in (True, False):
        for path in (f"/{text}", f"/fail/{text}"):
            middleware = LLMObsMiddleware(app, client=client, trust_run_id=trusts)
            for value in (raw, raw.split(b" ; ")[0]):
                scope = http_scope(
                    path,
                    headers=[(name.encode(), value) for name in names],
                    query_string=b"q=" + raw,
                    method="POST",
                )
                with suppress(ExceptionGroup):
                    asyncio.run(call(middleware, scope))


def websocket(client: Client, text: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": [], "subprotocol": text})
        said = (await receive())["text"]
        llmobs.current_tracker().log_prompt_call(said, said, said)
        await send({"type": "websocket.send", "text": said})
        if scope["path"].startswith("/fail"):
            _failing(text)
        await send({"type": "websocket.close", "reason": text})

    async def drop(message: Any) -> None:
        pass

    raw = text.encode("latin-1", "replace")
    for path in (f"/{text}", f"/fail/{text}"):
        waiting = iter(
            [
                {"type": "websocket.connect"},
                {"type": "websocket.receive", "text": text},
                {"type": "websocket.disconnect", "code": 1000, "reason": text},
            ]
        )

        async def receive(waiting: Any = waiting) -> Any:
            return next(waiting)

        scope = http_scope(
            path, type="websocket", scheme="ws", subprotocols=[text], query_string=b"q=" + raw,
            headers=[(b"x-run-id", raw), (b"sec-websocket-protocol", raw), (b"cookie", raw)],
        )  # fmt: skip
        with suppress(ExceptionGroup):
            asyncio.run(LLMObsMiddleware(app, client=client)(scope, receive, drop))


def filled(value: Any, text: str, key: str = "") -> Any:
    """Return *value* with *text* for each of its texts that tells no messages apart."""
    if isinstance(value, dict):
        return {k: filled(v, text, k) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, text, key) for v in value]
    if isinstance(value, str) and key not in DISCRIMINATORS:
        return text
    return value


def filled_body(case: Case, text: str) -> bytes:
    if "stream" not in case.headers.get("content-type", ""):
        with suppress(ValueError):
            return js(filled(json.loads(case.body), text))
        return case.body + text.encode()
    lines = []
    for line in case.body.split(b"\n"):
        with suppress(ValueError):
            if line.startswith(b"data: {"):
                line = b"data: " + js(filled(json.loads(line[6:]), text))
        lines.append(line)
    return b"\n".join(lines)


def wires(client: Client, text: str) -> None:
    for case in CASES[:: max(1, len(CASES) // 40)]:
        _exchange(client, case, filled(case.request, text), filled_body(case, text), text)


def _exchange(client: Client, case: Case, request: Any, body: bytes, text: str) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {
            **case.headers,
            "x-request-id": text,
            "request-id": text,
            "openai-organization": text,
        }
        return httpx2.Response(case.status, headers=headers, content=body)

    transport = RecordingTransport(httpx2.MockTransport(answer), llmobs_client=client)
    with httpx2.Client(transport=transport) as http:
        http.post(f"https://{case.host}{case.path}", content=js(request), params={"key": text})


def streamed(client: Client, text: str) -> None:
    """A character at a time, as models write."""
    openai = [{"choices": [{"index": 0, "delta": {"content": c}}]} for c in text]
    tool = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "c", "function": {"name": "f", "arguments": c}}]}}]}
        for c in json.dumps({"to": text})
    ]  # fmt: skip
    anthropic = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}}
        for c in text
    ]
    for path, events in (
        ("/v1/chat/completions", openai), ("/v1/chat/completions", tool), ("/v1/messages", anthropic),
    ):  # fmt: skip
        body = b"".join(b"data: " + js(event) + b"\n\n" for event in events)
        case = Case("", path, {}, {}, headers={"content-type": "text/event-stream"})
        parts = [{"type": "text", "text": text[:9]}, {"type": "text", "text": text[9:]}]
        request = {"model": "m", "stream": True, "messages": [{"role": "user", "content": parts}]}
        _exchange(client, case, request, body, "r")


def spans(client: Client, text: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(LLMObsSpanProcessor(client))
    tracer = provider.get_tracer("tests")
    for attributes, events in ((TODAY, ()), *PREVIOUS.values()):
        filled = {
            key: _text_in(value, text) if key != "gen_ai.operation.name" else value
            for key, value in attributes.items()
        }
        with suppress(ValueError), tracer.start_as_current_span(text, attributes=filled) as span:
            for name, inside in events:
                span.add_event(name, {k: _text_in(v, text) for k, v in inside.items()})
            span.set_status(Status(StatusCode.ERROR, text))
            raise ValueError(text)


def _text_in(value: Any, text: str) -> Any:
    if not isinstance(value, str):
        return [text] if isinstance(value, list) else value
    try:
        return json.dumps(filled(json.loads(value), text))
    except ValueError:
        return text


def langchain(client: Client, text: str) -> None:
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnableLambda

    answer = AIMessage(
        text,
        response_metadata={"model_name": text, "finish_reason": text, "id": text},
        tool_calls=[{"id": text, "name": text, "args": {text: text}}],
    )
    model = GenericFakeChatModel(messages=iter([answer, answer]))
    prompt = ChatPromptTemplate.from_messages([("system", "{s}"), ("user", "{s}")])
    config: Any = {
        "callbacks": [LLMObsCallbackHandler(client)],
        "run_name": text,
        "tags": [text],
        "metadata": {"user_id": text, "session_id": text, text: text},
    }
    (prompt | model).invoke({"s": text}, config)
    for _ in (prompt | model).stream({"s": text}, config):
        pass
    with suppress(ExceptionGroup):
        RunnableLambda(lambda _: _failing(text)).invoke(text, config)


def ids(client: Client, text: str) -> None:
    with client.run(
        run_id=text, user_id=text, session_id=text, tags=[text], metadata={text: text}
    ) as run:
        run.log_prompt_call(text, text, text, event_id=str(uuid4()), **{text: text})  # type: ignore[arg-type]
        run.name = text
        run.user_id = text


DOORS: Mapping[str, Door] = {
    "exceptions": exceptions,
    "observe": observed,
    "tasks": tasks,
    "asgi": asgi,
    "websocket": websocket,
    "wires": wires,
    "streams": streamed,
    "spans": spans,
    "langchain": langchain,
    "ids": ids,
}
"""By name."""
