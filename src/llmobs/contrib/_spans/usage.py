"""
What spans say of usage, in the words of the conventions and of those who add their own.

Those are Anthropic's client, Pydantic AI (``gen_ai.usage.details.*``), OpenLLMetry, LangSmith, the AWS
SDK's instrumentation, and OpenInference (``llm.token_count.*``).
"""

from collections.abc import Mapping
from typing import Any, Final

from llmobs.contrib._spans.flat import read_json
from llmobs.contrib._wire.usage import anthropic_usage, openai_usage
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_count, as_object
from llmobs.recorded.providers import provider_name

__all__ = ["genai_usage", "inference_usage"]

Attributes = Mapping[str, Any]

_DETAILS: Final = semconv.USAGE_DETAILS_PREFIX
_BESIDE_SCOPES: Final = (
    "opentelemetry.instrumentation.botocore",
    "opentelemetry.instrumentation.bedrock",
)
"""
Who writes down what Bedrock answers: its ``inputTokens`` leave out the cache (Converse API,
``TokenUsage``), whatever the conventions say.
"""

_OTHER_COUNTS: Final[dict[str, tuple[str, ...]]] = {
    # ours: theirs
    **{
        kind: (semconv.USAGE_BY_KIND.get(kind, ""), _DETAILS + kind)
        for kind in (
            "audio_seconds", "cache_audio_read_tokens", "cache_image_read_tokens",
            "cache_text_read_tokens", "code_executions", "input_audio_tokens", "input_characters",
            "input_image_tokens", "input_text_tokens", "input_video_tokens", "output_audio_tokens",
            "output_citation_tokens", "output_image_tokens", "output_text_tokens",
            "output_video_tokens", "social_searches", "storage_searches",
        )
    },
    "web_searches": (f"{_DETAILS}web_searches", f"{_DETAILS}web_search_requests"),
    "cache_write_5m_tokens": ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
    "cache_write_1h_tokens": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
}  # fmt: skip
for _kind in ("text", "audio", "image", "video"):  # Pydantic AI's names of Gemini's counts
    for _ours, _theirs in (
        ("input_{}_tokens", "{}_prompt_tokens"),
        ("output_{}_tokens", "{}_candidates_tokens"),
        ("cache_{}_read_tokens", "{}_cache_tokens"),
    ):
        _name = _ours.format(_kind)
        _OTHER_COUNTS[_name] = (*_OTHER_COUNTS.get(_name, ()), _DETAILS + _theirs.format(_kind))


def genai_usage(attributes: Attributes, scope: str) -> Fields:
    """
    Read the usage of a span of the GenAI conventions.

    Args:
        attributes: The span's.
        scope: Who wrote it, the name of its instrumentation scope.
    """

    get = attributes.get

    def first(*names: str) -> int | None:
        for name in names:  # mostly not there
            value = get(name)
            if value is not None and (number := as_count(value)) is not None:
                return number
        return None

    taken = first(semconv.USAGE_INPUT_TOKENS, semconv.USAGE_PROMPT_TOKENS)
    given = first(semconv.USAGE_OUTPUT_TOKENS, semconv.USAGE_COMPLETION_TOKENS)
    if _LESS_COMMON.isdisjoint(attributes):  # most say no more
        return {
            "tokens_input": taken,
            "tokens_output": given,
            "tokens_cached": None,
            "tokens_cache_write": None,
            "tokens_reasoning": None,
            "usage": {},
        }
    provider = get(semconv.PROVIDER_NAME) or get(semconv.SYSTEM)
    langsmith = as_object(read_json(get(_LANGSMITH)))
    input_details = as_object(langsmith.get("input_token_details"))
    output_details = as_object(langsmith.get("output_token_details"))
    cached, written, reasoning = first(*_CACHED), first(*_WRITTEN), first(*_REASONING)
    beside = provider_name(str(provider or "")) == "aws.bedrock" and scope.startswith(
        _BESIDE_SCOPES
    )
    # Anthropic's client tells compactions apart; they are on the bill.
    compacted, summaries = first(_COMPACTED), first(_SUMMARIES)
    return {
        **_inclusive(
            taken=None if taken is None else taken + (compacted or 0),
            given=None if given is None else given + (summaries or 0),
            cached=as_count(input_details.get("cache_read")) if cached is None else cached,
            written=as_count(input_details.get("cache_creation")) if written is None else written,
            reasoning=as_count(output_details.get("reasoning")) if reasoning is None else reasoning,
            total=first(*_TOTAL),
            beside=beside,
            model=attributes.get(semconv.RESPONSE_MODEL) or attributes.get(semconv.REQUEST_MODEL),
        ),
        "usage": {}
        if _OTHERS.isdisjoint(attributes)
        else {ours: found for ours, theirs in _OTHER_COUNTS.items() if (found := first(*theirs))},
    }


