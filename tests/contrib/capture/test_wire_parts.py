"""The small pure parts, on their own: bounded copies, incomplete JSON, events, hosts."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs.contrib._wire.body import Copy, clip, pieces
from llmobs.contrib._wire.framing import EventSplitter, FrameSplitter, fields_of, payload_of
from llmobs.contrib._wire.partial import LAST_EVENT, USAGE, Mention, read_head, read_tail
from llmobs.contrib._wire.recognise import _troubles, recognise
from tests.contrib.corpus import js, sse
from tests.contrib.corpus.anthropic import EVENTS, frame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_prefix(part: Any, whole: Any) -> bool:
    """Whether *part* is what a reader may know of *whole* from its beginning."""
    if isinstance(whole, dict):
        return isinstance(part, dict) and all(is_prefix(v, whole[k]) for k, v in part.items())
    if isinstance(whole, list):
        return isinstance(part, list) and all(
            is_prefix(a, b) for a, b in zip(part, whole, strict=False)
        )
    if isinstance(whole, str):
        return isinstance(part, str) and whole.startswith(part.replace("\ufffd", ""))
    return bool(part == whole)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5), st.data(), st.booleans())
def test_the_head_of_json_never_invents(value: Any, data: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "replace")
    cut = data.draw(st.integers(1, len(text)))
    assert is_prefix(read_head(text[:cut]), json.loads(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": "xy', {"a": "xy"}),
        (b'{"a": "x\\u00', {"a": "x"}),
        (b'{"a": "x\\"', {"a": 'x"'}),
        (b'{"a": "x\\\\', {"a": "x\\"}),
        ('{"a": "xé'.encode()[:-1], {"a": "x"}),
        (b'{"a": [1, {"b": 2}, {"c', {"a": [1, {"b": 2}, {}]}),
        (b'{"a": 1, "bc', {"a": 1}),
        (b'{"a": tr', {}),
        (b'{"a": 12', {}),
        (b'{"a": [1, 2.5e', {"a": [1]}),
        (b'{"a": "room 12', {"a": "room 12"}),
        (b'{"room 12', {}),
        (
            b'{"a": "\\ud800x", "b": "\\ud83d\\ude00 \\\\ud800',
            {"a": "\ufffdx", "b": "\U0001f600 \\ud800"},
        ),
        (b'{"a": "x\\ud83d', {"a": "x"}),
        (b'{"a": "x\\ud83d\\ude', {"a": "x"}),
        (b"", None),
        (b"\xff\x00", None),
        (b"]]]", None),
    ],
)
def test_heads(text: bytes, value: Any) -> None:
    assert read_head(text) == value


@pytest.mark.parametrize("spaces", [None, 2])
def test_the_tail_of_json(spaces: int | None) -> None:
    value = {"content": 'x, "model": "wrong", ' * 9, "deep": {"model": "no"}, "n": 1, "model": "m"}
    text = json.dumps(value, indent=spaces).encode()
    found = read_tail(text[len(text) // 2 :])
    assert found["model"] == "m"
    assert {key: value[key] for key in found} == found
    assert read_tail(b"no json at all") == {}


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_events_joined_are_what_was_fed(data: bytes, sizes: list[int]) -> None:
    splitter = EventSplitter()
    out, at = [], 0
    for size in [*sizes, len(data) + 1]:
        out += splitter.feed(data[at : at + size])
        at += size
    assert b"".join(out) + splitter.rest() == data


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_split_anywhere(end: str, size: int) -> None:
    body = b"\xef\xbb\xbf: hello" + end.encode() * 2 + sse(("a", "1"), "2", end=end)
    splitter = EventSplitter()
    events = [e for at in range(0, len(body), size) for e in splitter.feed(body[at : at + size])]
    assert all(event.endswith(end.encode() * 2) for event in events)
    events.append(splitter.rest())
    assert [f for e in events if (f := fields_of(e))[1]] == [("a", b"1"), ("", b"2")]


def test_several_data_lines_are_one() -> None:
    assert fields_of(b"data: a\ndata:b\nid: 1\n\n") == ("", b"a\nb")


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_amazons_frames_split_anywhere(size: int) -> None:
    body = b"".join(frame(event[1]) for event in EVENTS)
    splitter = FrameSplitter()
    found = [p for at in range(0, len(body), size) for p in splitter.feed(body[at : at + size])]
    assert len(found) == len(EVENTS)
    assert payload_of(found[0])[1] == js(EVENTS[0][1])


@pytest.mark.parametrize("at", [0, 5, 9, 14, 60, -1])
def test_nothing_is_read_from_a_damaged_frame_on(at: int) -> None:
    good, bad = frame(EVENTS[0][1]), bytearray(frame(EVENTS[1][1]))
    bad[at] ^= 0x40
    splitter = FrameSplitter()
    found = splitter.feed(good + bad + good) + splitter.feed(good)
    assert found[0] == good
    assert [payload_of(each)[1] for each in found[1:]] in ([b"damaged"], [])
    assert splitter.feed(good) == []
    assert [payload_of(each)[1] for each in FrameSplitter().feed(b"no frame at all")] == [
        b"damaged"
    ]


@given(st.binary(max_size=2000), st.integers(0, 600), st.integers(1, 300))
def test_a_copy_is_bounded_and_holds_both_ends(data: bytes, limit: int, size: int) -> None:
    copy = Copy(limit)
    room = copy.room
    for at in range(0, len(data), size):
        chunk = data[at : at + size]
        if len(chunk) <= room:
            room -= len(chunk)
            copy.more(chunk)
        else:
            room = copy.overflow(chunk, room)
    copy.close()
    head = copy.beginning
    assert copy.kept == len(head) + len(copy.tail or b"") <= limit
    assert copy.total == len(data)
    assert data.startswith(head)
    if copy.tail is None:
        assert head == data
        assert data.endswith(copy.last_bytes)
        assert len(copy.last_bytes) >= min(len(data), 512)
    else:
        assert data.endswith(copy.tail)
        assert len(head) == limit - limit // 8


@given(st.binary(max_size=500), st.integers(0, 500))
def test_clip(data: bytes, limit: int) -> None:
    head, tail = clip(data, limit)
    assert data.startswith(head)
    assert data.endswith(tail or b"")
    assert len(head) + len(tail or b"") <= max(limit, 0)
    assert (tail is None) == (len(data) <= limit)


def test_encodings_in_a_row_and_zstd() -> None:
    from backports import zstd

    copy = Copy(10_000)
    copy.more(zlib.compress(zstd.compress(b"hello")))
    found, trouble = pieces(copy, ["zstd", "deflate"])
    assert (b"".join(piece.data for piece in found), trouble) == (b"hello", None)


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        (b"/v1/chat/completions", "chat"),
        (b"/api/v3/chat/completions?x=1", "chat"),
        (b"/chat/completions/", "chat"),
        (b"/v1/completions", "text_completion"),
        (b"/v1/embeddings", "embeddings"),
        (b"/v1/responses", "chat"),
        (b"/v1/messages", "chat"),
        (b"/anthropic/v1/messages/count_tokens", "count_tokens"),
        (b"/v1/audio/transcriptions", "generate_content"),
        (b"/openai/deployments/x/embeddings?api-version=1", "embeddings"),
        (b"/v1/agents/completions", "chat"),
        (b"/v1/fim/completions", "text_completion"),
        (b"/v1/responses/compact", "chat"),
        (b"/v1/responses/input_tokens", "count_tokens"),
        (b"/v1/responses/resp_1/cancel", "chat"),
        (b"/api/embed", "embeddings"),
        (b"/api/embeddings", "embeddings"),
        (b"/api/chat", "chat"),
        (b"/api/generate", "text_completion"),
        (b"/v1beta/models/m:generateContent", "chat"),
        (b"/v1beta/models/m:streamGenerateContent?alt=sse", "chat"),
        (b"/v1beta/models/m:embedContent", "embeddings"),
        (b"/v1beta/models/m:countTokens", "count_tokens"),
        (b"/v1beta/models/m", None),
        (b"/v1/chat/completions/123", None),
        (b"/v1beta/interactions", "chat"),
        (b"/v1/interactions/i1/cancel", "chat"),
        (b"/completion", "text_completion"),
        (b"/v1/messages/batches", "makes a batch"),
        (b"/v1/batches?x=1", "makes a batch"),
        (b"/v1/batch/jobs", "makes a batch"),
        (b"/v1/files/", "makes a batch"),
        (b"/v1/files/f1", None),
        (b"/v1/models", None),
        (b"/", None),
    ],
)
def test_paths(path: bytes, operation: str | None) -> None:
    target = recognise("POST", "localhost", path)
    found = "makes a batch" if target and target.makes_batch else target and target.operation
    assert found == operation
    assert recognise("GET", "localhost", path) is None


MENTIONS = st.lists(
    st.sampled_from(
        rb""""usage":{"n":1} "usage":{} "usage":null \"usage\":{ "usage" "us { x
        "response.completed" "response.output_text.delta" xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""".split()
    ),
    max_size=12,
).map(b"".join)


@given(MENTIONS, st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 50))
def test_the_last_mention_is_found_however_it_comes(
    data: bytes, sizes: list[int], room: int
) -> None:
    for pattern, word in ((USAGE, b'"usage"'), (LAST_EVENT, b'"response.')):
        mention = Mention(pattern, word, room)
        at = 0
        for size in [*sizes, len(data) + 1]:
            mention.feed(data[at : at + size])
            at += size
        starts = [found.start("keep") for found in pattern.finditer(data)]
        assert mention.found == (data[starts[-1] :][:room] if starts else b"")


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("limit", [100, 1000, 3000])
def test_a_copy_finds_usage_wherever_it_stands(size: int, limit: int) -> None:
    """Also where it begins in what is kept and ends beyond."""
    usage = b'"usage":{"input_tokens":12}'
    for at in range(0, 2000, 13):
        body = b"x" * at + usage + b"y" * (2000 - at)
        copy = Copy(limit)
        for start in range(0, len(body), size):
            chunk = body[start : start + size]
            copy.add_untimed(chunk)
        copy.close()
        known = copy.beginning + copy.usage + (copy.tail or b"")
        assert b'{"input_tokens":12}' in known or limit == 100


@pytest.mark.parametrize(
    ("host", "paths", "lines"),
    [
        (
            "generativelanguage.googleapis.com",
            [
                "/v1beta/models/gemini-9-a:predictLongRunning",
                "/v1/models/gemini-9-a:batchGenerateContent",
            ],
            1,
        ),
        ("api.mistral.ai", [f"/v1/audio/agents/ag{n}" for n in range(20)], 1),
        ("api.mistral.ai", ["/v1/chat/classifications", "/v1/classifications"], 2),
        ("api.mistral.ai", ["/v1/conversations", "/v1/conversations/c1/restart", "/v1/ocr"], 0),
        ("api.openai.com", ["/v1/conversations", "/v1/conversations/c1/items"], 0),
        ("api.openai.com", [f"/v1/threads/thread_a{n}/runs" for n in range(20)], 1),
        ("api.cohere.com", ["/v1/summarize", "/v1/summarize?x=1", "/v1/summarize/"], 2),
        ("api.openai.com", ["/v1/files", "/v1/uploads/u1/parts", "/v1/responses/r1/cancel"], 0),
        ("api.openai.com", ["/v1/chat/completions", "/v1/responses/compact"], 0),
        ("unknown.test", ["/v2/chat", "/api/chat"], 0),
    ],
)
def test_traffic_that_nobody_reads_is_said_once(
    host: str, paths: list[str], lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    recognise.cache_clear()
    _troubles._seen.clear()
    for _ in range(3):
        for path in paths:
            recognise("GET", host, path.encode())
            recognise("POST", host, path.encode())
    assert len(caplog.messages) == lines
    assert all(f"https://{host}/v" in line for line in caplog.messages)
