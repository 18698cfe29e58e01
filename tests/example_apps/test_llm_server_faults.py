"""Every fault, seen through the real SDKs or, where they hide it, through a bare HTTP client."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from example_apps.llm_server import create_app
from tests.support.llm_server import running_llm_server

from .test_llm_server import USER, text_of, user
from .test_llm_server_anthropic import MODEL

CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": USER}
MESSAGES: dict[str, Any] = {"model": MODEL, "messages": USER, "max_tokens": 500}
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "responses": ("/v1/responses", {"model": "gpt-4o", "input": "Explain queues"}),
    "messages": ("/v1/messages", MESSAGES),
}


@pytest.fixture
def http(llm_server: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=llm_server) as client:
        yield client


def fault(name: str, **more: str) -> Any:
    return {"x-fake-fault": name, **more}


def events(body: str) -> list[Any]:
    """The JSON of every event; fails where an event holds none."""
    lines = (line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("how", ["header", "model"])
@pytest.mark.parametrize(
    ("status", "openai_error", "anthropic_error", "kind"),
    [
        (400, openai.BadRequestError, anthropic.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, anthropic.AuthenticationError, "authentication_error"),
        (403, openai.PermissionDeniedError, anthropic.PermissionDeniedError, "permission_error"),
        (404, openai.NotFoundError, anthropic.NotFoundError, "not_found_error"),
        (429, openai.RateLimitError, anthropic.RateLimitError, "rate_limit_error"),
        (500, openai.InternalServerError, anthropic.InternalServerError, "api_error"),
        (503, openai.InternalServerError, anthropic.InternalServerError, "api_error"),
        (529, openai.InternalServerError, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_statuses(
    gpt: openai.OpenAI,
    claude: anthropic.Anthropic,
    how: str,
    status: int,
    openai_error: type[openai.APIStatusError],
    anthropic_error: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    headers = fault(str(status)) if how == "header" else {}
    model = "any-model" if how == "header" else f"model-fail-{status}"
    with pytest.raises(openai_error) as from_openai:
        gpt.chat.completions.create(model=model, messages=USER, extra_headers=headers)
    with pytest.raises(anthropic_error) as from_anthropic:
        claude.messages.create(model=model, messages=USER, max_tokens=9, extra_headers=headers)
    for caught in (from_openai.value, from_anthropic.value):
        assert caught.status_code == status
        assert (caught.response.headers.get("retry-after") == "1") is (status == 429)
        assert caught.request_id
    assert set(from_openai.value.body) == {"message", "type", "param", "code"}  # type: ignore[call-overload]
    told: Any = from_anthropic.value.body
    assert (told["type"], told["error"]["type"]) == ("error", kind)


def test_an_invalid_key_is_a_401(llm_server: str) -> None:
    with (
        openai.OpenAI(base_url=f"{llm_server}/v1", api_key="invalid") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=USER)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("name", ["429-once", "500-once"])
def test_once_is_healed_by_the_sdks_own_retry(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, name: str
) -> None:
    headers = fault(name, **{"x-fake-retry-after": "0.01"})
    asked = user(f"Explain {name}")
    with pytest.raises(openai.APIStatusError):
        gpt.chat.completions.create(model="gpt-4o", messages=asked, extra_headers=headers)
    assert gpt.chat.completions.create(model="gpt-4o", messages=asked, extra_headers=headers)
    raw = claude.with_options(max_retries=1).messages.with_raw_response.create(
        model=MODEL, messages=asked, max_tokens=9, extra_headers=headers
    )
    assert raw.retries_taken == 1


def test_once_goes_by_the_idempotency_key(http: httpx2.Client) -> None:
    def status(key: str) -> int:
        headers = fault("503-once", **{"idempotency-key": key})
        return http.post(PATHS["chat"][0], json=CHAT, headers=headers).status_code

    assert [status(key) for key in ("a", "a", "b", "a", "b")] == [503, 200, 503, 200, 200]


def test_an_error_in_the_middle_of_the_stream(
    gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    chunks: list[Any] = []
    asked: Any = {"model": "gpt-4o", "stream": True, "extra_headers": fault("stream-error")}
    with pytest.raises(openai.APIError, match="server had an error"):
        chunks.extend(gpt.chat.completions.create(messages=USER, **asked))
    assert text_of(chunks)
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        final_text(claude, fault("stream-error"))
    seen = list(gpt.responses.create(input="Hello", **asked))
    last = seen[-1]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert last.type == "error"
    assert last.code == "server_error"


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("streamed", [False, True])
def test_cut(http: httpx2.Client, api: str, streamed: bool) -> None:
    path, body = PATHS[api]
    received: list[bytes] = []
    with (
        http.stream(
            "POST", path, json={**body, "stream": streamed}, headers=fault("cut")
        ) as answer,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        received.extend(answer.iter_bytes())
    assert received


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("streamed", [False, True])
def test_endless_goes_on_until_the_client_leaves(
    http: httpx2.Client, api: str, streamed: bool
) -> None:
    path, body = PATHS[api]
    length = len(http.post(path, json={**body, "stream": streamed}).content)
    received = 0
    with http.stream(
        "POST", path, json={**body, "stream": streamed}, headers=fault("endless")
    ) as answer:
        for chunk in answer.iter_bytes():
            received += len(chunk)
            if received > length * 1.5:
                break
    assert received > length * 1.5
    assert http.post(path, json=body).status_code == 200


def not_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("name", ["bad-json", "truncated-json", "garbage"])
def test_broken_bodies(http: httpx2.Client, api: str, name: str) -> None:
    path, body = PATHS[api]
    plain = http.post(path, json=body, headers=fault(name))
    assert plain.status_code == 200
    assert plain.headers["content-type"] == "application/json"
    assert not_json(plain.content)
    stream = http.post(path, json={**body, "stream": True}, headers=fault(name))
    healthy = http.post(path, json={**body, "stream": True})
    assert stream.headers["content-type"] == healthy.headers["content-type"]
    if name == "garbage":
        assert b"\xff\xfe\x00" in stream.content
        return
    sent, usual = (
        [line[6:] for line in answer.content.split(b"\n") if line.startswith(b"data: {")]
        for answer in (stream, healthy)
    )
    assert [not_json(line) for line in sent].count(True) == 1
    assert (len(sent) < len(usual)) is (name == "truncated-json")


def test_slow_headers(http: httpx2.Client) -> None:
    headers = fault("slow-header", **{"x-fake-slow-ms": "150"})
    started = time.perf_counter()
    assert http.post(PATHS["chat"][0], json=CHAT, headers=headers).status_code == 200
    assert time.perf_counter() - started >= 0.15


def test_lies_about_usage(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    lies, missing = fault("usage-lies"), fault("usage-missing")
    usage = gpt.chat.completions.create(model="gpt-4o", messages=USER, extra_headers=lies).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.total_tokens == -1
    assert (usage.prompt_tokens_details.cached_tokens or 0) > usage.prompt_tokens
    told = claude.messages.create(
        model=MODEL, messages=USER, max_tokens=500, extra_headers=lies
    ).usage
    assert told.output_tokens > 10_000
    chunks = gpt.chat.completions.create(
        model="gpt-4o",
        messages=USER,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=missing,
    )
    assert all(chunk.usage is None for chunk in chunks)


SHAPES = ["gzip", "split", "crlf", "comments", "gzip,split,crlf,comments"]


@pytest.mark.parametrize("shape", SHAPES)
def test_odd_shapes_of_bytes_change_nothing(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, shape: str
) -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda more: (
            gpt.chat.completions.create(model="gpt-4o", messages=USER, extra_headers=more)
            .choices[0]
            .message.content
        ),
        lambda more: text_of(
            list(
                gpt.chat.completions.create(
                    model="gpt-4o", messages=USER, stream=True, extra_headers=more
                )
            )
        ),
        lambda more: claude.messages.create(**MESSAGES, extra_headers=more).content,
        lambda more: final_text(claude, more),
    ]
    for call in calls:
        assert call(fault(shape)) == call({})


def final_text(claude: anthropic.Anthropic, headers: Any) -> str:
    with claude.messages.stream(**MESSAGES, extra_headers=headers) as stream:
        return stream.get_final_text()


def test_the_odd_shapes_are_really_on_the_wire(http: httpx2.Client) -> None:
    path, body = PATHS["messages"]

    def raw(shape: str) -> tuple[list[bytes], Any]:
        asked = {**body, "stream": True}
        with http.stream("POST", path, json=asked, headers=fault(shape)) as answer:
            return list(answer.iter_raw()), answer.headers

    chunks, headers = raw("gzip")
    assert headers["content-encoding"] == "gzip"
    assert b"message_stop" in gzip.decompress(b"".join(chunks))
    chunks, _ = raw("crlf")
    assert b"\r\n\r\n" in b"".join(chunks)
    assert b"".join(chunks).count(b"\n") == b"".join(chunks).count(b"\r\n")
    assert b": keep-alive\n" in b"".join(raw("comments")[0])
    split, whole = raw("split")[0], raw("")[0]
    assert len(split) > 2 * len(whole)
    assert min(map(len, split)) == 1


def test_an_unknown_fault_is_said_so(gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="unknown fault 42O"):
        gpt.chat.completions.create(model="gpt-4o", messages=USER, extra_headers=fault("42O"))


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
@pytest.mark.parametrize("name", ["x-fake-retry-after", "x-fake-ttft-ms", "x-fake-chunk-ms"])
def test_a_header_that_is_no_number_is_said_so(http: httpx2.Client, name: str, value: str) -> None:
    answer = http.post(PATHS["chat"][0], json=CHAT, headers={name: value})
    assert answer.status_code == 400
    assert name in answer.json()["error"]["message"]


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("wrong", [["text"], [1], "text", 1])
def test_parts_of_the_wrong_type_are_a_400(http: httpx2.Client, api: str, wrong: Any) -> None:
    path, body = PATHS[api]
    answer = http.post(path, json={**body, "tools": wrong, "input": [1], "messages": [wrong]})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_error_rate_fails_every_nth_request() -> None:
    options = ("--error-rate", "0.25", "--ttft-ms", "0", "--chunk-ms", "0", "--retry-after", "0.5")
    with running_llm_server(*options) as url, httpx2.Client(base_url=url) as http:
        answers = [http.post(PATHS["chat"][0], json=CHAT) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429] * 2
    assert answers[3].headers["retry-after"] == "0.5"


@pytest.mark.parametrize("options", [{"error_rate": 2}, {"ttft_ms": -1}, {"retry_after": -1}])
def test_options_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        create_app(**options)


@pytest.mark.anyio
async def test_the_app_runs_in_process_on_any_loop() -> None:
    transport = httpx2.ASGITransport(create_app(ttft_ms=0, chunk_ms=0))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post(PATHS["chat"][0], json={**CHAT, "stream": True})
    assert events(answer.text)[-1]["choices"][0]["finish_reason"] == "stop"
