"""The response headers the real providers send beside the body: request ids and rate limits."""

import time
from datetime import UTC, datetime, timedelta

from .errors import Dialect

_REQUESTS_PER_MINUTE = 500
_TOKENS_PER_MINUTE = 200_000
_REQUEST_ID = {
    Dialect.BEDROCK: "x-amzn-requestid",
    Dialect.COHERE: "x-request-id",
    Dialect.MISTRAL: "mistral-correlation-id",
    Dialect.HUGGINGFACE: "x-request-id",
    Dialect.JINA: "x-request-id",
    Dialect.VOYAGE: "x-request-id",
}
"""Those who say no more than this, and in which header."""


def standard(
    dialect: Dialect, request_id: str, *, model: str, tokens: int, started: float
) -> dict[str, str]:
    """Headers of any response, errors included.

    `tokens` is what the request used; `started` is the `time.perf_counter()` of its arrival.
    """
    if dialect is Dialect.ANTHROPIC:
        return {
            "request-id": request_id,
            "anthropic-organization-id": "00000000-0000-4000-8000-0000000000a1",
            **_anthropic_limits(tokens),
        }
    if dialect in _REQUEST_ID:
        return {_REQUEST_ID[dialect]: request_id}
    if dialect in (Dialect.GOOGLE, Dialect.OLLAMA):
        return {}
    headers = {
        "x-request-id": request_id,
        "openai-processing-ms": str(round((time.perf_counter() - started) * 1000)),
        "openai-version": "2020-10-01",
        "openai-model": model,
        "openai-organization": "local-org",
        "x-ratelimit-limit-requests": str(_REQUESTS_PER_MINUTE),
        "x-ratelimit-remaining-requests": str(_REQUESTS_PER_MINUTE - 1),
        "x-ratelimit-reset-requests": f"{60_000 // _REQUESTS_PER_MINUTE}ms",
        "x-ratelimit-limit-tokens": str(_TOKENS_PER_MINUTE),
        "x-ratelimit-remaining-tokens": str(max(_TOKENS_PER_MINUTE - tokens, 0)),
        "x-ratelimit-reset-tokens": f"{tokens * 60_000 // _TOKENS_PER_MINUTE}ms",
    }
    if dialect is Dialect.AZURE:
        headers |= {"apim-request-id": request_id, "x-ms-region": "Local"}
    return headers


def _anthropic_limits(tokens: int) -> dict[str, str]:
    reset = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    limits = {"requests": (_REQUESTS_PER_MINUTE, 1)}
    limits |= dict.fromkeys(
        ("tokens", "input-tokens", "output-tokens"), (_TOKENS_PER_MINUTE, tokens)
    )
    headers: dict[str, str] = {}
    for kind, (limit, used) in limits.items():
        prefix = f"anthropic-ratelimit-{kind}"
        headers[f"{prefix}-limit"] = str(limit)
        headers[f"{prefix}-remaining"] = str(max(limit - used, 0))
        headers[f"{prefix}-reset"] = reset
    return headers
