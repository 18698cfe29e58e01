"""The same call has the same provider, counts and cost, whichever door it is seen through."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest
from genai_prices import Usage, calc_price
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client, PromptCallEvent
from llmobs.contrib.httpx import RecordingTransport
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.pipeline.cost import Pricing
from llmobs.testing import CapturedEvents, capture_events
from tests.contrib.capture.test_corpus import record
from tests.contrib.corpus import JSON, USER, Case, js

FIELDS = (
    "provider", "tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write",
    "tokens_reasoning", "usage", "cost_usd", "cost_source",
)  # fmt: skip
pricing = Pricing()


@dataclass
class Call:
    """One call, as each door hears of it; doors it cannot come through are left out."""

    name: str
    model: str
    provider: str
    spellings: tuple[str, ...]
    counts: dict[str, int]
    """Of the price table; what is right."""
    usage: dict[str, int] = field(default_factory=dict)
    host: str = ""
    path: str = "/v1/chat/completions"
    wire: tuple[dict[str, Any], ...] = ()
    """``usage`` of the answer, in each way the provider writes it; or more of the answer."""
    spans: tuple[dict[str, Any], ...] = ()
    """Attributes beside the model and the provider, by each writer."""
    scope: str = "tests"
    openinference: dict[str, Any] = field(default_factory=dict)
    """``llm.token_count.*``"""
    langchain: dict[str, Any] | None = None
    """``usage_metadata``"""
    response_metadata: dict[str, Any] = field(default_factory=dict)
    cost: float | None = None
    """What the provider says it charged."""
    table: str = ""
    """The provider's name in the price table."""

    def expected(self) -> dict[str, Any]:
        cost, source = self.cost, "provider"
        if cost is None:
            known = Usage(**{**self.counts, **self.usage})
            calculation = calc_price(known, self.model, provider_id=self.table)
            cost, source = float(calculation.total_price), "genai-prices"
        return {
            "provider": self.provider,
            "tokens_input": self.counts["input_tokens"],
            "tokens_output": self.counts["output_tokens"],
            "tokens_cached": self.counts.get("cache_read_tokens", 0),
            "tokens_cache_write": self.counts.get("cache_write_tokens", 0),
            "tokens_reasoning": self.counts.get("output_reasoning_tokens", 0),
            "usage": self.usage,
            "cost_usd": pytest.approx(cost),
            "cost_source": source,
        }


def usage(prefix: str, **counts: int) -> dict[str, int]:
    return {prefix + name.replace("__", "."): count for name, count in counts.items()}


