"""Token usage, normalised."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, by the inclusive rule.

    ``tokens_cached`` (read from a cache) and ``tokens_cache_write`` are parts of ``tokens_input``,
    and ``tokens_reasoning`` is a part of ``tokens_output``.
    """

    tokens_input: int
    tokens_output: int
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    tokens_reasoning: int = 0

    def is_consistent(self) -> bool:
        """Whether no count is negative and no part is larger than its whole."""
        return (
            self.tokens_cached >= 0
            and self.tokens_cache_write >= 0
            and 0 <= self.tokens_cached + self.tokens_cache_write <= self.tokens_input
            and 0 <= self.tokens_reasoning <= self.tokens_output
        )
