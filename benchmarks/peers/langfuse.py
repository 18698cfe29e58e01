"""Langfuse's client: one generation an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langfuse import Langfuse as Client

HOW = "start_observation(as_type='generation') and end, gzip, flush"


class Langfuse:
    """One client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def log(
        self, run_id: str, prompt: str, model: str, response: str, tokens_input: int,
        tokens_output: int, latency_ms: float, *, cost_usd: float, metadata: dict[str, Any],
        tags: list[str],
    ) -> None:  # fmt: skip
        self._client.start_observation(
            name=f"chat {model}",
            as_type="generation",
            model=model,
            input=prompt,
            output=response,
            usage_details={"input": tokens_input, "output": tokens_output},
            cost_details={"total": cost_usd},
            metadata={**metadata, "run_id": run_id, "latency_ms": latency_ms, "tags": tags},
        ).end()

    def flush(self) -> None:
        self._client.flush()

    def close(self) -> None:
        self._client.shutdown()


def make(url: str) -> Langfuse:
    """Send to *url*."""
    from langfuse import Langfuse as Client

    return Langfuse(Client(public_key="pk-lf-1", secret_key="sk-lf-1", base_url=url))
