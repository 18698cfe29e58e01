"""llmobs.pipeline.sanitise: what identifies an event is mended like everything else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from llmobs import AsyncClient
from llmobs.codec import decode, encode
from llmobs.pipeline.sanitise import sanitise
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
