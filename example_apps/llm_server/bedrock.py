"""Amazon Bedrock's runtime: Converse, ConverseStream, and Claude, Titan and Llama through InvokeModel.

Wire rules: Bedrock Runtime's API reference, its service model in botocore, and the Bedrock user guide
("Inference request parameters and response fields").
"""

import json
from collections.abc import Iterator
from typing import Any

from . import anthropic_messages, openai_other, tokens
from .answers import answer
from .conversation import Answer, Event, Framing, Json, Question, Reply, Tool, Usage, joined
from .errors import WireError
from .framing import as_bytes_member
from .openai_chat import CACHE_FLOOR, output_tokens
from .words import identifier

_STOP_REASON = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
    "refusal": "content_filtered",
}
_LLAMA_STOP = {"length": "length"}
_METRICS = "amazon-bedrock-invocationMetrics"


def converse(body: Json, seed: str) -> Reply:
    """Answer `Converse`."""
    said, usage = _answered(body)
    message = {"role": "assistant", "content": _blocks(said, seed)}
    whole = {
        "output": {"message": message},
        "stopReason": _STOP_REASON[said.ending],
        "usage": _wire_usage(usage),
        "metrics": {"latencyMs": 100},
    }
    return Reply(whole, usage, (said,))


def converse_stream(body: Json, seed: str) -> Reply:
    """Answer `ConverseStream`."""
    said, usage = _answered(body)
    return Reply(list(_events(said, usage, seed)), usage, (said,), Framing.AWS)


def invoke(body: Json, seed: str) -> Reply:
    """Answer `InvokeModel`, in the words of the model's family; counts stand in headers, too."""
    reply = _family(body, seed)
    counts = {
        "x-amzn-bedrock-input-token-count": str(reply.usage.prompt),
        "x-amzn-bedrock-output-token-count": str(reply.usage.output),
    }
    return Reply(reply.content, reply.usage, reply.said, headers=counts)


def invoke_stream(body: Json, seed: str) -> Reply:
    """Answer `InvokeModelWithResponseStream`: the model's own events, each wrapped."""
    reply = _family(body, seed, streamed=True)
    assert isinstance(reply.content, list)
    last = reply.content[-1]
    assert isinstance(last.data, dict)
    metrics = {
        "inputTokenCount": reply.usage.prompt - reply.usage.cache_read - reply.usage.cache_write,
        "outputTokenCount": reply.usage.output,
        "invocationLatency": 100,
        "firstByteLatency": 10,
    }
    wrapped = [
        Event(as_bytes_member(data), "chunk", is_token=event.is_token)
        for event in [*reply.content[:-1], Event({**last.data, _METRICS: metrics})]
        if isinstance(data := event.data, dict)
    ]
    return Reply(wrapped, reply.usage, reply.said, Framing.AWS)


def _family(body: Json, seed: str, *, streamed: bool = False) -> Reply:
    if "anthropic_version" in body:
        return anthropic_messages.reply({**body, "stream": streamed}, seed)
    if "inputText" in body:
        return _titan_embedding(body, seed)
    if "prompt" in body:
        return _llama(body, streamed=streamed)
    raise WireError(400, "Malformed input request, please reformat your input and try again.")


def _titan_embedding(body: Json, seed: str) -> Reply:
    asked = {"model": "", "input": body["inputText"], "dimensions": body.get("dimensions") or 1024}
    found = openai_other.embeddings(asked, seed)
    assert isinstance(found.content, dict)
    vector = found.content["data"][0]["embedding"]
    return Reply({"embedding": vector, "inputTextTokenCount": found.usage.prompt}, found.usage)


def _llama(body: Json, *, streamed: bool) -> Reply:
    said = answer(Question(body["prompt"], max_tokens=body.get("max_gen_len") or 512))
    usage = Usage(tokens.count(body["prompt"]), output_tokens(said))
    reason = _LLAMA_STOP.get(said.ending, "stop")
    counts = {"prompt_token_count": usage.prompt, "generation_token_count": usage.output}
    if not streamed:
        return Reply({"generation": said.text, **counts, "stop_reason": reason}, usage, (said,))
    empty = {"prompt_token_count": None, "stop_reason": None}
    events = [
        Event({"generation": piece, "generation_token_count": place, **empty}, is_token=True)
        for place, piece in enumerate(tokens.pieces(said.text), 1)
    ]
    events.append(Event({"generation": "", **counts, "stop_reason": reason}))
    return Reply(events, usage, (said,))


def _answered(body: Json) -> tuple[Answer, Usage]:
    said = answer(to_question(body))
    thinking = tokens.count(said.thinking)
    prompt, read, written = _prompt_tokens(body)
    # It counts thoughts with the output and does not tell them apart.
    return said, Usage(prompt, output_tokens(said), thinking, read, written)


