"""LangSmith's client: `create_run` with complete runs, its cheapest path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from langsmith import Client

HOW = (
    "create_run with complete runs (trace_id and dotted_order given, else each call is a request "
    "of its own), zstd as the hosted service offers it, flush"
)


class LangSmith:
    """One client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def log(
        self, run_id: str, prompt: str, model: str, response: str, tokens_input: int,
        tokens_output: int, latency_ms: float, *, cost_usd: float, metadata: dict[str, Any],
        tags: list[str],
    ) -> None:  # fmt: skip
        now = datetime.now(UTC)
        began = now - timedelta(milliseconds=latency_ms)
        identifier = uuid4()
        self._client.create_run(
            name=f"chat {model}",
            run_type="llm",
            project_name="benchmarks",
            id=identifier,
            trace_id=identifier,
            dotted_order=f"{began:%Y%m%dT%H%M%S%fZ}{identifier}",
            start_time=began,
            end_time=now,
            inputs={"messages": [{"role": "user", "content": prompt}]},
            outputs={
                "messages": [{"role": "assistant", "content": response}],
                "usage_metadata": {
                    "input_tokens": tokens_input,
                    "output_tokens": tokens_output,
                    "total_tokens": tokens_input + tokens_output,
                    "total_cost": cost_usd,
                },
            },
            tags=tags,
            extra={"metadata": {**metadata, "session_id": run_id, "ls_model_name": model}},
        )

    def flush(self) -> None:
        self._client.flush()

    def close(self) -> None:
        self._client.close()


def make(url: str) -> LangSmith:
    """Send to *url*."""
    from langsmith import Client

    return LangSmith(Client(api_url=url, api_key="benchmarks"))