_OTHERS: Final = frozenset(name for theirs in _OTHER_COUNTS.values() for name in theirs)
_CACHED: Final = (
    semconv.USAGE_CACHE_READ,
    semconv.USAGE_CACHE_READ_FLAT,
    f"{_DETAILS}cache_read_tokens",
    f"{_DETAILS}cached_tokens",
    f"{_DETAILS}cache_read_input_tokens",
    f"{_DETAILS}cached_content_tokens",
)
_WRITTEN: Final = (
    semconv.USAGE_CACHE_WRITE,
    semconv.USAGE_CACHE_CREATION,
    semconv.USAGE_CACHE_CREATION_FLAT,
    semconv.USAGE_CACHE_WRITE_FLAT,
    f"{_DETAILS}cache_write_tokens",
    f"{_DETAILS}cache_creation_input_tokens",
)
_REASONING: Final = (
    semconv.USAGE_REASONING,
    semconv.USAGE_REASONING_FLAT,
    f"{_DETAILS}reasoning_tokens",
    f"{_DETAILS}thoughts_tokens",
)
_TOTAL: Final = (semconv.USAGE_TOTAL_TOKENS, "llm.usage.total_tokens")
_COMPACTED: Final = "anthropic.usage.compaction.input_tokens"
_SUMMARIES: Final = "anthropic.usage.compaction.output_tokens"
_LANGSMITH: Final = "langsmith.metadata.usage_metadata"
_LESS_COMMON: Final = _OTHERS.union(
    _CACHED, _WRITTEN, _REASONING, _TOTAL, (_COMPACTED, _SUMMARIES, _LANGSMITH)
)
"""All that counts, but what is asked and what is answered."""


def inference_usage(attributes: Attributes, answered: Json) -> Fields:
    """
    Read the usage of a span of OpenInference.

    Args:
        attributes: The span's.
        answered: The provider's answer, where the span holds it whole: it tells more.
    """

    def read(name: str) -> int | None:
        return as_count(attributes.get(f"llm.token_count.{name}"))

    cached = read("prompt_details.cache_read")
    usage = as_object(answered.get("usage"))
    reported = (
        anthropic_usage(usage) if "cache_read_input_tokens" in usage else openai_usage(answered)
    )
    more = {
        "input_audio_tokens": read("prompt_details.audio"),
        "output_audio_tokens": read("completion_details.audio"),
    }
    cost: Fields = {
        name: reported[name] for name in ("cost_usd", "cost_source") if name in reported
    }
    fields: Fields = _inclusive(
        taken=read("prompt"),
        given=read("completion"),
        cached=read("prompt_details.cache_input") if cached is None else cached,
        written=read("prompt_details.cache_write"),
        reasoning=read("completion_details.reasoning"),
        total=read("total"),
        beside=False,
        model=attributes.get("llm.model_name"),
    )
    found = {**(reported.get("usage") or {}), **{name: n for name, n in more.items() if n}}
    return {**cost, **fields, "usage": found}


def _inclusive(
    *,
    taken: int | None,
    given: int | None,
    cached: int | None,
    written: int | None,
    reasoning: int | None,
    total: int | None,
    beside: bool,
    model: Any,
) -> Fields:
    """Bring counts to the inclusive rule; *beside* says that the cache is not in the input yet."""
    parts = (cached or 0) + (written or 0)
    # The rule is to include them. Who is not known to break it breaks it where they do not fit.
    if taken is not None and (beside or parts > taken):
        taken += parts
    hidden = 0 if total is None else total - (taken or 0) - (given or 0)
    if given is not None and reasoning and (reasoning > given or hidden == reasoning):
        given += reasoning
    elif given is not None and not reasoning and hidden > 0 and "gemini" in str(model):
        reasoning, given = hidden, given + hidden
    return {
        "tokens_input": taken,
        "tokens_output": given,
        "tokens_cached": cached,
        "tokens_cache_write": written,
        "tokens_reasoning": reasoning,
    }
