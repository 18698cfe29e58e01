"""llmobs.server.kafka.records: what Sentinel's SDKs and our own sink write, as events."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmobs.codec import encode
from llmobs.events import ErrorInfo, PromptCallEvent
from llmobs.pipeline.sanitise import sanitise
from llmobs.sentinel import PromptInfo, ResponseInfo, TelemetryEvent
from llmobs.server.kafka.records import UnreadableError, read
from llmobs.sinks._sentinel import telemetry
from tests.sinks.examples import every_kind, prompt_call
from tests.support.sentinel import validate_sentinel

SAMPLE = (Path(__file__).parents[1] / "data" / "sentinel_event.json").read_bytes()


def changed(**fields: Any) -> bytes:
    """Return the sample with other fields, as Python's ``json`` writes it, which Sentinel's SDK uses."""
    return json.dumps({**json.loads(SAMPLE), **fields}).encode()


def mended(value: bytes, arrived_ms: int = 0) -> PromptCallEvent:
    event = read(value, arrived_ms)
    sanitise(event)
    assert isinstance(event, PromptCallEvent)
    return event


def test_the_sample_field_by_field() -> None:
    assert mended(SAMPLE) == PromptCallEvent(
        event_id="d621713f-6783-5da9-9f02-d812d880e43a",
        run_id="4bf92f3577b34da6a3ce929d0e0e4736",
        standalone=True,
        timestamp=datetime(2024, 1, 1, 0, 0, 0, 123456, UTC),
        service_name="chat-api",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        model="gpt-4",
        prompt="What is the capital of France?",
        tokens_input=8,
        response="Paris.",
        tokens_output=2,
        finish_reason="stop",
        response_embedding=[0.1, 0.2],
        latency_ms=150.5,
        cost_usd=0.001,
        metadata={"region": "us-east-1"},
    )


def test_what_failed_is_an_error_and_a_call_without_a_trace_is_a_run_of_its_own() -> None:
    event = mended(changed(errors=["slow", "gone"], trace_id=None, metadata={"user_id": "u1"}))
    assert (event.status, event.errors) == ("error", ("slow", "gone"))
    assert event.run_id == event.event_id
    assert (event.user_id, event.metadata) == ("u1", None)


def test_words_of_ours_are_only_believed_beside_a_run() -> None:
    metadata = {"weight": "10", "status": "timeout", "provider": "openai"}
    alone = mended(changed(metadata=metadata))
    assert (alone.weight, alone.status, alone.metadata) == (1.0, "success", metadata)
    ours = mended(changed(metadata={**metadata, "run_id": "r", "tags": "beta", "stream": "true"}))
    assert (ours.run_id, ours.standalone, ours.weight, ours.status) == ("r", False, 10, "timeout")
    # What is not written as we write it is the application's own.
    assert (ours.provider, ours.stream, ours.metadata) == ("openai", True, {"tags": "beta"})
    assert mended(changed(metadata={"run_id": "r", "status": "beta"})).metadata == {
        "status": "beta"
    }


WHEN = datetime(2024, 1, 1, 12, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01T12:00:00.123456Z", WHEN),
        ("2024-01-01t12:00:00.123456789z", WHEN),
        ("2024-01-01T14:00:00.123456+02:00", WHEN),
        ("2024-01-01 12:00:00.123456+0000", WHEN),
        ("2024-01-01T12:00:00.123456+00:00Z", WHEN),  # the original, of a time that knows its zone
        ("2024-01-01T14:00:00.123456+02:00Z", WHEN),
        ("2024-01-01T12:00:00.123456", WHEN),
        ("2024-01-01T12:00:60Z", datetime(2024, 1, 1, 12, 0, 59, tzinfo=UTC)),
    ],
)
def test_times_as_sentinel_s_sdks_write_them(text: str, moment: datetime) -> None:
    event = mended(changed(timestamp=text))
    assert (event.timestamp, event.warnings) == (moment, ())


@pytest.mark.parametrize(
    "said", ["yesterday", "", None, 17, "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+23:00"]
)
def test_a_time_nobody_can_read_is_when_the_broker_got_it(said: Any) -> None:
    event = mended(changed(timestamp=said), 1_704_110_400_123)
    assert abs(event.timestamp - WHEN) < timedelta(milliseconds=1)
    assert "timestamp" in event.warnings[0]


def test_what_python_s_json_writes_and_sentinel_refuses_is_read() -> None:
    value = changed(
        latency_ms=math.nan,
        cost_usd=math.inf,
        prompt={"text": "half \ud83d", "tokens": "8", "embedding": [0.5, math.nan]},
    )
    assert validate_sentinel(value) != []
    event = mended(value)
    assert (event.latency_ms, event.cost_usd, event.tokens_input) == (None, None, 8)
    assert event.prompt_embedding is None
    assert encode(event)
    assert read(value).event_id == "d621713f-6783-5da9-9f02-d812d880e43a"


@pytest.mark.parametrize(
    "said",
    [
        "D621713F-6783-5DA9-9F02-D812D880E43A",
        "d621713f67835da99f02d812d880e43a",
        "urn:uuid:d621713f-6783-5da9-9f02-d812d880e43a",
        "{d621713f-6783-5da9-9f02-d812d880e43a}",
    ],
)
def test_an_id_is_one_however_it_is_written(said: str) -> None:
    assert read(changed(event_id=said)).event_id == "d621713f-6783-5da9-9f02-d812d880e43a"


def test_who_names_no_id_has_one_that_follows_from_the_bytes() -> None:
    first, again, other = (read(changed(event_id=None, model=m)).event_id for m in ("a", "a", "b"))
    assert first == again != other
    assert UUID(first).version == 5
    assert read(changed(event_id="order-17")).event_id == str(uuid5(NAMESPACE_OID, "order-17"))


def test_the_original_sdk_s_own_event() -> None:
    event = TelemetryEvent(
        "shop", "gpt-4o", PromptInfo("p" * 100_000, 8), ResponseInfo("Grüße 🗼", 2, "length"), 1, 0,
        trace_id="t", span_id="s",
    )  # fmt: skip
    for ensure_ascii in (True, False):
        found = mended(json.dumps(event.to_dict(), ensure_ascii=ensure_ascii).encode())
        assert found.event_id == str(event.event_id)
        assert found.timestamp == event.timestamp.replace(tzinfo=UTC)
        assert (found.prompt, found.response) == ("p" * 100_000, "Grüße 🗼")
        assert (found.run_id, found.trace_id, found.span_id) == ("t", "t", "s")
        assert (found.tokens_input, found.cost_usd, found.finish_reason) == (8, 0, "length")


def test_every_kind_of_ours_comes_back_as_it_was() -> None:
    for event in every_kind():
        assert read(encode(event)) == event
        # Also with the kind in another place, as other writers of JSON have it.
        moved = json.loads(encode(event))
        moved["event_type"] = moved.pop("event_type")
        assert read(json.dumps(moved).encode()) == event


text = st.text(st.characters(codec="utf-8"), max_size=20)
calls = st.builds(
    lambda **fields: prompt_call(metadata=None, client=None, **fields),
    event_id=st.uuids().map(str) | text.filter(bool),
    run_id=text.filter(bool),
    timestamp=st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),  # noqa: DTZ001
    service_name=text.filter(bool),
    user_id=st.none() | text,
    tags=st.lists(text, max_size=3).map(tuple),
    prompt=text,
    model=text,
    response=text,
    tokens_input=st.none() | st.integers(0, 2**32 - 1),
    tokens_output=st.none() | st.integers(0, 2**32 - 1),
    latency_ms=st.none() | st.floats(0, 1e9),
    cost_usd=st.none() | st.floats(0, 1e6),
    error=st.none() | st.builds(ErrorInfo, message=text.filter(bool), type=st.none() | text.filter(bool)),
    status=st.sampled_from(["success", "timeout", "cancelled"]),
    finish_reason=text,
    provider=st.none() | text,
    usage=st.none() | st.dictionaries(text, st.integers(0, 10**9), max_size=2),
    tool_calls=st.none() | st.lists(st.fixed_dictionaries({"name": text}), max_size=2),
    stream=st.none() | st.booleans(),
    standalone=st.booleans(),
    weight=st.sampled_from([1.0, 10.0, 2.5]),
    parent_id=st.none() | text,
)  # fmt: skip


@settings(max_examples=50)
@given(calls)
def test_a_call_comes_back_from_sentinel_s_words(event: PromptCallEvent) -> None:
    assert read(telemetry(event).value) == event


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = [*json.loads(SAMPLE), "event_type"]


@settings(max_examples=80)
@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4))
@example(
    {"metadata": {"run_id": "r", "error": "[" * 5000, "llmobs_notes": "event_id was " + "(" * 5000}}
)
def test_whatever_a_field_holds_is_an_event_or_unreadable(fields: dict[str, Any]) -> None:
    value = changed(**fields)
    try:
        event = read(value)
    except UnreadableError:
        assert validate_sentinel(value) != []  # what Sentinel takes, we take
        return
    assert read(value).event_id == event.event_id
    sanitise(event)
    encode(event)
    assert type(event.event_id) is str
    assert event.event_id


@settings(max_examples=50)
@given(st.binary(max_size=200))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"event_type":"run"}')
@example(b'{"event_type":"' + SAMPLE)
@example(SAMPLE[:-20])
@example(SAMPLE + b",")
@example(b"\xef\xbb\xbf" + b"\xff")
@example(b'{"prompt":{},"response":null}')
@example(b"1" * 5000)
def test_other_bytes_are_unreadable(value: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(value)


def test_the_reason_quotes_nothing() -> None:
    for value in (
        b'{"event_type":"sk-secret"}',
        b'{"event_type":"run","run_id":{"sk-secret":1}}',
        changed(prompt="sk-secret"),
    ):
        with pytest.raises(UnreadableError) as refused:
            read(value)
        assert "secret" not in str(refused.value)
    with pytest.raises(UnreadableError, match="no value"):
        read(None)
