"""
What a call used, brought to one rule: cached tokens are part of the input, reasoning of the output.

OpenAI counts that way; Anthropic's ``input_tokens`` leaves out what was read from the cache and
written to it (API reference, "Prompt caching"). What a provider got wrong is left out and named.
What has no field of its own goes to `llmobs.events.PromptCallEvent.usage`, under the names there.
What the provider says it charged is the cost.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmobs.contrib._wire.wire import Fields
from llmobs.recorded.jsontext import MAX_COUNT, Json, as_count, as_list, as_object

__all__ = [
    "PROVIDER",
    "amount",
    "anthropic_usage",
    "cohere_usage",
    "gemini_usage",
    "llama_cpp_usage",
    "mistral_usage",
    "ollama_usage",
    "openai_usage",
    "spoken_characters",
]

PROVIDER: Final = "provider"
"""``cost_source`` of a cost that the provider itself told."""

_TICKS_PER_DOLLAR: Final = 10**10
"""xAI, "Cost tracking"."""
_MODALITIES: Final = ("text", "audio", "image", "video")


class _Counts:
    """Reads counts and collects what was wrong with them."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.more: dict[str, int] = {}

    def read(self, name: str, *values: Any) -> int | None:
        """Return the first of *values* that is there, if it is a count."""
        for value in values:
            if value is None:
                continue
            found = as_count(value)
            if found is None:
                self.warnings.append(f"usage: {name} is not a count; left out")
            return found
        return None

    def part(self, name: str, count: int | None, whole: int | None) -> int | None:
        """Return *count* if it can be a part of *whole*."""
        if count is not None and count > (whole or 0):
            self.warnings.append(f"usage: {name} is more than the whole; left out")
            return None
        return count

    def add(self, name: str, *values: Any, whole: int | None = MAX_COUNT) -> None:
        """Add the first of *values* to what has no field of its own, if it is more than nothing."""
        words = name.removesuffix("_tokens").replace("_", " ")
        if found := self.part(words, self.read(words, *values), whole):
            self.more[name] = self.more.get(name, 0) + found

    def add_kinds(self, name: str, details: Json, whole: int | None) -> None:
        """Add what *details* say of text, audio and pictures; *name* has a ``{}`` for the kind."""
        for kind in _MODALITIES:
            self.add(name.format(kind), details.get(f"{kind}_tokens"), whole=whole)

    def fields(self, fields: Fields) -> Fields:
        more = {"usage": self.more} if self.more else {}
        return {**fields, **more, "warnings": tuple(self.warnings)}


def openai_usage(body: Json) -> Fields:
    """
    Read what an answer says of its usage: ``usage``, and the hosted tools it names.

    For chat completions, completions, embeddings, responses, transcriptions, pictures, and their
    relatives at other providers (API reference of each; of OpenRouter "Usage accounting", of
    Perplexity "Pricing", of xAI "Cost tracking").
    """
    usage = as_object(body.get("usage"))
    counts = _Counts()
    fields: Fields = {}
    if usage:
        fields = {**_openai_tokens(usage, body, counts), **_cost(usage)}
    _hosted_tools(usage, body, counts)
    _durations(usage, body, counts)
    return counts.fields(fields) if fields or counts.more else {}


