"""What must have been recorded, judged by what the server says that it answered."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llmobs import Event, PromptCallEvent, RunEvent
from tests.contrib.sdks.table import Row

__all__ = ["compare", "fields_of"]

Answer = dict[str, Any]
_TOLD = (
    "cost_usd", "finish_reason", "latency_ms", "model", "model_version", "parameters", "prompt",
    "request_id", "response", "response_id", "time_to_first_token_ms", "tokens_cache_write",
    "tokens_cached", "tokens_input", "tokens_output", "tokens_reasoning", "tool_calls", "tools",
)  # fmt: skip


_ASKED = (
    "contents", "documents", "input", "inputText", "inputs", "instances", "instructions", "messages",
    "prompt", "query", "requests", "suffix", "system", "systemInstruction", "texts",
)  # fmt: skip
"""Where requests have what they say to a model, of all providers."""
_NOT_SAID = frozenset(
    {
        "bytes", "cache_control", "call_id", "cachePoint", "data", "id", "image", "image_url", "images", "inlineData",
        "media_type", "model", "modality", "mime_type", "name", "role", "source", "thoughtSignature",
        "type", "uri", "url",
    }
)  # fmt: skip


def fields_of(events: Sequence[Event]) -> set[str]:
    """Return the fields of calls that were recorded, of those that a reader asks for."""
    calls = [event for event in events if isinstance(event, PromptCallEvent)]
    return {name for name in _TOLD for call in calls if getattr(call, name, None) not in (None, ())}


def compare(name: str, events: Sequence[Event], answered: Sequence[Answer], row: Row) -> None:
    """
    Compare the events of one scenario with the answers to its requests.

    Raises:
        AssertionError: They are not the same.
    """
    calls = [event for event in events if isinstance(event, PromptCallEvent)]
    assert len(calls) == len(answered), f"{len(calls)} calls recorded, {len(answered)} answered"
    assert calls, "nothing was asked"
    if name in ("gather", "threads"):
        _each_in_its_own_run(events, answered, row)
        return
    runs = {event.run_id for event in events if isinstance(event, RunEvent)}
    assert {call.run_id for call in calls} == runs, "not in the run it was made in"
    for call, answer in zip(calls, answered, strict=True):
        _CHECKS.get(name, _whole)(call, answer, row)
    if name in _SHOWS:
        assert _SHOWS[name](answered), f"the server shows no {name}"
    if name == "retry":
        told = [(call.attempt, call.status) for call in calls]
        second = 1 if "attempt" in row.untold else 2
        assert told == [(1, "error"), (second, "success")], told


def _each_in_its_own_run(events: Sequence[Event], answered: Sequence[Answer], row: Row) -> None:
    names = {event.run_id: event.name for event in events if isinstance(event, RunEvent)}
    calls = [event for event in events if isinstance(event, PromptCallEvent)]
    counts = len(names), len({call.run_id for call in calls}), len(calls)
    assert counts == (20, 20, 20), f"runs, runs of calls, calls: {counts}"
    for call in calls:
        question = str(names[call.run_id])
        assert question in str(call.prompt), "in the run of another question"
        [answer] = [each for each in answered if question in str(each["asked"])]
        _whole(call, answer, row)


def _whole(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    """An answer that came to its end, or an error instead of one."""
    assert call.provider == row.provider, call.provider
    batched = call.service_tier == "batch"
    assert (answer["path"] == "a batch") == batched
    assert (call.latency_ms is None) == batched
    if "http_status" not in row.untold and not batched:  # not all tell it of each answer
        assert call.http_status == answer["status"]
    prompt = "\n".join(_said_in(call.prompt))
    for text in _said_in([answer["asked"].get(name) for name in _ASKED]):
        assert text in prompt, f"{text[:100]!r} is not in the prompt"
    if answer["status"] >= 400:
        assert call.status == "error", call.status
        assert call.error is not None
        assert answer["error"] in str(call.error.message), call.error.message
        return
    assert call.status == "success", (call.status, call.error)
    assert call.warnings == (), call.warnings
    assert call.model == answer["model"], call.model
    assert bool(call.stream) == answer["streamed"]
    said = answer["said"]
    if said:
        assert _texts(call, "text") == [each["text"] for each in said]
        if "thinking" not in row.untold:
            assert _texts(call, "reasoning") == [each["thinking"] for each in said]
        asked = [tuple(each) for one in said for each in one["calls"]]
        assert [(each["name"], each["arguments"]) for each in call.tool_calls or ()] == asked
        ending = row.endings.get(said[0]["ending"])
        assert ending is None or call.finish_reason == ending, call.finish_reason
    if answer["streamed"]:
        assert call.time_to_first_token_ms is not None
        assert call.latency_ms is not None
        assert 0 < call.time_to_first_token_ms <= call.latency_ms
    _usage(call, answer["usage"], row)


def _attempt(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    """One of a request that is made again."""
    if answer["status"] >= 400 and "why" in row.untold:
        answer = {**answer, "error": str(answer["status"])}
    _whole(call, answer, row)


def _usage(call: PromptCallEvent, usage: dict[str, int], row: Row) -> None:
    # Nothing told is None, and nothing said by the server's account.
    assert (call.tokens_input or 0) == usage["prompt"], (call.tokens_input, usage)
    assert (call.tokens_output or 0) == usage["output"], (call.tokens_output, usage)
    for field, word, untold in (
        ("tokens_cached", "cache_read", "cache_read"),
        ("tokens_cache_write", "cache_write", "cache_write"),
        ("tokens_reasoning", "thinking", "reasoning"),
    ):
        if untold not in row.untold:
            assert (getattr(call, field) or 0) == usage[word], (field, getattr(call, field), usage)


def _uncounted(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    """A stream that was not asked for its tokens, so that nobody told any."""
    assert call.tokens_input is None
    assert call.tokens_output is None
    _whole(call, {**answer, "usage": dict.fromkeys(answer["usage"], 0)}, row)


def _counted(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    """A count of tokens spends none: a run's totals must not hold them."""
    assert call.operation == "count_tokens"
    assert call.tokens_input is None
    assert call.response_metadata == {"input_tokens": answer["usage"]["prompt"]}


