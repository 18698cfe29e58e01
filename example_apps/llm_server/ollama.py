"""Ollama's own wire: chat, generate, embed; a stream is a JSON object per line.

Wire rules: Ollama's API reference, and the types of the `ollama` package. Its messages and tools are
OpenAI's, with arguments as objects and pictures beside the text.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from . import openai_chat, openai_other, tokens
from .answered import arrived
from .answers import answer
from .conversation import Answer, Event, Framing, Json, Question, Reply, Usage

_NANOSECONDS = {"total_duration": 400, "load_duration": 100}
_ANY = {"type": "object", "properties": {"answer": {"type": "string"}}}


def chat(body: Json, seed: str) -> Reply:
    """Answer `POST /api/chat`: streamed unless told not to."""
    said = answer(_question(body, openai_chat.to_question(body)))
    pieces = ({"message": {"role": "assistant", **piece}} for piece in _pieces(said, "content"))
    whole: Json = {"role": "assistant", "content": said.text}
    if said.thinking:
        whole["thinking"] = said.thinking
    if said.calls:
        whole["tool_calls"] = _calls(said)
    closing = {"message": {"role": "assistant", "content": ""}}
    usage = openai_chat.usage_of(body, [said])
    return _reply(body, said, usage, {"message": whole}, pieces, closing)


def generate(body: Json, seed: str) -> Reply:
    """Answer `POST /api/generate`."""
    text = body.get("prompt") or ""
    said = answer(_question(body, Question(text, images=len(body.get("images") or ()))))
    system = body.get("system") or ""
    prompt = tokens.count(text) + tokens.count(system)
    usage = Usage(prompt, openai_chat.output_tokens(said), tokens.count(said.thinking))
    whole = {"response": said.text} | ({"thinking": said.thinking} if said.thinking else {})
    return _reply(body, said, usage, whole, _pieces(said, "response"), {"response": ""})


def embed(body: Json, seed: str) -> Reply:
    """Answer `POST /api/embed`, for one text or several."""
    found = openai_other.embeddings({"dimensions": 768, **body}, seed)
    assert isinstance(found.content, dict)
    vectors = [each["embedding"] for each in found.content["data"]]
    counts = {"prompt_eval_count": found.usage.prompt, **_NANOSECONDS}
    return Reply({"model": body["model"], "embeddings": vectors, **counts}, found.usage)


def _question(body: Json, question: Question) -> Question:
    options = body.get("options") or {}
    form = body.get("format")
    last = (body.get("messages") or [{}])[-1]
    return replace(
        question,
        thinks=bool(body.get("think")),
        schema=_ANY if form == "json" else form or None,
        max_tokens=options.get("num_predict"),
        stop=tuple(options.get("stop") or ()),
        images=question.images + len(last.get("images") or ()),
    )


def _calls(said: Answer) -> list[Json]:
    return [{"function": {"name": c.name, "arguments": c.arguments}} for c in said.calls]


def _pieces(said: Answer, name: str) -> Iterator[Json]:
    for piece in tokens.pieces(said.thinking):
        yield {name: "", "thinking": piece}
    for piece in tokens.pieces(said.text):
        yield {name: piece}
    for call in _calls(said):
        yield {name: "", "tool_calls": [call]}


def _reply(
    body: Json, said: Answer, usage: Usage, whole: Json, pieces: Iterator[Json], closing: Json
) -> Reply:
    usage = replace(usage, thinking=0, cache_read=0)  # it tells neither
    at = datetime.fromtimestamp(arrived(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    head: dict[str, Any] = {"model": body["model"], "created_at": at}
    counts = {
        "prompt_eval_count": usage.prompt,
        "prompt_eval_duration": 100,
        "eval_count": usage.output,
        "eval_duration": 200,
    }
    reason = "length" if said.ending == "length" else "stop"
    end = {"done": True, "done_reason": reason, **_NANOSECONDS, **counts}
    if body.get("stream") is False:
        return Reply({**head, **whole, **end}, usage, (said,))
    events = [Event({**head, **piece, "done": False}, is_token=True) for piece in pieces]
    events.append(Event({**head, **closing, **end}))
    return Reply(events, usage, (said,), Framing.LINES)
