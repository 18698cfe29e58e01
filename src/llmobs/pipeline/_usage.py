"""Token usage, normalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used, by the inclusive rule.

    ``tokens_cached`` (read from a cache) and ``tokens_cache_write`` are parts of ``tokens_input``,
    and ``tokens_reasoning`` is a part of ``tokens_output``. ``more`` is
    `llmobs.events.PromptCallEvent.usage`.
    """

    tokens_input: int
    tokens_output: int
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    tokens_reasoning: int = 0
    more: Mapping[str, int] = field(default_factory=dict)

    def is_consistent(self) -> bool:
        """Whether no count is negative and no part is larger than its whole."""
        return (
            self.tokens_cached >= 0
            and self.tokens_cache_write >= 0
            and 0 <= self.tokens_cached + self.tokens_cache_write <= self.tokens_input
            and 0 <= self.tokens_reasoning <= self.tokens_output
        )

    def counts(self) -> dict[str, int]:
        """Return what is not zero, under the names of the price table."""
        counts = {
            "input_tokens": self.tokens_input,
            "output_tokens": self.tokens_output,
            "cache_read_tokens": self.tokens_cached,
            "cache_write_tokens": self.tokens_cache_write,
            "output_reasoning_tokens": self.tokens_reasoning,
        }
        if self.more:
            counts.update(self.more)
            if seconds := self.more.get("audio_seconds"):
                # Some models have a price for sound, some for sound they hear; it is the same.
                counts["input_audio_seconds"] = seconds
        return {name: count for name, count in counts.items() if count}
