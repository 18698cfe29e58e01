"""Logfire: one log an event, the cheapest thing it sends."""

from __future__ import annotations

from types import ModuleType
from typing import Any

HOW = "logfire.info with GenAI attributes, its scrubbing on, nothing on the console, force_flush"


class Logfire:
    """The module, which is the client."""

    def __init__(self, module: ModuleType) -> None:
        self._logfire = module

    def log(
        self, run_id: str, prompt: str, model: str, response: str, tokens_input: int,
        tokens_output: int, latency_ms: float, *, cost_usd: float, metadata: dict[str, Any],
        tags: list[str],
    ) -> None:  # fmt: skip
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.conversation.id": run_id,
            "gen_ai.request.model": model,
            "gen_ai.input.messages": prompt,
            "gen_ai.output.messages": response,
            "gen_ai.usage.input_tokens": tokens_input,
            "gen_ai.usage.output_tokens": tokens_output,
            "latency_ms": latency_ms,
            "cost_usd": cost_usd,
            "metadata": metadata,
        }
        self._logfire.info("chat", _tags=tags, **attributes)

    def flush(self) -> None:
        self._logfire.force_flush()

    def close(self) -> None:
        self._logfire.shutdown()


def make(url: str) -> Logfire:
    """Send to *url*."""
    import logfire

    logfire.configure(
        token="benchmarks",
        console=False,
        advanced=logfire.AdvancedOptions(base_url=url),
    )
    return Logfire(logfire)