GENAI = "gen_ai.usage."
CALLS = [
    Call(
        "reasoning and cache",
        "gpt-5",
        "openai",
        ("openai", "OpenAI", "openai.chat"),
        {
            "input_tokens": 1000,
            "output_tokens": 500,
            "cache_read_tokens": 600,
            "output_reasoning_tokens": 300,
        },
        host="api.openai.com",
        table="openai",
        wire=(
            {
                "prompt_tokens": 1000,
                "completion_tokens": 500,
                "total_tokens": 1500,
                "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 300, "audio_tokens": 0},
            },
            {  # counts as floats and texts are counts
                "prompt_tokens": 1000.0,
                "completion_tokens": "500",
                "prompt_tokens_details": {"cached_tokens": 600.0},
                "completion_tokens_details": {"reasoning_tokens": "300"},
            },
        ),
        spans=(
            usage(
                GENAI,
                input_tokens=1000,
                output_tokens=500,
                cache_read__input_tokens=600,
                reasoning__output_tokens=300,
            ),
            usage(  # Pydantic AI
                GENAI,
                input_tokens=1000,
                output_tokens=500,
                details__cache_read_tokens=600,
                details__reasoning_tokens=300,
            ),
            usage(  # OpenLLMetry
                GENAI, prompt_tokens=1000, completion_tokens=500, cache_read_input_tokens=600
            )
            | usage(GENAI, reasoning__output_tokens=300),
        ),
        openinference=usage(
            "llm.token_count.",
            prompt=1000,
            completion=500,
            total=1500,
            prompt_details__cache_read=600,
            completion_details__reasoning=300,
        ),
        langchain={
            "input_tokens": 1000,
            "output_tokens": 500,
            "total_tokens": 1500,
            "input_token_details": {"cache_read": 600},
            "output_token_details": {"reasoning": 300},
        },
    ),
    Call(
        "sound in and out",
        "gpt-audio",
        "openai",
        ("openai",),
        {"input_tokens": 1000, "output_tokens": 500},
        {"input_audio_tokens": 900, "output_audio_tokens": 450},
        host="api.openai.com",
        table="openai",
        wire=(
            {
                "prompt_tokens": 1000,
                "completion_tokens": 500,
                "total_tokens": 1500,
                "prompt_tokens_details": {"audio_tokens": 900},
                "completion_tokens_details": {"audio_tokens": 450},
            },
        ),
        spans=(
            usage(
                GENAI,
                input_tokens=1000,
                output_tokens=500,
                audio__input_tokens=900,
                audio__output_tokens=450,
            ),
            usage(
                GENAI,
                input_tokens=1000,
                output_tokens=500,
                details__input_audio_tokens=900,
                details__output_audio_tokens=450,
            ),
        ),
        openinference=usage(
            "llm.token_count.",
            prompt=1000,
            completion=500,
            prompt_details__audio=900,
            completion_details__audio=450,
        ),
        langchain={
            "input_tokens": 1000,
            "output_tokens": 500,
            "total_tokens": 1500,
            "input_token_details": {"audio": 900},
            "output_token_details": {"audio": 450},
        },
    ),
    Call(
        "a cache kept for an hour",
        "claude-sonnet-4-5",
        "anthropic",
        ("anthropic", "Anthropic", "anthropic.messages"),
        {
            "input_tokens": 3000,
            "output_tokens": 200,
            "cache_read_tokens": 500,
            "cache_write_tokens": 1500,
        },
        {"cache_write_5m_tokens": 500, "cache_write_1h_tokens": 1000},
        host="api.anthropic.com",
        path="/v1/messages",
        table="anthropic",
        wire=(
            {
                "input_tokens": 1000,
                "output_tokens": 200,
                "cache_read_input_tokens": 500,
                "cache_creation_input_tokens": 1500,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 500,
                    "ephemeral_1h_input_tokens": 1000,
                },
            },
        ),
        spans=(
            usage(  # Anthropic's client
                GENAI,
                input_tokens=3000,
                output_tokens=200,
                cache_read__input_tokens=500,
                cache_write__input_tokens=1500,
            )
            | usage(
                "anthropic.usage.cache_creation.",
                ephemeral_5m_input_tokens=500,
                ephemeral_1h_input_tokens=1000,
            ),
        ),
        langchain={
            "input_tokens": 3000,
            "output_tokens": 200,
            "total_tokens": 3200,
            "input_token_details": {
                "cache_read": 500,
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 500,
                "ephemeral_1h_input_tokens": 1000,
            },
        },
    ),
    Call(
        "a compaction",
        "claude-opus-4-6",
        "anthropic",
        ("anthropic",),
        {"input_tokens": 203_000, "output_tokens": 4_500},
        host="api.anthropic.com",
        path="/v1/messages",
        table="anthropic",
        wire=(
            {
                "input_tokens": 23_000,
                "output_tokens": 1_000,
                "iterations": [
                    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
                    {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
                ],
            },
        ),
        spans=(
            usage(GENAI, input_tokens=23_000, output_tokens=1_000)
            | usage("anthropic.usage.compaction.", input_tokens=180_000, output_tokens=3_500),
        ),
    ),
    Call(
        "searches of the provider",
        "claude-sonnet-4-5",
        "anthropic",
        ("anthropic",),
        {"input_tokens": 1000, "output_tokens": 200},
        {"web_searches": 3},
        host="api.anthropic.com",
        path="/v1/messages",
        table="anthropic",
        wire=(
            {
                "input_tokens": 1000,
                "output_tokens": 200,
                "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1},
            },
        ),
        spans=(usage(GENAI, input_tokens=1000, output_tokens=200, details__web_searches=3),),
        langchain={"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200},
        response_metadata={
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 200,
                "cache_read_input_tokens": 0,
                "server_tool_use": {"web_search_requests": 3},
            }
        },
    ),
    Call(
        "thinking beside the answer",
        "gemini-2.5-pro",
        "gcp.gemini",
        ("gcp.gemini", "google", "google_genai", "gcp.gen_ai", "gemini", "google-gla"),
        {"input_tokens": 100, "output_tokens": 900, "output_reasoning_tokens": 800},
        host="generativelanguage.googleapis.com",
        path="/v1beta/openai/chat/completions",
        table="google",
        wire=({"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 1000},),
        spans=(
            usage(GENAI, input_tokens=100, output_tokens=900, details__thoughts_tokens=800),
            usage(GENAI, input_tokens=100, output_tokens=100, details__thoughts_tokens=800),
            usage(GENAI, input_tokens=100, output_tokens=100, total_tokens=1000),
        ),
        openinference=usage(
            "llm.token_count.",
            prompt=100,
            completion=100,
            total=1000,
            completion_details__reasoning=800,
        ),
        langchain={
            "input_tokens": 100,
            "output_tokens": 900,
            "total_tokens": 1000,
            "output_token_details": {"reasoning": 800},
        },
    ),
    Call(
        "a cache beside the input",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "aws.bedrock",
        ("aws.bedrock", "bedrock", "amazon_bedrock", "AWS"),
        {
            "input_tokens": 6000,
            "output_tokens": 200,
            "cache_read_tokens": 2000,
            "cache_write_tokens": 1000,
        },
        host="bedrock-runtime.us-east-1.amazonaws.com",
        path="/model/anthropic.claude-sonnet-4-5-20250929-v1:0/invoke",
        table="aws",
        wire=(
            {
                "input_tokens": 3000,
                "output_tokens": 200,
                "cache_read_input_tokens": 2000,
                "cache_creation_input_tokens": 1000,
            },
        ),
        scope="opentelemetry.instrumentation.botocore.bedrock-runtime",
        spans=(
            # As large as they are, the cached ones would fit into the input: they are not in it.
            usage(
                GENAI,
                input_tokens=3000,
                output_tokens=200,
                cache_read__input_tokens=2000,
                cache_creation__input_tokens=1000,
            ),
        ),
        langchain={
            "input_tokens": 6000,
            "output_tokens": 200,
            "total_tokens": 6200,
            "input_token_details": {"cache_read": 2000, "cache_creation": 1000},
        },
    ),
    Call(
        "another's wire",
        "mistral-large-latest",
        "mistral_ai",
        ("mistral_ai", "mistral", "mistralai", "MistralAI", "mistral.chat"),
        {"input_tokens": 100, "output_tokens": 50},
        host="api.mistral.ai",
        table="mistral",
        wire=({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},),
        spans=(usage(GENAI, input_tokens=100, output_tokens=50),),
        openinference=usage("llm.token_count.", prompt=100, completion=50, total=150),
        langchain={"input_tokens": 100, "output_tokens": 50, "total_tokens": 150},
    ),
    Call(
        "reasoning beside the output",
        "grok-4",
        "x_ai",
        ("x_ai", "xai", "XAI", "x-ai"),
        {"input_tokens": 100, "output_tokens": 550, "output_reasoning_tokens": 500},
        host="api.x.ai",
        table="x-ai",
        wire=(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 650,
                "completion_tokens_details": {"reasoning_tokens": 500},
            },
        ),
        spans=(
            usage(GENAI, input_tokens=100, output_tokens=550, reasoning__output_tokens=500),
            usage(GENAI, input_tokens=100, output_tokens=50, reasoning__output_tokens=500),
        ),
    ),
    Call(
        "what it charged",
        "openai/gpt-oss-120b",
        "openrouter",
        ("openrouter", "OpenRouter", "open_router"),
        {"input_tokens": 100, "output_tokens": 50},
        host="openrouter.ai",
        path="/api/v1/chat/completions",
        cost=0.0125,
        wire=(
            {"prompt_tokens": 100, "completion_tokens": 50, "cost": 0.0125, "is_byok": False},
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "cost": 0.0005,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.012},
            },
        ),
        openinference=usage("llm.token_count.", prompt=100, completion=50, total=150),
        langchain={"input_tokens": 100, "output_tokens": 50, "total_tokens": 150},
        response_metadata={
            "token_usage": {"prompt_tokens": 100, "completion_tokens": 50, "cost": 0.0125}
        },
    ),
]


