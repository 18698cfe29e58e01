"""Any split of any well-formed answer into deltas merges to the answer, in every wire and dialect."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmobs.contrib._wire import anthropic_messages, openai_chat, openai_responses
from llmobs.contrib._wire.wire import StreamEvent, Wire
from llmobs.runtime.time_slices import finish

Json = dict[str, Any]
Split = Callable[[str], list[str]]

WORDS = st.text(max_size=12)
ARGUMENTS = st.dictionaries(
    st.text(max_size=4),
    st.none() | st.integers(-9, 99) | WORDS | st.dictionaries(WORDS, st.booleans(), max_size=2),
    max_size=3,
)
TOOLS = st.lists(st.tuples(st.sampled_from(["f", "get_weather", "ab"]), ARGUMENTS), max_size=4)


@st.composite
def splits(draw: Any) -> Split:
    """A function that cuts texts into pieces, somewhere."""

    def split(text: str) -> list[str]:
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    return split


def read(wire: Wire, events: list[Json]) -> Json:
    body, ended = finish(wire.assemble([StreamEvent("", event, 0.0) for event in events]))
    assert ended
    return wire.response(body)


# Chat completions.


def openai(index: int, name: str, pieces: list[str]) -> list[Json]:
    """As documented: the id and the name come first, the index says which call it is."""
    first = {
        "index": index,
        "id": f"id{index}",
        "type": "function",
        "function": {"name": name, "arguments": ""},
    }
    return [first, *({"index": index, "function": {"arguments": piece}} for piece in pieces)]


def all_zero(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [{**delta, "index": 0} for delta in openai(index, name, pieces)]


def no_index(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [{k: v for k, v in d.items() if k != "index"} for d in openai(index, name, pieces)]


def repeated(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [
        {"index": index, "id": f"id{index}", "function": {"name": name, "arguments": piece}}
        for piece in pieces
    ]


def repeated_without_index(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [{**d, "index": None} for d in repeated(index, name, pieces)]


def repeated_name(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [
        {**d, "id": f"id{index}" if not n else None}
        for n, d in enumerate(repeated(index, name, pieces))
    ]


def whole(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [{"id": f"id{index}", "function": {"name": name, "arguments": "".join(pieces)}}]


def whole_zero(index: int, name: str, pieces: list[str]) -> list[Json]:
    return [{**delta, "index": 0} for delta in whole(index, name, pieces)]


def an_object(index: int, name: str, pieces: list[str]) -> list[Json]:
    arguments = json.loads("".join(pieces))
    return [{"id": f"id{index}", "function": {"name": name, "arguments": arguments}}]


def name_in_pieces(index: int, name: str, pieces: list[str]) -> list[Json]:
    [first, *rest] = openai(index, name, pieces)
    names = [name[:1], name[1:]] if name[:1] != name[1:] else [name]
    more = [{"index": index, "function": {"name": piece}} for piece in names[1:]]
    return [{**first, "function": {"name": names[0]}}, *more, *rest]


DIALECTS = [
    openai,
    all_zero,
    no_index,
    repeated,
    repeated_without_index,
    repeated_name,
    whole,
    whole_zero,
    an_object,
    name_in_pieces,
]
INTERLEAVING = [openai, repeated, repeated_name, name_in_pieces, repeated_without_index]


@given(
    st.sampled_from(DIALECTS), TOOLS, WORDS, WORDS, WORDS, WORDS, splits(), st.randoms(), st.data()
)
def test_chat(
    dialect: Any,
    tools: Any,
    words: str,
    thought: str,
    spoken: str,
    refusal: str,
    split: Split,
    random: Any,
    data: Any,
) -> None:
    calls = [
        {"id": f"id{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(a)}}
        for n, (name, a) in enumerate(tools)
    ]
    message = {
        "role": "assistant",
        "content": words,
        "reasoning_content": thought,
        "refusal": refusal,
        "audio": {"id": "audio_1", "transcript": spoken, "data": "QUJD"},
        "annotations": [{"type": "url_citation", "url": "https://a.test"}],
        "tool_calls": calls,
    }
    deltas: list[Json] = [{"content": piece} for piece in split(words)]
    deltas += [{"reasoning_content": piece} for piece in split(thought)]
    deltas += [{"refusal": piece} for piece in split(refusal)]
    deltas += [{"audio": {"id": "audio_1", "transcript": piece}} for piece in split(spoken)]
    deltas += [{"audio": {"data": "QUJD"}}, {"annotations": message["annotations"]}]
    queues = [
        dialect(n, name, split(json.dumps(arguments))) for n, (name, arguments) in enumerate(tools)
    ]
    together = dialect in INTERLEAVING and data.draw(st.booleans())
    if dialect is repeated_without_index:  # nothing but their beginnings tells the order
        deltas += [{"tool_calls": [queue.pop(0)]} for queue in queues]
    while any(queues):
        queue = random.choice([q for q in queues if q]) if together else next(filter(None, queues))
        count = random.randint(1, 2)  # also several in one list
        deltas.append({"tool_calls": queue[:count]})
        del queue[:count]
    choice = {"index": 0, "finish_reason": None}
    events: list[Json] = [{"choices": [{**choice, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    told = openai_chat.WIRE.response({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert read(openai_chat.WIRE, events) == told


@given(WORDS, WORDS, WORDS, splits())
def test_chat_in_parts(thought: str, words: str, more: str, split: Split) -> None:
    """Mistral's content chunks, texts among them."""
    deltas: list[Json] = [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}
        for piece in split(thought)
    ]
    deltas += [{"content": [{"type": "text", "text": piece}]} for piece in split(words)]
    deltas += [{"content": piece} for piece in split(more)]
    deltas.append({"content": [{"type": "reference", "reference_ids": [1]}]})
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
        {"type": "text", "text": words + more},
        {"type": "reference", "reference_ids": [1]},
    ]
    events: list[Json] = [{"choices": [{"delta": delta}]} for delta in deltas]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    choice = {"message": {"content": content}, "finish_reason": "stop"}
    assert read(openai_chat.WIRE, events) == openai_chat.WIRE.response({"choices": [choice]})


