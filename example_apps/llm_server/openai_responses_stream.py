"""The stream of a response object: its life cycle, and each output item grown piece by piece.

Wire rules: the OpenAI API reference, "Responses streaming events".
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from . import tokens
from .conversation import Event, Json


def events(response: Json) -> Iterator[Event]:
    """Every event of `response`, numbered, from `response.created` to its end."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    begun |= {"completed_at": None, "incomplete_details": None}
    numbers = count()
    unnumbered = [
        _event("response.created", response=begun),
        _event("response.in_progress", response=begun),
        *(event for index, item in enumerate(response["output"]) for event in _item(index, item)),
        _event(f"response.{response['status']}", response=response),
    ]
    for name, data, is_token in unnumbered:
        yield Event({**data, "sequence_number": next(numbers)}, name, is_token=is_token)


_Unnumbered = tuple[str, Json, bool]


def _event(kind: str, /, *, is_token: bool = False, **fields: Any) -> _Unnumbered:
    return kind, {"type": kind, **fields}, is_token


def _item(index: int, item: Json) -> Iterator[_Unnumbered]:
    grow, key = _GROWING[item["type"]]
    empty = {**item, key: type(item[key])()}
    if "status" in item:
        empty["status"] = "in_progress"
    yield _event("response.output_item.added", output_index=index, item=empty)
    yield from grow(item, {"item_id": item["id"], "output_index": index})
    yield _event("response.output_item.done", output_index=index, item=item)


def _reasoning(item: Json, at: Json) -> Iterator[_Unnumbered]:
    prefix = "response.reasoning_summary"
    for place, part in enumerate(item["summary"]):
        here = {**at, "summary_index": place}
        yield _event(f"{prefix}_part.added", **here, part={**part, "text": ""})
        for piece in tokens.pieces(part["text"]):
            yield _event(f"{prefix}_text.delta", **here, delta=piece, is_token=True)
        yield _event(f"{prefix}_text.done", **here, text=part["text"])
        yield _event(f"{prefix}_part.done", **here, part=part)


def _function_call(item: Json, at: Json) -> Iterator[_Unnumbered]:
    for piece in tokens.pieces(item["arguments"]):
        yield _event("response.function_call_arguments.delta", **at, delta=piece, is_token=True)
    yield _event(
        "response.function_call_arguments.done",
        **at,
        name=item["name"],
        arguments=item["arguments"],
    )


def _message(item: Json, at: Json) -> Iterator[_Unnumbered]:
    for place, part in enumerate(item["content"]):
        here = {**at, "content_index": place}
        refused = part["type"] == "refusal"
        key, prefix = (
            ("refusal", "response.refusal") if refused else ("text", "response.output_text")
        )
        more: Json = {} if refused else {"logprobs": []}
        yield _event("response.content_part.added", **here, part={**part, key: ""})
        for piece in tokens.pieces(part[key]):
            yield _event(f"{prefix}.delta", **here, **more, delta=piece, is_token=True)
        yield _event(f"{prefix}.done", **here, **more, **{key: part[key]})
        yield _event("response.content_part.done", **here, part=part)


_GROWING = {  # how an item grows, and which of its fields is empty at first
    "reasoning": (_reasoning, "summary"),
    "function_call": (_function_call, "arguments"),
    "message": (_message, "content"),
}