def check(event: Any, call: Call) -> None:
    assert isinstance(event, PromptCallEvent)
    pricing.price(event)
    found: dict[str, Any] = {name: getattr(event, name) for name in FIELDS}
    for name in ("tokens_cached", "tokens_cache_write", "tokens_reasoning"):
        found[name] = found[name] or 0
    found["usage"] = found["usage"] or {}
    found["cost_source"] = (found["cost_source"] or "").split(" ")[0]
    assert found == call.expected()
    assert event.warnings == ()


def each(of: Callable[[Call], Any]) -> Any:
    """Every call and each of its forms at one door."""
    forms = [(call, form) for call in CALLS for form in of(call)]
    assert forms
    return pytest.mark.parametrize(
        ("call", "form"), forms, ids=[f"{call.name}: {n}" for n, (call, _) in enumerate(forms)]
    )


@each(lambda call: call.wire)
def test_at_the_wire(call: Call, form: dict[str, Any]) -> None:
    body = {"id": "1", "model": call.model, "usage": form}
    if "messages" in call.path or "/model/" in call.path:
        body |= {"type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn"}
        asked: Any = {"model": call.model, "max_tokens": 9, "messages": USER}
        if "/model/" in call.path:
            asked |= {"anthropic_version": "bedrock-2023-05-31"}
    else:
        body |= {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]}
        asked = {"model": call.model, "messages": USER}
    case = Case(call.name, call.path, asked, {}, js(body), headers=JSON, host=call.host)
    check(record(case, 0), call)


