"""OpenAI's wire format, seen through the real `openai` package."""

import json
import math
import time
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from example_apps.llm_server import tokens

USER: list[Any] = [{"role": "user", "content": "Explain vector databases in detail"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
EXPRESSION = {"type": "object", "properties": {"expression": {"type": "string"}}}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "calculate", "parameters": EXPRESSION}},
]
FLAT_TOOLS: list[Any] = [
    {"type": "function", **tool["function"], "strict": False} for tool in TOOLS
]
PIXEL = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9aw"
    "AAAABJRU5ErkJggg=="
)
LONG = "The quick brown fox jumps over the lazy dog. " * 200

# Both SDKs leave async generators to the garbage collector, which trio reports as a warning.
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Recipe(BaseModel):
    title: str
    minutes: int
    steps: list[str]
    vegan: bool


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_a_plain_answer_has_counts_of_its_own_text(gpt: openai.OpenAI) -> None:
    raw = gpt.chat.completions.with_raw_response.create(model="gpt-4o", messages=USER)
    answer = raw.parse()
    text = answer.choices[0].message.content
    assert text
    assert "vector" in text.lower()
    assert answer.usage is not None
    assert answer.usage.completion_tokens == tokens.count(text)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.service_tier, answer.system_fingerprint is None) == ("default", False)
    assert answer._request_id == raw.headers["x-request-id"]
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert int(raw.headers["x-ratelimit-remaining-requests"]) == 499


def test_the_same_question_gets_the_same_answer_with_another_id(gpt: openai.OpenAI) -> None:
    one, two = (gpt.chat.completions.create(model="gpt-4o", messages=USER) for _ in range(2))
    other = gpt.chat.completions.create(model="gpt-4o", messages=user("Explain bread baking"))
    assert one.choices == two.choices
    assert one.id != two.id
    assert one.choices != other.choices


