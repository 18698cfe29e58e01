"""llmobs.pipeline.sanitise: what identifies an event is mended like everything else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from llmobs import AsyncClient
from llmobs.codec import decode, encode
from llmobs.pipeline.sanitise import sanitise
from llmobs.recorded.ids import MAX_ID_LENGTH
from llmobs.sinks._otlp_protobuf import TraceRequest
from llmobs.sinks._watchllm import to_watchllm
from tests.helpers import ScriptedSink, make_event

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "time", [NOON, NOON.timestamp(), int(NOON.timestamp()), "2026-11-21T12:00:00Z"]
)
def test_a_time_may_be_written_in_several_ways(time: Any) -> None:
    event = make_event(timestamp=time)
    sanitise(event)
    assert (event.timestamp, event.warnings) == (NOON, ())


@pytest.mark.parametrize("time", [None, "noon", float("nan"), 10**400, True, b"x", [], object()])
def test_what_is_no_time_becomes_the_time_of_sending_and_is_said(time: Any) -> None:
    event = make_event(timestamp=time)
    before = datetime.now(UTC)
    sanitise(event)
    assert before <= event.timestamp <= datetime.now(UTC)
    assert "is not a time" in event.warnings[0]


@pytest.mark.parametrize("name", ["run_id", "event_id", "parent_id", "session_id", "user_id"])
def test_ids_without_end_are_cut_and_still_join(name: str) -> None:
    long = "of a customer " + "x" * 2_000_000
    one, same, another = (make_event(**{name: v}) for v in (long, long, f"{long}y"))
    for event in (one, same, another):
        sanitise(event)
    cut = getattr(one, name)
    assert len(cut) <= MAX_ID_LENGTH and cut.startswith("of a customer ")
    assert getattr(same, name) == cut != getattr(another, name)
    assert one.warnings == (f"{name} was {len(long)} characters long; cut",)
    kept = make_event(**{name: "x" * MAX_ID_LENGTH})
    sanitise(kept)
    assert (getattr(kept, name), kept.warnings) == ("x" * MAX_ID_LENGTH, ())


@pytest.mark.parametrize("name", ["run_id", "event_id"])
@pytest.mark.parametrize("value", [5, None, 1.5, b"x", object(), ["a"]])
def test_ids_are_texts_on_every_wire(name: str, value: Any) -> None:
    event = make_event(**{name: value})
    sanitise(event)
    assert type(getattr(event, name)) is str
    assert getattr(decode(encode(event)), name) == getattr(event, name)
    assert type(to_watchllm(event)[name]) is str
    TraceRequest().add(event)


@pytest.mark.anyio
async def test_a_number_for_a_run_id_is_sampled_like_its_text() -> None:
    async with AsyncClient(sink=(sink := ScriptedSink()), sample_rate=0.5) as client:
        for number in range(1, 51):
            client.log_error(number, "e")  # type: ignore[arg-type]
            client.log_error(str(number), "e")
    kept = [event.run_id for event in sink.events]
    assert 0 < len(kept) < 100
    assert all(kept.count(run_id) == 2 for run_id in kept)


@pytest.mark.parametrize(
    ("given", "kept", "aside"),
    [
        ({"web_searches": 3}, {"web_searches": 3}, None),
        (
            {"web_searches": "3", "audio_seconds": 2.6},
            {"web_searches": 3, "audio_seconds": 3},
            None,
        ),
        ({"a": 1, "b": -1, "c": True, "d": "x"}, {"a": 1}, {"b": -1, "c": True, "d": "x"}),
        ({"a": 2**63, "B c": 1, 5: 1}, None, {"a": 2**63, "B c": 1, "5": 1}),
        (
            {f"k{n}": n for n in range(70)},
            {f"k{n}": n for n in range(64)},
            {f"k{n}": n for n in range(64, 70)},
        ),
        ({}, None, None),
        ([1], None, [1]),
        ("x", None, "x"),
        (5, None, 5),
    ],
)
def test_counts_by_kind_are_counts(given: Any, kept: Any, aside: Any) -> None:
    for _ in range(2):  # the second time the types are known
        event = make_event(usage=given)
        sanitise(event)
        assert event.usage == kept
        assert event.metadata == (None if aside is None else {"usage": aside})
        assert bool(event.warnings) == (aside is not None)


@pytest.mark.parametrize(
    ("given", "host", "name"),
    [
        ("google_genai", None, "gcp.gemini"),
        ("openai", "openrouter.ai", "openrouter"),
        (None, "api.groq.com", "groq"),
        (None, "localhost", None),
        ("", None, None),
        (5, None, "5"),
        ("x" * 10_000, None, "x" * 10_000),
        ("openai", "y" * 10_000, "openai"),
    ],
)
def test_a_provider_has_one_name(given: Any, host: Any, name: Any) -> None:
    event = make_event(provider=given, server_address=host)
    sanitise(event)
    assert event.provider == name