@each(lambda call: [(form, name) for form in call.spans for name in call.spellings])
def test_spans(
    call: Call, form: tuple[dict[str, Any], str], events: CapturedEvents, provider: TracerProvider
) -> None:
    counts, spelling = form
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": call.model,
        "gen_ai.response.model": call.model,
        "gen_ai.provider.name": spelling,
        **counts,
    }
    with provider.get_tracer(call.scope).start_as_current_span("chat", attributes=attributes):
        pass
    check(events[0], call)


@each(lambda call: call.spellings if call.openinference else ())
def test_openinference(
    call: Call, form: str, events: CapturedEvents, provider: TracerProvider
) -> None:
    answered = {"usage": call.wire[0]} if call.cost is not None else {}
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": call.model,
        "llm.provider": form,
        "output.value": json.dumps(answered),
        **call.openinference,
    }
    with provider.get_tracer("tests").start_as_current_span("chat", attributes=attributes):
        pass
    check(events[0], call)


class Told(BaseChatModel):
    """A chat model of LangChain that answers what it is told to."""

    call: Any
    provider: str

    @property
    def _llm_type(self) -> str:
        return "told"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.call.model}

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        said = AIMessage(
            "x",
            usage_metadata=self.call.langchain,
            response_metadata={"model_name": self.call.model, **self.call.response_metadata},
        )
        return ChatResult(generations=[ChatGeneration(message=said)])


