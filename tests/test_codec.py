"""llmobs.codec: snapshots and JSON that never fail."""

import dataclasses
import json
import threading
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmobs.codec import clean_text, decode, encode, readable, snapshot, texts, weigh
from llmobs.events import ErrorEvent, ErrorInfo, RunEvent
from llmobs.recorded.values import MAX_REPR
from tests.helpers import make_event


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    parts: list[int]


class Model(BaseModel):
    name: str
    when: date


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (None, None),
        (1.5, 1.5),
        ({"a": 1, "b": [1, {"c": 2}]}, {"a": 1, "b": [1, {"c": 2}]}),
        ((1, "a"), [1, "a"]),
        ({1: "a", None: "b", True: "c", 1.5: "d"}, {"1": "c", "null": "b", "1.5": "d"}),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "AP8="),
        ("to ann@example.com,\n\tGrüße".encode(), "to ann@example.com,\n\tGrüße"),
        (bytearray(b"\xff to ann@example.com"), "<20 bytes>"),
        (b"", ""),
        (Colour.RED, "red"),
        (Point(1, [2]), {"x": 1, "parts": [2]}),
        (Model(name="m", when=date(2026, 1, 2)), {"name": "m", "when": "2026-01-02"}),
        (..., "Ellipsis"),
        ({("a", 1): 2}, {"('a', 1)": 2}),
        (frozenset({3}), [3]),
        (Broken(), "<tests.test_codec.Broken>"),
        (int, "<class 'int'>"),
    ],
)
def test_snapshot_makes_json_types(value: Any, expected: Any) -> None:
    assert snapshot(value) == expected


def test_snapshot_of_a_lock_is_readable() -> None:
    assert "lock" in snapshot({"lock": threading.Lock()})["lock"]


def test_snapshot_does_not_see_later_changes() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "before"}]}]
    kept = snapshot(messages)
    messages[0]["content"][0]["text"] = "after"  # type: ignore[index]
    messages.append({})
    assert kept == [{"role": "user", "content": [{"type": "text", "text": "before"}]}]


def test_snapshot_ends_cycles_and_bounds_long_reprs() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    assert "self" in json.loads(encode(snapshot(cycle)))
    assert len(readable("x" * 10_000_000)) <= MAX_REPR + 3


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_like)
def test_every_value_encodes_to_valid_json(value: Any) -> None:
    json.loads(encode(snapshot(value)))
    assert weigh(snapshot(value)) > 0


@given(st.text(st.characters()))
def test_clean_text_can_be_written_and_leaves_good_text_alone(text: str) -> None:
    clean = clean_text(text)
    clean.encode()
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert clean == text


def test_surrogate_pairs_are_joined_and_lone_ones_replaced() -> None:
    assert clean_text("\ud83d\ude00") == "😀"
    assert clean_text("a\ud83db") == "a\ufffdb"


@given(json_like, st.text(st.characters()))
def test_events_survive_the_round_trip(metadata: Any, text: str) -> None:
    event = make_event(prompt=snapshot(metadata), model=text, tokens_input=3)
    again = decode(encode(event))
    assert type(again) is type(event)
    assert again.event_id == event.event_id
    assert again.timestamp == event.timestamp
    assert again.model == clean_text(text)  # type: ignore[union-attr]
    assert again.tokens_input == 3


def test_not_a_number_becomes_null() -> None:
    event = make_event(prompt={"x": float("nan"), "y": float("inf")})
    assert json.loads(encode(event))["prompt"] == {"x": None, "y": None}


def test_every_class_of_event_decodes_to_itself() -> None:
    base = {"event_id": "e", "run_id": "r", "timestamp": datetime.now(UTC)}
    for event in (
        ErrorEvent(**base, error=ErrorInfo.of(ValueError("boom"))),
        RunEvent(**base, events=3, cost_usd=0.5),
        RunEvent(**base, parent_run_id="run-0", session_id="s1", weight=10.0),
        make_event(tags=("a", "b"), errors=("x",)),
    ):
        assert decode(encode(event)) == event


def test_decode_says_what_is_wrong() -> None:
    with pytest.raises(msgspec.ValidationError, match="event_id"):
        decode(b'{"event_type": "run"}')
    with pytest.raises(msgspec.DecodeError):
        decode(b"{")


def test_a_long_collection_of_texts_is_cut_with_a_mark() -> None:
    for values in (range(10**9), list(range(100_000)), set(range(100_000))):
        found = texts(values)
        assert len(found) <= 1_002
        assert found[-1].endswith("items left out")
    tags = [f"tag-{n}" for n in range(5_000)]
    assert texts(tags) == tuple(tags)


def test_texts() -> None:
    assert texts("one") == ("one",)
    assert texts(["a", 1, None]) == ("a", "1", "None")
    assert texts({"a": 1}) == texts({"a"}) == texts({"a": 1}.keys()) == ("a",)
    (lone,) = texts(c for c in "ab")
    assert lone.startswith("<generator object")