@given(st.lists(WORDS, max_size=3), splits(), st.booleans())
def test_reasoning_details(thoughts: list[str], split: Split, summaries: bool) -> None:
    """OpenRouter's: items of a list, each streamed under its index."""
    member = "summary" if summaries else "text"
    kind = f"reasoning.{member}"
    details = [{"type": kind, member: text, "index": n} for n, text in enumerate(thoughts)]
    deltas = [
        {"reasoning_details": [{"type": kind, member: piece, "index": n, "format": "x"}]}
        for n, text in enumerate(thoughts)
        for piece in split(text)
    ]
    events: list[Json] = [{"choices": [{"delta": delta}]} for delta in deltas]
    events.append({"choices": [{"delta": {"content": "4"}, "finish_reason": "stop"}]})
    message = {"content": "4", "reasoning_details": details}
    choice = {"message": message, "finish_reason": "stop"}
    assert read(openai_chat.WIRE, events) == openai_chat.WIRE.response({"choices": [choice]})


# Anthropic's messages.

BLOCKS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS)
    | st.builds(lambda text: {"type": "thinking", "thinking": text}, WORDS)
    | st.builds(lambda a: {"type": "tool_use", "id": "a", "name": "f", "input": a}, ARGUMENTS)
    | st.builds(lambda text: {"type": "compaction", "content": text}, WORDS),
    max_size=4,
)
EMPTY = {
    "text": ("text_delta", "text", "text"),
    "thinking": ("thinking_delta", "thinking", "thinking"),
    "tool_use": ("input_json_delta", "input", "partial_json"),
    "compaction": ("compaction_delta", "content", "content"),
}


@given(BLOCKS, splits())
def test_messages(blocks: list[Json], split: Split) -> None:
    events: list[Json] = [{"type": "message_start", "message": {"role": "assistant"}}]
    for index, block in enumerate(blocks):
        kind, member, piece_member = EMPTY[block["type"]]
        is_json = block["type"] == "tool_use"
        start = {**block, member: {} if is_json else ""}
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        for piece in split(json.dumps(block[member]) if is_json else block[member]):
            delta = {"type": kind, piece_member: piece}
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    whole = {"role": "assistant", "content": blocks, "stop_reason": "end_turn"}
    assert read(anthropic_messages.WIRE, events) == anthropic_messages.WIRE.response(whole)


# OpenAI's responses: only what is cut off has to be put together.

KINDS = {
    "message": ("output_text", "response.output_text.delta"),
    "reasoning": ("summary_text", "response.reasoning_summary_text.delta"),
    "function_call": ("arguments", "response.function_call_arguments.delta"),
    "custom_tool_call": ("input", "response.custom_tool_call_input.delta"),
    "mcp_call": ("arguments", "response.mcp_call_arguments.delta"),
    "code_interpreter_call": ("code", "response.code_interpreter_call_code.delta"),
}


@given(st.lists(st.tuples(st.sampled_from(list(KINDS)), WORDS), max_size=4), splits())
def test_responses_cut_off(items: list[tuple[str, str]], split: Split) -> None:
    events: list[Json] = [{"type": "response.created", "response": {"status": "in_progress"}}]
    output = []
    for index, (kind, words) in enumerate(items):
        member, event = KINDS[kind]
        item: Json = {"type": kind, "name": "f", "call_id": "a"}
        events.append({"type": "response.output_item.added", "output_index": index, "item": item})
        events += [{"type": event, "output_index": index, "delta": p} for p in split(words)]
        part = [{"type": member, "text": words}]
        output.append(
            {**item, "content": part}
            if kind == "message"
            else {**item, "summary": part}
            if kind == "reasoning"
            else {**item, member: words}
        )
    body, ended = finish(openai_responses.WIRE.assemble([StreamEvent("", e, 0.0) for e in events]))
    whole = {"status": "incomplete", "output": output}
    assert not ended
    assert openai_responses.WIRE.response(body) == openai_responses.WIRE.response(whole)


def test_calls_that_come_in_turns_and_all_say_index_0_are_told_apart_by_id() -> None:
    names, halves = {"a": "f", "b": "g"}, {"a": ('{"x":', "1}"), "b": ('{"x":', "2}")}
    deltas = [
        {
            "index": 0,
            "id": id,
            "type": "function",
            "function": {"name": names[id], "arguments": halves[id][half]},
        }
        for half in (0, 1)
        for id in ("a", "b")
    ]
    events = [{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    calls = read(openai_chat.WIRE, events)["tool_calls"]
    assert [(each["name"], each["arguments"]) for each in calls] == [
        ("f", {"x": 1}),
        ("g", {"x": 2}),
    ]
