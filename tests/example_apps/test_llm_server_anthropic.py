"""Anthropic's wire format, seen through the real `anthropic` package."""

from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from example_apps.llm_server import tokens

from .test_llm_server import ASYNCIO, CITY, LONG, PIXEL, USER, user

MODEL = "claude-sonnet-4-6"
TOOLS: list[Any] = [{"name": "get_weather", "description": "Weather now", "input_schema": CITY}]


class Trip(BaseModel):
    name: str
    days: int


def create(
    client: anthropic.Anthropic, messages: list[Any], **more: Any
) -> anthropic.types.Message:
    answer = client.messages.create(
        model=MODEL, max_tokens=more.pop("max_tokens", 500), messages=messages, **more
    )
    assert isinstance(answer, anthropic.types.Message)
    return answer


def test_a_plain_answer_has_counts_of_its_own_text(claude: anthropic.Anthropic) -> None:
    raw = claude.messages.with_raw_response.create(model=MODEL, max_tokens=500, messages=USER)
    answer = raw.parse()
    assert answer.content[0].type == "text"
    assert answer.usage.output_tokens == tokens.count(answer.content[0].text)
    assert answer.stop_reason == "end_turn"
    counted = claude.messages.count_tokens(model=MODEL, messages=USER)
    assert answer.usage.input_tokens == counted.input_tokens
    assert answer._request_id == raw.headers["request-id"]
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) == 499


def test_the_stream_is_the_plain_answer(claude: anthropic.Anthropic) -> None:
    plain = create(claude, USER)
    with claude.messages.stream(model=MODEL, max_tokens=500, messages=USER) as stream:
        assert "".join(stream.text_stream) == plain.content[0].text  # type: ignore[union-attr]
        final = stream.get_final_message()
    assert final.usage == plain.usage
    assert final.stop_reason == "end_turn"


def test_the_raw_stream_has_the_real_order(claude: anthropic.Anthropic) -> None:
    with claude.messages.with_streaming_response.create(
        model=MODEL, max_tokens=500, messages=USER, stream=True
    ) as raw:
        names = [
            line.removeprefix("event: ") for line in raw.iter_lines() if line.startswith("event: ")
        ]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}


def test_parallel_tools_and_their_results(claude: anthropic.Anthropic) -> None:
    asked = user("Weather in Paris and Rome?")
    with claude.messages.stream(model=MODEL, max_tokens=500, messages=asked, tools=TOOLS) as stream:
        fragments = [event.partial_json for event in stream if event.type == "input_json"]
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    assert first.stop_reason == "tool_use"
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert len(fragments) > len(calls)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21 C"} for call in calls]
    asked += [
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": results},
    ]
    told = create(claude, asked, tools=TOOLS)
    assert told.stop_reason == "end_turn"
    assert "21 C; 21 C" in told.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_comes_first_and_is_signed(claude: anthropic.Anthropic, streamed: bool) -> None:
    thinking: Any = {"type": "adaptive"}
    if streamed:
        with claude.messages.stream(
            model=MODEL, max_tokens=2000, messages=USER, thinking=thinking
        ) as stream:
            answer: Any = stream.get_final_message()
    else:
        answer = create(claude, USER, thinking=thinking, max_tokens=2000)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].signature
    spent = tokens.count(answer.content[0].thinking)
    assert answer.usage.output_tokens_details.thinking_tokens == spent
    assert answer.usage.output_tokens == spent + tokens.count(answer.content[1].text)


def test_a_marked_prefix_is_written_and_later_read(claude: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    first = create(claude, USER, system=system)
    later = create(
        claude, [*USER, {"role": "assistant", "content": "Yes."}, *user("And then?")], system=system
    )
    size = tokens.count(LONG)
    assert (first.usage.cache_creation_input_tokens, first.usage.cache_read_input_tokens) == (
        size,
        0,
    )
    assert (later.usage.cache_creation_input_tokens, later.usage.cache_read_input_tokens) == (
        0,
        size,
    )
    assert first.usage.input_tokens < 50
    counted = claude.messages.count_tokens(model=MODEL, messages=USER, system=system).input_tokens
    assert counted == first.usage.input_tokens + size


def test_an_image_costs_its_pixels(claude: anthropic.Anthropic) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    with_image = [
        {
            "role": "user",
            "content": [{"type": "image", "source": source}, {"type": "text", "text": "Hi"}],
        }
    ]
    without = claude.messages.count_tokens(model=MODEL, messages=user("Hi")).input_tokens
    answer = create(claude, with_image)
    assert answer.usage.input_tokens == without + 1
    assert "1 attached image" in answer.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("Explain queues", {"max_tokens": 3}, "max_tokens"),
        ("Explain queues", {"stop_sequences": [" "]}, "stop_sequence"),
        ("Please refuse this", {}, "refusal"),
    ],
)
def test_stop_reasons(claude: anthropic.Anthropic, text: str, more: Any, reason: str) -> None:
    answer = create(claude, user(text), **more)
    assert answer.stop_reason == reason
    assert (answer.stop_sequence == " ") is (reason == "stop_sequence")
    assert (answer.stop_details is not None) is (reason == "refusal")


def test_structured_output(claude: anthropic.Anthropic) -> None:
    parsed = claude.messages.parse(
        model=MODEL, max_tokens=500, messages=user("A trip of 12 days"), output_format=Trip
    )
    assert parsed.parsed_output is not None
    assert parsed.parsed_output.days == 12


@ASYNCIO
@pytest.mark.anyio
async def test_async_client(llm_server: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=llm_server, api_key="any") as client:
        plain = await client.messages.create(model=MODEL, max_tokens=500, messages=USER)
        async with client.messages.stream(model=MODEL, max_tokens=500, messages=USER) as stream:
            streamed = await stream.get_final_message()
        models = [model.id async for model in client.models.list()]
    assert streamed.content[0].text == plain.content[0].text  # type: ignore[union-attr]
    assert MODEL in models


@pytest.mark.parametrize("missing", ["messages", "max_tokens"])
def test_wrong_requests_get_the_providers_error(claude: anthropic.Anthropic, missing: str) -> None:
    body = {"model": MODEL, "messages": USER, "max_tokens": 5}
    del body[missing]
    with pytest.raises(anthropic.BadRequestError, match=f"{missing}: Field required") as caught:
        claude.post("/v1/messages", body=body, cast_to=object)
    sent: Any = caught.value.body
    assert sent["error"]["type"] == "invalid_request_error"
    assert sent["request_id"] == caught.value.request_id