def to_question(body: Json) -> Question:
    """Read a request of Converse; raises `WireError` 400 when nothing is asked."""
    messages = body.get("messages")
    if not messages:
        raise WireError(400, "A conversation must start with a user message.")
    asked = [
        at for at, item in enumerate(messages) if item["role"] == "user" and _text(item["content"])
    ]
    last = asked[-1] if asked else 0
    config = body.get("inferenceConfig") or {}
    more = body.get("additionalModelRequestFields") or {}
    tools = body.get("toolConfig") or {}
    choice = tools.get("toolChoice") or {}
    later = [block for item in messages[last:] for block in item["content"]]
    return Question(
        text=_text(messages[last]["content"]),
        tools=tuple(_tools(tools)),
        must_call="*" if "any" in choice else (choice.get("tool") or {}).get("name"),
        results=tuple(
            _text(block["toolResult"].get("content") or ())
            for block in later
            if "toolResult" in block
        ),
        images=sum("image" in block for block in messages[last]["content"]),
        max_tokens=config.get("maxTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        thinks=(more.get("thinking") or {}).get("type") == "enabled",
    )


def _tools(config: Json) -> Iterator[Tool]:
    for item in config.get("tools") or ():
        if spec := item.get("toolSpec"):
            schema = (spec.get("inputSchema") or {}).get("json") or {}
            yield Tool(spec["name"], spec.get("description") or "", schema)


def _text(blocks: Any) -> str:
    return joined(block.get("text") or "" for block in blocks)


def _prompt_tokens(body: Json) -> tuple[int, int, int]:
    """All of a prompt; what of it was read from the cache and written to it, up to the last mark."""
    total = tokens.count(json.dumps(body["toolConfig"])) if body.get("toolConfig") else 0
    marked = said_before = 0
    blocks = [(block, False) for block in body.get("system") or ()]
    for item in body["messages"]:
        blocks += [(block, item["role"] == "assistant") for block in item["content"]]
    for block, is_assistant in blocks:
        if "cachePoint" in block:
            marked = total
            continue
        total += tokens.count(block["text"]) if "text" in block else tokens.count(json.dumps(block))
        said_before = total if is_assistant else said_before
    if marked < CACHE_FLOOR:
        return total, 0, 0
    read = marked if said_before > marked else 0
    return total, read, marked - read


def _wire_usage(usage: Usage) -> Json:
    """`inputTokens` is what was neither read from the cache nor written to it."""
    fresh = usage.prompt - usage.cache_read - usage.cache_write
    return {
        "inputTokens": fresh,
        "outputTokens": usage.output,
        "totalTokens": usage.prompt + usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    }


def _use(said: Answer, place: int, seed: str) -> Json:
    return {"toolUseId": identifier("tooluse_", 22, seed, place), "name": said.calls[place].name}


def _blocks(said: Answer, seed: str) -> list[Json]:
    blocks: list[Json] = []
    if said.thinking:
        told = {"text": said.thinking, "signature": identifier("", 64, seed, "signature")}
        blocks.append({"reasoningContent": {"reasoningText": told}})
    if said.text:
        blocks.append({"text": said.text})
    for place, call in enumerate(said.calls):
        blocks.append({"toolUse": {**_use(said, place, seed), "input": call.arguments}})
    return blocks


def _events(said: Answer, usage: Usage, seed: str) -> Iterator[Event]:
    yield Event({"role": "assistant", "p": "abcd"}, "messageStart")
    for index, deltas in enumerate(_deltas(said, seed)):
        if deltas[0].get("start"):
            start = {"start": deltas.pop(0)["start"], "contentBlockIndex": index}
            yield Event(start, "contentBlockStart")
        for delta in deltas:
            data = {"delta": delta, "contentBlockIndex": index, "p": "abcdefghijk"}
            yield Event(data, "contentBlockDelta", is_token=True)
        yield Event({"contentBlockIndex": index, "p": "abc"}, "contentBlockStop")
    yield Event({"stopReason": _STOP_REASON[said.ending]}, "messageStop")
    yield Event({"usage": _wire_usage(usage), "metrics": {"latencyMs": 100}}, "metadata")


def _deltas(said: Answer, seed: str) -> Iterator[list[Json]]:
    if said.thinking:
        pieces = [{"reasoningContent": {"text": piece}} for piece in tokens.pieces(said.thinking)]
        signature = {"signature": identifier("", 64, seed, "signature")}
        yield [*pieces, {"reasoningContent": signature}]
    if said.text:
        yield [{"text": piece} for piece in tokens.pieces(said.text)]
    for place, call in enumerate(said.calls):
        inputs = tokens.pieces(json.dumps(call.arguments))
        start = {"start": {"toolUse": _use(said, place, seed)}}
        yield [start, *({"toolUse": {"input": piece}} for piece in inputs)]
