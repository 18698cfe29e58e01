"""
Token counts, brought to one rule: cached tokens are part of the input, reasoning of the output.

OpenAI counts that way; Anthropic's ``input_tokens`` leaves out what was read from the cache and
written to it (API reference, "Prompt caching"). What a provider got wrong is left out and named.
"""

from typing import Any

from llmobs.contrib._wire.wire import Fields, as_count, as_dict

__all__ = ["anthropic_usage", "openai_usage"]


class _Counts:
    """Reads counts and collects what was wrong with them."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def read(self, name: str, *values: Any) -> int | None:
        """Return the first of *values* that is there, if it is a count."""
        for value in values:
            if value is None:
                continue
            count = as_count(value)
            if count is None:
                self.warnings.append(f"usage: {name} is not a count; left out")
            return count
        return None

    def part(self, name: str, count: int | None, whole: int | None) -> int | None:
        """Return *count* if it can be a part of *whole*."""
        if count is not None and count > (whole or 0):
            self.warnings.append(f"usage: {name} is more than the whole; left out")
            return None
        return count


def openai_usage(value: Any) -> Fields:
    """Read ``usage`` of chat completions, completions, embeddings, responses and their relatives."""
    usage = as_dict(value)
    if not usage:
        return {}
    counts = _Counts()
    inside = as_dict(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    outside = as_dict(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    taken = counts.read("input", usage.get("prompt_tokens"), usage.get("input_tokens"))
    given = counts.read("output", usage.get("completion_tokens"), usage.get("output_tokens"))
    cached = counts.read(
        "cached",
        inside.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cached_tokens"),  # Moonshot
    )
    written = counts.read("cache write", inside.get("cache_write_tokens"))
    reasoning = counts.read("reasoning", outside.get("reasoning_tokens"))
    total = counts.read("total", usage.get("total_tokens"))
    if total is not None and total != (taken or 0) + (given or 0):
        if given is not None and reasoning and total == (taken or 0) + given + reasoning:
            given += reasoning  # xAI counts reasoning beside the output, not inside
        else:
            counts.warnings.append("usage: the total is not the sum of its parts")
    fields: Fields = {
        "tokens_input": taken,
        "tokens_output": given,
        "tokens_cached": counts.part("cached", cached, taken),
        "tokens_cache_write": counts.part("cache write", written, taken),
        "tokens_reasoning": counts.part("reasoning", reasoning, given),
    }
    return {**fields, "warnings": tuple(counts.warnings)}


def anthropic_usage(value: Any) -> Fields:
    """Read ``usage`` of Anthropic's messages."""
    usage = as_dict(value)
    if not usage:
        return {}
    counts = _Counts()
    fresh = counts.read("input", usage.get("input_tokens"))
    cached = counts.read("cached", usage.get("cache_read_input_tokens"))
    written = counts.read("cache write", usage.get("cache_creation_input_tokens"))
    given = counts.read("output", usage.get("output_tokens"))
    details = as_dict(usage.get("output_tokens_details"))
    thinking = counts.read("reasoning", details.get("thinking_tokens"))
    fields: Fields = {
        "tokens_input": None if fresh is None else fresh + (cached or 0) + (written or 0),
        "tokens_output": given,
        "tokens_cached": cached,
        "tokens_cache_write": written,
        "tokens_reasoning": counts.part("reasoning", thinking, given),
    }
    return {**fields, "warnings": tuple(counts.warnings)}