@each(lambda call: call.spellings if call.langchain else ())
def test_langchain(call: Call, form: str, events: CapturedEvents, client: Client) -> None:
    Told(call=call, provider=form).invoke(
        "x", config={"callbacks": [LLMObsCallbackHandler(client)]}
    )
    check(events[0], call)


@each(lambda call: call.spellings)
def test_told_by_the_caller(call: Call, form: str, events: CapturedEvents, client: Client) -> None:
    counts = call.expected()
    more: dict[str, Any] = {} if call.cost is None else {"cost_usd": call.cost}
    client.log_prompt_call(
        "run",
        "x",
        call.model,
        "y",
        counts["tokens_input"],
        counts["tokens_output"],
        provider=form,
        tokens_cached=counts["tokens_cached"],
        tokens_cache_write=counts["tokens_cache_write"],
        tokens_reasoning=counts["tokens_reasoning"],
        usage=call.usage,
        **more,
    )
    [event] = events
    if call.cost is not None:
        assert isinstance(event, PromptCallEvent)
        event.cost_source = "provider"  # it is the caller who says so
    check(event, call)


def test_langchain_tells_where_it_asks(events: CapturedEvents, client: Client) -> None:
    """A server of one's own behind a client of OpenAI has no price of OpenAI's."""

    class Elsewhere(Told):
        base_url: str = "http://localhost:8000/v1"

        @classmethod
        def is_lc_serializable(cls) -> bool:
            return True

    call = replace(CALLS[0], model="gpt-oss-120b")
    handler = LLMObsCallbackHandler(client)
    Elsewhere(call=call, provider="openai", base_url="https://10.0.0.7:8000/v1").invoke(
        "x", config={"callbacks": [handler]}
    )
    event = events[0]
    assert isinstance(event, PromptCallEvent)
    assert (event.server_address, event.cost_usd) == ("10.0.0.7", None)


def test_the_callers_cost_wins_over_the_providers(client: Client) -> None:
    body = {"model": "m", "choices": [], "usage": {"prompt_tokens": 1, "cost": 0.5}}
    mock = httpx2.MockTransport(lambda request: httpx2.Response(200, json=body))
    told: list[dict[str, Any]] = [{}, {"cost_usd": 0.25}]
    with (
        capture_events() as events,
        httpx2.Client(transport=RecordingTransport(mock, llmobs_client=client)) as http,
        client.run() as run,
    ):
        for cost in told:
            with run.prompt_call(model="m", prompt="x") as call:
                http.post("https://openrouter.ai/api/v1/chat/completions", json={"model": "m"})
                call.finish(response="y", **cost)
    found = [(event.cost_usd, event.cost_source) for event in events.of(PromptCallEvent)]
    assert found == [(0.5, "provider"), (0.25, "caller")]


def test_parts_of_another_count_are_not_mixed_in(client: Client) -> None:
    """A caller who counts otherwise than the provider: its parts would not fit."""
    inside = {"cached_tokens": 900, "audio_tokens": 50}
    told = {"prompt_tokens": 1000, "completion_tokens": 9, "prompt_tokens_details": inside}
    body = {"model": "gpt-4o", "choices": [], "usage": told}
    mock = httpx2.MockTransport(lambda request: httpx2.Response(200, json=body))
    with (
        capture_events() as events,
        httpx2.Client(transport=RecordingTransport(mock, llmobs_client=client)) as http,
        client.run() as run,
    ):
        for tokens in (None, 1000, 5):
            with run.prompt_call(model="gpt-4o", prompt="x") as call:
                http.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o"})
                call.finish(response="y", tokens_input=tokens)
    found = [
        (event.tokens_input, event.tokens_cached, event.usage, event.cost_usd is not None)
        for event in events.of(PromptCallEvent)
    ]
    sound = {"input_audio_tokens": 50}
    assert found == [(1000, 900, sound, True), (1000, 900, sound, True), (5, None, None, True)]