def _openai_tokens(usage: Json, body: Json, counts: _Counts) -> Fields:
    inside = _first(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    outside = _first(
        usage, "completion_tokens_details", "output_tokens_details", "output_token_details"
    )
    taken = counts.read("input", usage.get("prompt_tokens"), usage.get("input_tokens"))
    given = counts.read("output", usage.get("completion_tokens"), usage.get("output_tokens"))
    cached = counts.read(
        "cached",
        inside.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cached_tokens"),  # Moonshot
        usage.get("cache_read_input_tokens"),  # LiteLLM, Databricks
    )
    written = counts.read(
        "cache write",
        inside.get("cache_write_tokens"),
        inside.get("cache_creation_tokens"),  # LiteLLM
        usage.get("cache_creation_input_tokens"),
    )
    reasoning = counts.read("reasoning", outside.get("reasoning_tokens"))
    total = counts.read("total", usage.get("total_tokens"))
    if not usage.keys().isdisjoint({"citation_tokens", "num_search_queries"}):  # Perplexity
        reasoning = counts.read("reasoning", usage.get("reasoning_tokens"), reasoning)
        citations = counts.read("citation", usage.get("citation_tokens"))
        if given is not None:  # it counts both beside the output, and not in the total
            given += (reasoning or 0) + (citations or 0)
        counts.add("output_citation_tokens", citations, whole=given)
        counts.add("web_searches", usage.get("num_search_queries"))
    elif total is not None and taken is given is None and as_list(body.get("data")):
        taken = total  # Voyage and others tell of embeddings only the total
    elif total is not None and total != (taken or 0) + (given or 0):
        beside = total - (taken or 0) - (given or 0)
        if given is not None and beside > 0 and beside == reasoning:
            given += beside  # xAI counts reasoning beside the output, not inside
        elif given is not None and beside > 0 and not reasoning and _is_gemini(body):
            reasoning = beside  # Gemini's compatible endpoint does not even name it
            given += reasoning
        else:
            counts.warnings.append("usage: the total is not the sum of its parts")
    counts.add_kinds("input_{}_tokens", inside, taken)
    counts.add_kinds("output_{}_tokens", outside, given)
    counts.add_kinds("cache_{}_read_tokens", as_object(inside.get("cached_tokens_details")), cached)
    _cache_lifetimes(as_object(inside.get("cache_creation_token_details")), written, counts)
    return {
        "tokens_input": taken,
        "tokens_output": given,
        "tokens_cached": counts.part("cached", cached, taken),
        "tokens_cache_write": counts.part("cache write", written, taken),
        "tokens_reasoning": counts.part("reasoning", reasoning, given),
    }


def _first(usage: Json, *names: str) -> Json:
    return next((found for name in names if (found := as_object(usage.get(name)))), {})


def _is_gemini(body: Json) -> bool:
    return "gemini" in str(body.get("model"))


def _cost(usage: Json) -> Fields:
    """Return what the provider says it charged, in US dollars."""
    cost = usage.get("cost")
    charged = amount(cost)
    if type(cost) is dict:  # Perplexity
        charged = amount(cost.get("total_cost"))
    elif charged is not None and usage.get("is_byok") is True:
        # OpenRouter with the caller's own key: its fee; the rest is on the other provider's bill.
        upstream = amount(as_object(usage.get("cost_details")).get("upstream_inference_cost"))
        charged = None if upstream is None else charged + upstream
    elif cost is None:
        ticks = amount(usage.get("cost_in_usd_ticks"))
        # Last, DeepInfra's.
        charged = (
            amount(usage.get("estimated_cost")) if ticks is None else ticks / _TICKS_PER_DOLLAR
        )
    return {} if charged is None else {"cost_usd": charged, "cost_source": PROVIDER}


def amount(value: Any) -> float | None:
    """Return *value* as an amount: a number, also one written as text (gateways that keep decimals)."""
    given = value
    if type(value) is str and len(value) < 32:
        try:
            given = float(value)
        except ValueError:
            return None
    known = type(given) in (int, float) and 0 <= given <= MAX_COUNT * _TICKS_PER_DOLLAR
    return float(given) if known else None


_TOOL_ITEMS: Final = {
    "code_interpreter_call": "code_executions",
    "file_search_call": "storage_searches",
    "image_generation_call": "image_generations",
    "web_search_call": "web_searches",
    "x_search_call": "social_searches",
}
_XAI_TOOLS: Final = {
    "code_interpreter_calls": "code_executions",
    "file_search_calls": "storage_searches",
    "web_search_calls": "web_searches",
    "x_search_calls": "social_searches",
}


def _hosted_tools(usage: Json, body: Json, counts: _Counts) -> None:
    """Count what the provider did on the way and charges for by the piece."""
    if tools := as_object(usage.get("server_side_tool_usage_details")):  # xAI
        for name, ours in _XAI_TOOLS.items():
            counts.add(ours, tools.get(name))
        return
    asked = as_object(usage.get("server_tool_use"))  # OpenRouter, LiteLLM
    counts.add("web_searches", asked.get("web_search_requests"))
    billed = as_object(as_object(body.get("tool_usage")).get("web_search")).get("num_requests")
    counts.add("web_searches", billed)
    if "-search-preview" in str(body.get("model")) or "-search-api" in str(body.get("model")):
        counts.more.setdefault("web_searches", 1)  # OpenAI: these models search in each call
    for item in map(as_object, as_list(body.get("output"))):
        kind = _TOOL_ITEMS.get(str(item.get("type")))
        if kind == "web_searches" and (billed is not None or not _searched(item)):
            continue
        if kind is not None:
            counts.add(kind, 1)


def _searched(item: Json) -> bool:
    """Whether a web search call searched: opening what was found costs nothing."""
    return bool(as_object(item.get("action")).get("type", "search") == "search")


def _durations(usage: Json, body: Json, counts: _Counts) -> None:
    """Read how long the sound was: transcriptions are charged by the second."""
    reported = (usage.get("seconds"), usage.get("prompt_audio_seconds"), body.get("duration"))
    for value in reported:
        try:
            seconds = math.nan if type(value) not in (int, float, str) else float(str(value))
        except ValueError:
            continue
        if 0 < seconds < MAX_COUNT:
            counts.add("audio_seconds", max(1, round(seconds)))
            return


def spoken_characters(body: Json) -> Fields:
    """Read from the request for speech how much is to be said: some charge by the character."""
    text = body.get("input")
    if type(text) is str and text and body.get("voice"):
        return {"usage": {"input_characters": len(text)}}
    return {}


def anthropic_usage(value: Any) -> Fields:
    """
    Read ``usage`` of Anthropic's messages.

    The summary of a compaction is not in its totals, but on the bill (API reference,
    "Compaction"); so is what an advisor used, at the price of another model ("Advisor tool").
    """
    usage = as_object(value)
    if not usage:
        return {}
    counts = _Counts()
    iterations = [as_object(each) for each in as_list(usage.get("iterations"))]
    rounds = [usage, *(each for each in iterations if each.get("type") == "compaction")]
    fresh = _added(counts.read("input", each.get("input_tokens")) for each in rounds)
    cached = _added(counts.read("cached", each.get("cache_read_input_tokens")) for each in rounds)
    written = _added(
        counts.read("cache write", each.get("cache_creation_input_tokens")) for each in rounds
    )
    given = _added(counts.read("output", each.get("output_tokens")) for each in rounds)
    if len(rounds) > 1:  # a part of what was used is not known to be the whole
        fresh = None if usage.get("input_tokens") is None else fresh
        given = None if usage.get("output_tokens") is None else given
    details = as_object(usage.get("output_tokens_details"))
    thinking = counts.read("reasoning", details.get("thinking_tokens"))
    for each in rounds:
        _cache_lifetimes(as_object(each.get("cache_creation")), written, counts)
    for each in iterations:
        if each.get("type") == "advisor_message":
            for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
                counts.add("advisor_input_tokens", each.get(name))
            counts.add("advisor_output_tokens", each.get("output_tokens"))
    tools = as_object(usage.get("server_tool_use"))
    counts.add("web_searches", tools.get("web_search_requests"))
    counts.add("code_executions", tools.get("code_execution_requests"))
    return counts.fields(
        {
            "tokens_input": None if fresh is None else fresh + (cached or 0) + (written or 0),
            "tokens_output": given,
            "tokens_cached": cached,
            "tokens_cache_write": written,
            "tokens_reasoning": counts.part("reasoning", thinking, given),
        }
    )


def gemini_usage(body: Json) -> Fields:
    """
    Read ``usageMetadata`` of Gemini's answers.

    What was cached is within ``promptTokenCount``; thoughts are beside the candidates, and what
    tools brought beside the prompt (Gemini API reference, "UsageMetadata"). Zeros are left out.
    Searches are charged by the query from Gemini 3 on, before by the prompt ("Pricing").
    """
    usage = as_object(body.get("usageMetadata"))
    counts = _Counts()
    prompt = counts.read("input", usage.get("promptTokenCount"))
    tools = counts.read("tools", usage.get("toolUsePromptTokenCount"))
    said = counts.read("output", usage.get("candidatesTokenCount"))
    thoughts = counts.read("reasoning", usage.get("thoughtsTokenCount"))
    cached = counts.read("cached", usage.get("cachedContentTokenCount"))
    total = counts.read("total", usage.get("totalTokenCount"))
    taken = _added((prompt, tools))
    given = _added((said, thoughts))
    if total is not None:
        if given is None and total == (taken or 0) and not counts.warnings:
            given = 0
        if total != (taken or 0) + (given or 0):
            counts.warnings.append("usage: the total is not the sum of its parts")
    counts.add("input_tool_tokens", tools, whole=taken)
    for name, kind, whole in (
        ("promptTokensDetails", "input_{}_tokens", taken),
        ("toolUsePromptTokensDetails", "input_{}_tokens", taken),
        ("cacheTokensDetails", "cache_{}_read_tokens", cached),
        ("candidatesTokensDetails", "output_{}_tokens", given),
    ):
        for each in map(as_object, as_list(usage.get(name))):
            modality = str(each.get("modality")).lower()
            if modality in _MODALITIES:
                counts.add(kind.format(modality), each.get("tokenCount"), whole=whole)
    for candidate in map(as_object, as_list(body.get("candidates"))):
        queries = as_list(as_object(candidate.get("groundingMetadata")).get("webSearchQueries"))
        by_prompt = str(body.get("modelVersion")).startswith(("gemini-1", "gemini-2"))
        counts.add("web_searches", min(len(queries), 1) if by_prompt else len(queries))
    return counts.fields(
        {
            "tokens_input": taken,
            "tokens_output": given,
            "tokens_cached": counts.part("cached", cached, taken),
            "tokens_reasoning": counts.part("reasoning", thoughts, given),
        }
    )


def ollama_usage(body: Json) -> Fields:
    """Read the counts of Ollama's answers, which stand beside their content."""
    counts = _Counts()
    taken = counts.read("input", body.get("prompt_eval_count"))
    given = counts.read("output", body.get("eval_count"))
    return counts.fields({"tokens_input": taken, "tokens_output": given})


def llama_cpp_usage(answered: list[Json]) -> Fields:
    """Read the counts of llama.cpp's own answers, to one prompt or several."""
    counts = _Counts()
    timed = [(each, as_object(each.get("timings"))) for each in answered]
    taken = [counts.read("input", each.get("tokens_evaluated")) for each, _ in timed]
    given = [counts.read("output", each.get("tokens_predicted")) for each, _ in timed]
    cached = [counts.read("cached", timings.get("cache_n")) for _, timings in timed]
    return counts.fields(
        {
            "tokens_input": (whole := _added(taken)),
            "tokens_output": _added(given),
            "tokens_cached": counts.part("cached", _added(cached), whole),
        }
    )


def cohere_usage(body: Json) -> Fields:
    """
    Read ``usage`` of Cohere's chat, ``meta`` of its other answers.

    Where a provider tells both what was used and what is billed, the conventions want the latter.
    """
    reported = as_object(body.get("usage")) or as_object(body.get("meta"))
    billed, used = as_object(reported.get("billed_units")), as_object(reported.get("tokens"))
    if not (billed or used):
        return {}
    counts = _Counts()
    taken = counts.read("input", billed.get("input_tokens"), used.get("input_tokens"))
    pictures = counts.read("image", billed.get("image_tokens"))
    if pictures:
        taken = (taken or 0) + pictures
        counts.add("input_image_tokens", pictures, whole=taken)
    given = counts.read("output", billed.get("output_tokens"), used.get("output_tokens"))
    counts.add("rerank_searches", billed.get("search_units"))
    return counts.fields(
        {
            "tokens_input": taken,
            "tokens_output": given,
            "tokens_cached": counts.part(
                "cached", counts.read("cached", reported.get("cached_tokens")), taken
            ),
        }
    )


def mistral_usage(body: Json) -> Fields:
    """
    Read ``usage`` of Mistral's conversations, whose connectors read beside the prompt, and
    ``usage_info`` of text recognition, which is charged by the page.
    """
    if pages := as_object(body.get("usage_info")):
        counts = _Counts()
        counts.add("input_document_pages", pages.get("pages_processed"))
        return counts.fields({})
    usage = as_object(body.get("usage"))
    if not usage:
        return {}
    counts = _Counts()
    taken = counts.read("input", usage.get("prompt_tokens"))
    tools = counts.read("connector", usage.get("connector_tokens"))
    if tools:
        taken = (taken or 0) + tools
        counts.add("input_tool_tokens", tools, whole=taken)
    counts.add("web_searches", as_object(usage.get("connectors")).get("web_search"))
    return counts.fields(
        {
            "tokens_input": taken,
            "tokens_output": counts.read("output", usage.get("completion_tokens")),
        }
    )


def _added(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _cache_lifetimes(details: Mapping[str, Any], written: int | None, counts: _Counts) -> None:
    for lifetime in ("5m", "1h"):
        tokens = details.get(f"ephemeral_{lifetime}_input_tokens")
        counts.add(f"cache_write_{lifetime}_tokens", tokens, whole=written)
