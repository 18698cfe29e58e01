"""The smaller OpenAI endpoints: legacy completions, embeddings and models."""

import base64
import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from . import tokens
from .answered import arrived
from .answers import answer
from .conversation import Answer, Event, Json, Question, Reply, Usage
from .errors import WireError
from .openai_chat import output_tokens, wire_usage
from .words import identifier, number

_COMPLETION_TOKENS = 16  # the legacy endpoint's default limit
_DIMENSIONS = {"text-embedding-3-large": 3072}
_FEATURES = 16  # places of the vector that one word touches
MODELS = {
    "openai": (
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-5-mini",
        "o3-mini",
        "text-embedding-3-small",
        "text-embedding-3-large",
    ),
    "anthropic": ("claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-8"),
}


def completions(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/completions`, for one prompt or several, plain or streamed."""
    prompts = _texts(body.get("prompt"), "prompt")
    stop = body.get("stop") or ()
    question = Question(
        text="",
        max_tokens=body.get("max_tokens") or _COMPLETION_TOKENS,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )
    answers = [
        answer(replace(question, text=text, variant=variant))
        for text in prompts
        for variant in range(body.get("n") or 1)
    ]
    usage = Usage(sum(map(tokens.count, prompts)), sum(map(output_tokens, answers)))
    head = {
        "id": identifier("cmpl-", 29, seed),
        "object": "text_completion",
        "created": arrived(),
        "model": body["model"],
        "system_fingerprint": identifier("fp_", 10, body["model"]),
    }
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = list(_completion_events(head, answers, usage, with_usage=with_usage))
        return Reply(events, usage, tuple(answers))
    choices = [
        _completion_choice(index, item.text, _finish(item)) for index, item in enumerate(answers)
    ]
    whole = {**head, "choices": choices, "usage": wire_usage(usage)}
    return Reply(whole, usage, tuple(answers))


def embeddings(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/embeddings`: texts that share words get vectors that lie close together."""
    texts = _texts(body.get("input"), "input")
    size = body.get("dimensions") or _DIMENSIONS.get(body["model"], 1536)
    as_base64 = body.get("encoding_format") == "base64"
    data = []
    for index, text in enumerate(texts):
        vector = _vector(text, size)
        packed = (
            base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if as_base64 else vector
        )
        data.append({"object": "embedding", "index": index, "embedding": packed})
    count = sum(map(tokens.count, texts))
    usage = {"prompt_tokens": count, "total_tokens": count}
    return Reply(
        {"object": "list", "data": data, "model": body["model"], "usage": usage}, Usage(count, 0)
    )


def models(*, anthropic: bool) -> Json:
    """The list of models, in the words of the provider that was asked."""
    if anthropic:
        data: list[Json] = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2025-09-29T00:00:00Z",
            }
            for name in MODELS["anthropic"]
        ]
        return {
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"],
            "last_id": data[-1]["id"],
        }
    data = [
        {"id": name, "object": "model", "created": 1_715_367_049, "owned_by": "local"}
        for name in MODELS["openai"]
    ]
    return {"object": "list", "data": data}


def _texts(value: Any, param: str) -> list[str]:
    """Read a string, several strings, a list of token ids, or several such lists."""
    if not value:
        raise WireError(
            400,
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
    if isinstance(value, str):
        return [value]
    if isinstance(value[0], int):
        return [" ".join(map(str, value))]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in value]


def _vector(text: str, size: int) -> list[float]:
    vector = [0.0] * size
    for piece in tokens.pieces(text.lower()):
        for place, sign in _features(piece.strip(), size):
            vector[place] += sign
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


@lru_cache(maxsize=10_000)
def _features(word: str, size: int) -> tuple[tuple[int, float], ...]:
    drawn = (number(word, feature) for feature in range(_FEATURES))
    return tuple((value // 2 % size, 1.0 if value % 2 else -1.0) for value in drawn)


def _finish(item: Answer) -> str:
    return "length" if item.ending == "length" else "stop"


def _completion_choice(index: int, text: str, finish: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _completion_events(
    head: Json, answers: list[Answer], usage: Usage, *, with_usage: bool
) -> Iterator[Event]:
    tail = {"usage": None} if with_usage else {}
    for index, item in enumerate(answers):
        for piece in tokens.pieces(item.text):
            yield Event(
                {**head, "choices": [_completion_choice(index, piece, None)], **tail}, is_token=True
            )
        yield Event({**head, "choices": [_completion_choice(index, "", _finish(item))], **tail})
    if with_usage:
        yield Event({**head, "choices": [], "usage": wire_usage(usage)})
    yield Event("[DONE]")