@pytest.mark.parametrize("with_usage", [True, False])
def test_a_stream_tells_usage_only_if_asked(gpt: openai.OpenAI, with_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if with_usage else {}
    stream = gpt.chat.completions.create(model="gpt-4o", messages=USER, stream=True, **options)
    chunks = list(stream)
    plain = gpt.chat.completions.create(model="gpt-4o", messages=USER)
    assert text_of(chunks) == plain.choices[0].message.content
    assert [chunk.usage for chunk in chunks if chunk.usage] == [plain.usage] * with_usage
    assert (chunks[-1].choices == []) is with_usage
    finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert [reason for reason in finishes if reason] == ["stop"]


def text_of(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    choices = (choice for chunk in chunks for choice in chunk.choices if choice.index == index)
    return "".join(choice.delta.content or "" for choice in choices)


def test_the_stream_helper_collects_parallel_tool_calls(gpt: openai.OpenAI) -> None:
    asked = user("What is the weather in Paris and Rome, and how much is 17 * (3 + 4)?")
    with gpt.chat.completions.stream(model="gpt-4o", messages=asked, tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        choice = stream.get_final_completion().choices[0]
    calls = choice.message.tool_calls or []
    assert choice.finish_reason == "tool_calls"
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome"}),
        ("calculate", {"expression": "17 * (3 + 4)"}),
    ]
    assert kinds.count("tool_calls.function.arguments.delta") > len(calls)
    assert len({call.id for call in calls}) == len(calls)


def test_tool_results_lead_to_an_answer_with_them(gpt: openai.OpenAI) -> None:
    asked = user("Weather in Paris, please")
    first = gpt.chat.completions.create(model="gpt-4o", messages=asked, tools=TOOLS).choices[0]
    calls = first.message.tool_calls or []
    asked += [
        first.message.to_dict(),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "21 C"},
    ]
    second = gpt.chat.completions.create(model="gpt-4o", messages=asked, tools=TOOLS).choices[0]
    assert second.finish_reason == "stop"
    assert "21 C" in (second.message.content or "")


@pytest.mark.parametrize(
    ("choice", "parallel", "names"),
    [
        ("auto", True, ["get_weather", "get_weather"]),
        ("auto", False, ["get_weather"]),
        ("none", True, []),
        ("required", True, ["get_weather", "get_weather"]),
        ({"type": "function", "function": {"name": "calculate"}}, True, ["calculate"]),
    ],
)
def test_tool_choice(gpt: openai.OpenAI, choice: Any, parallel: bool, names: list[str]) -> None:
    answer = gpt.chat.completions.create(
        model="gpt-4o",
        messages=user("weather in Oslo and Bergen"),
        tools=TOOLS,
        tool_choice=choice,
        parallel_tool_calls=parallel,
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == names


def test_structured_output_fits_the_schema(gpt: openai.OpenAI) -> None:
    parsed = gpt.chat.completions.parse(
        model="gpt-4o", messages=user("A recipe of 25 minutes"), response_format=Recipe
    )
    recipe = parsed.choices[0].message.parsed
    assert isinstance(recipe, Recipe)
    assert recipe.minutes == 25


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_no_content(gpt: openai.OpenAI, streamed: bool) -> None:
    asked = user("Please refuse this")
    if streamed:
        with gpt.chat.completions.stream(model="gpt-4o", messages=asked) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        message = gpt.chat.completions.create(model="gpt-4o", messages=asked).choices[0].message  # type: ignore[assignment]
    assert message.refusal
    assert not message.content


def test_reasoning_tokens_are_part_of_the_output(gpt: openai.OpenAI) -> None:
    usage = gpt.chat.completions.create(model="o3-mini", messages=USER).usage
    plain = gpt.chat.completions.create(model="gpt-4o", messages=USER).usage
    assert usage is not None
    assert plain is not None
    assert usage.completion_tokens_details is not None
    reasoning = usage.completion_tokens_details.reasoning_tokens
    assert reasoning
    assert usage.completion_tokens == plain.completion_tokens + reasoning


def test_a_long_conversation_is_cached_in_steps(gpt: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "system", "content": LONG}, *USER]
    usage = gpt.chat.completions.create(model="gpt-4o", messages=messages).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    cached = usage.prompt_tokens_details.cached_tokens
    assert cached
    assert cached % 128 == 0
    assert cached < usage.prompt_tokens


def test_images_cost_what_their_size_says(gpt: openai.OpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    linked = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    words = {"type": "text", "text": "What is this?"}

    def prompt(*parts: Any) -> int:
        messages: list[Any] = [{"role": "user", "content": [words, *parts]}]
        answer = gpt.chat.completions.create(model="gpt-4o", messages=messages)
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    assert prompt(picture) - prompt() == 85 + 170
    assert prompt(linked) - prompt() == 85 + 4 * 170


def test_several_choices_differ_and_arrive_interleaved(gpt: openai.OpenAI) -> None:
    plain = gpt.chat.completions.create(model="gpt-4o", messages=USER, n=3)
    texts = [choice.message.content for choice in plain.choices]
    assert len(set(texts)) == 3
    chunks = list(gpt.chat.completions.create(model="gpt-4o", messages=USER, n=3, stream=True))
    assert [text_of(chunks, index) for index in range(3)] == texts
    assert [choice.index for chunk in chunks[:6] for choice in chunk.choices] == [0, 1, 2] * 2


@pytest.mark.parametrize(
    ("limits", "finish"), [({"max_tokens": 5}, "length"), ({"stop": " "}, "stop")]
)
def test_limits_end_the_answer(gpt: openai.OpenAI, limits: Any, finish: str) -> None:
    answer = gpt.chat.completions.create(model="gpt-4o", messages=USER, **limits)
    text = answer.choices[0].message.content or ""
    assert answer.choices[0].finish_reason == finish
    assert tokens.count(text) == (5 if finish == "length" else 1)


def test_responses_plain_with_memory(gpt: openai.OpenAI) -> None:
    asked = gpt.responses.create(model="gpt-5-mini", input="Weather in Paris?", tools=FLAT_TOOLS)
    call = next(item for item in asked.output if item.type == "function_call")
    assert json.loads(call.arguments) == {"city": "Paris"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    told = gpt.responses.create(
        model="gpt-5-mini", previous_response_id=asked.id, input=[result], tools=FLAT_TOOLS
    )
    assert "rain" in told.output_text
    assert told.usage is not None
    assert told.usage.output_tokens > told.usage.output_tokens_details.reasoning_tokens > 0
    with pytest.raises(openai.BadRequestError, match="not found"):
        gpt.responses.create(model="gpt-4o", previous_response_id="resp_none", input="and then?")


def test_responses_stream_with_reasoning(gpt: openai.OpenAI) -> None:
    with gpt.responses.stream(
        model="gpt-5-mini", input="Explain queues", reasoning={"effort": "low", "summary": "auto"}
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert {"response.reasoning_summary_text.delta", "response.output_text.done"} < set(kinds)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text != ""
    assert [item.type for item in final.output] == ["reasoning", "message"]


def test_responses_stream_of_function_calls(gpt: openai.OpenAI) -> None:
    with gpt.responses.stream(
        model="gpt-4o", input="weather in Paris and Rome", tools=FLAT_TOOLS
    ) as stream:
        deltas = [e.delta for e in stream if e.type == "response.function_call_arguments.delta"]
        calls = stream.get_final_response().output
    assert "".join(deltas) == "".join(c.arguments for c in calls if c.type == "function_call")
    assert len(deltas) > len(calls) == 2


@pytest.mark.parametrize(
    ("extra", "kind", "status"),
    [
        ({"input": "Please refuse this"}, "response.refusal.done", "completed"),
        ({"input": "Explain queues", "max_output_tokens": 4}, "response.incomplete", "incomplete"),
    ],
)
def test_responses_endings(gpt: openai.OpenAI, extra: Any, kind: str, status: str) -> None:
    events = list(gpt.responses.create(model="gpt-4o", stream=True, **extra))
    assert kind in [event.type for event in events]
    assert gpt.responses.create(model="gpt-4o", **extra).status == status


def test_responses_structured_output(gpt: openai.OpenAI) -> None:
    parsed = gpt.responses.parse(model="gpt-4o", input="A recipe of 5 minutes", text_format=Recipe)
    assert parsed.output_parsed is not None
    assert parsed.output_parsed.minutes == 5


def test_legacy_completions(gpt: openai.OpenAI) -> None:
    plain = gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt=["One", "Two"])
    assert [choice.finish_reason for choice in plain.choices] == ["length", "length"]
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 32
    stream = gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="One", stream=True)
    assert "".join(part.choices[0].text for part in stream) == plain.choices[0].text


def test_embeddings_are_near_where_words_are_shared(gpt: openai.OpenAI) -> None:
    texts = ["a cat on the mat", "the cat on a mat", "stock market prices"]
    asked: Any = {"model": "text-embedding-3-small", "input": texts, "dimensions": 256}
    floats = gpt.embeddings.create(**asked, encoding_format="float")
    packed = gpt.embeddings.create(**asked)  # the SDK asks for base64 and decodes it
    one, two, three = (item.embedding for item in floats.data)
    for item, vector in zip(packed.data, (one, two, three), strict=True):
        assert item.embedding == pytest.approx(vector, abs=1e-6)
    assert len(one) == 256
    assert math.hypot(*one) == pytest.approx(1)
    assert dot(one, two) > dot(one, three) + 0.5
    assert floats.usage.prompt_tokens == sum(map(tokens.count, texts))


def dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


def test_models(gpt: openai.OpenAI) -> None:
    assert "gpt-4o" in [model.id for model in gpt.models.list()]


def test_azure_paths(llm_server: str) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=llm_server, api_key="any", api_version="2024-10-21", max_retries=0
    ) as azure:
        chunks = list(azure.chat.completions.create(model="my-gpt", messages=USER, stream=True))
        assert chunks[0].choices == []
        assert chunks[-1].model == "my-gpt"
        with pytest.raises(openai.RateLimitError) as caught:
            azure.chat.completions.create(model="fail-429", messages=USER)
    assert caught.value.code == "rate_limit_exceeded"
    with openai.OpenAI(base_url=f"{llm_server}/openai/v1", api_key="any") as client:
        assert client.responses.create(model="gpt-4o", input="Hello").output_text


@ASYNCIO
@pytest.mark.anyio
async def test_async_client(llm_server: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{llm_server}/v1", api_key="any") as client:
        plain = await client.chat.completions.create(model="gpt-4o", messages=USER)
        async with client.chat.completions.stream(model="gpt-4o", messages=USER) as stream:
            streamed = await stream.get_final_completion()
        async with client.responses.stream(model="gpt-4o", input="Explain queues") as events:
            response = await events.get_final_response()
    assert streamed.choices[0].message.content == plain.choices[0].message.content
    assert response.output_text


def test_delays_from_headers(gpt: openai.OpenAI) -> None:
    delays = {"x-fake-ttft-ms": "80", "x-fake-chunk-ms": "10"}
    started = time.perf_counter()
    stream = gpt.chat.completions.create(
        model="gpt-4o", messages=USER, stream=True, max_tokens=5, extra_headers=delays
    )
    next(stream)
    first = time.perf_counter() - started
    list(stream)
    assert first >= 0.08
    assert time.perf_counter() - started >= 0.08 + 5 * 0.01


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/chat/completions", {"model": "gpt-4o"}, 400, "messages"),
        ("/chat/completions", {"messages": USER}, 400, "model"),
        ("/responses", {"model": "gpt-4o"}, 400, "input"),
        ("/embeddings", {"model": "gpt-4o"}, 400, "input"),
        ("/nothing", {"model": "gpt-4o"}, 404, None),
    ],
)
def test_wrong_requests_get_the_providers_error(
    gpt: openai.OpenAI, path: str, body: Any, status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        gpt.post(path, body=body, cast_to=object)
    assert (caught.value.status_code, caught.value.param) == (status, param)
    assert caught.value.type == "invalid_request_error"