def _part(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    """A stream that did not come to its end: what was recorded is the beginning of what was sent."""
    assert call.provider == row.provider
    assert call.stream
    assert call.model == answer["model"]
    for text, said in zip(_texts(call, "text"), answer["said"], strict=False):
        # From its middle on, one that never ends says the same again and again.
        endless = "endless" in answer["model"]
        begun = text[: len(said["text"]) // 3] if endless else text
        assert said["text"].startswith(begun), text


def _failed(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    _part(call, answer, row)
    assert _texts(call, "text") != [""], "the pieces before the error"
    assert call.status == "error", call.status
    assert call.error is not None


def _left(call: PromptCallEvent, answer: Answer, row: Row) -> None:
    _part(call, answer, row)
    assert call.status == "cancelled", call.status


def _said_in(value: Any) -> Iterator[str]:
    """Yield the texts in a value, those of a request or of a prompt, without what only describes them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _said_in(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in _NOT_SAID:
                yield from _said_in(each)


def _texts(call: PromptCallEvent, kind: str) -> list[str]:
    refusal = ("refusal",) if kind == "text" else ()
    return [
        "".join(
            part.get("content", "") for part in message["parts"] if part["type"] in (kind, *refusal)
        )
        for message in call.response or ()
    ]


_CHECKS: dict[str, Callable[[PromptCallEvent, Answer, Row], None]] = {
    "error_in_stream": _failed,
    "early_close": _left,
    "cancel": _left,
    "retry": _attempt,
    "count_tokens": _counted,
    "uncounted_stream": _uncounted,
    "uncounted_stream_async": _uncounted,
}
_SHOWS: dict[str, Callable[[Sequence[Answer]], object]] = {
    "stream": lambda answered: answered[0]["streamed"],
    "tools": lambda answered: len(answered[0]["said"][0]["calls"]) == 1,
    "parallel_tools": lambda answered: len(answered[0]["said"][0]["calls"]) > 1,
    "reasoning": lambda answered: answered[0]["said"][0]["thinking"],
    "cached_tokens": lambda answered: answered[0]["usage"]["cache_read"],
    "error_4xx": lambda answered: 400 <= answered[0]["status"] < 500,
    "error_5xx": lambda answered: answered[0]["status"] >= 500,
}
"""A server that stopped doing so would leave the scenario without a subject."""
