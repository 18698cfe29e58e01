"""Events too large for a sink arrive shortened, with all that was counted."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs import AsyncClient
from llmobs.codec import decode, encode
from llmobs.errors import SinkTooLargeError, SinkUnavailableError
from llmobs.events import ErrorInfo, PromptCallEvent, RunEvent
from llmobs.pipeline.shorten import shorten, size_of
from llmobs.pipeline.sink import Batch
from tests.helpers import ScriptedSink, make_event
from tests.sinks.examples import every_kind


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 0.001)


def large(**fields: Any) -> PromptCallEvent:
    return make_event(
        **{
            "prompt": [{"role": "user", "content": "question " * 40_000}],
            "response": "answer " * 1_000,
            "model": "gpt-4o",
            "tokens_input": 90_000,
            "tokens_output": 1_200,
            "cost_usd": 0.25,
            "latency_ms": 1234.5,
            **fields,
        }
    )


class Narrow(ScriptedSink):
    """Takes requests up to *most* bytes."""

    def __init__(self, most: int, *, says: bool = False, script: Any = ()) -> None:
        super().__init__(script)
        self.most, self.says, self.refused = most, says, 0

    async def send(self, batch: Batch) -> None:
        if len(b"".join(batch.json())) > self.most:
            self.refused += 1
            raise SinkTooLargeError("HTTP 413", limit=self.most if self.says else None)
        await super().send(batch)


@pytest.mark.anyio
@pytest.mark.parametrize("says", [False, True])
@pytest.mark.parametrize("most", [2_000, 20_000, 250_000])
async def test_an_event_too_large_for_the_sink_arrives_shortened(
    most: int, says: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Narrow(most, says=says)
    async with AsyncClient(sink=[sink, "memory:"], redact_pii=False) as client:
        small = [make_event() for _ in range(5)]
        events = [*small[:3], large(), large(), *small[3:]]
        wholes = [encode(event) for event in events]
        for event in events:
            client.record(event, None, 0, False)
        await client.flush()
        refused = sink.refused
        client.record(large(), None, 0, False)
        await client.flush()
    assert sink.refused - refused == 1  # it has learned what fits
    statistics = client.statistics()
    assert (statistics.delivered, statistics.dropped) == (16, {})
    by_id = {event.event_id: event for event in sink.events}
    assert len(by_id) == 8
    for event, whole in zip(events, wholes, strict=True):
        got: Any = by_id[event.event_id]
        if len(whole) < 1_000:
            assert got.warnings == ()
            continue
        assert most // 3 < size_of(got) <= most
        assert (got.tokens_input, got.tokens_output, got.cost_usd) == (90_000, 1_200, 0.25)
        assert (got.model, got.latency_ms) == ("gpt-4o", 1234.5)
        (said,) = got.warnings
        assert f"shortened from {size_of(event)} bytes" in said and "prompt" in said
        assert "characters left out" in str(got.prompt)
        # The other sink's is whole, and nothing says otherwise.
        assert event.warnings == () and len(str(event.prompt)) > 300_000
    assert caplog.text.count("is too large and leaves shortened") == 1


@pytest.mark.anyio
async def test_what_was_shortened_stays_so_while_it_waits() -> None:
    sink = Narrow(20_000)
    script = [SinkTooLargeError("413"), SinkUnavailableError("away"), SinkUnavailableError("away")]
    sink.script = list(script)
    async with AsyncClient(sink=sink) as client:
        client.record(large(), None, 0, False)
        await client.flush()
    assert client.statistics().delivered == 1
    assert size_of(sink.events[0]) <= 20_000


@pytest.mark.anyio
async def test_a_batch_from_disk_is_shortened_too(tmp_path: Path) -> None:
    sink = Narrow(20_000)
    async with AsyncClient(sink=sink, spool_dir=tmp_path, durability="disk") as client:
        client.record(large(), None, 0, False)
        await client.flush()
    assert client.statistics().dropped == {}
    (got,) = sink.events
    assert getattr(got, "tokens_input", None) == 90_000 and "shortened" in got.warnings[0]


@pytest.mark.anyio
async def test_what_never_fits_is_dropped_in_few_attempts() -> None:
    sink = Narrow(10)
    async with AsyncClient(sink=sink) as client:
        client.record(large(), None, 0, False)
        await client.flush()
    assert client.statistics().dropped == {"too_large": 1}
    assert sink.refused < 12


texts = st.text(max_size=400)
values: Any = st.recursive(
    st.none() | st.integers(-(2**40), 2**40) | texts,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(texts, inner, max_size=20),
    max_leaves=60,
)


@settings(max_examples=60)
@given(
    value=values,
    tool_calls=st.none() | st.lists(st.dictionaries(texts, values, max_size=4), max_size=12),
    metadata=st.none() | st.dictionaries(texts, values, max_size=100),
    stack=texts,
    size=st.integers(300, 5_000),
)
def test_a_shortened_event_is_one_that_can_be_read(
    value: Any, tool_calls: Any, metadata: Any, stack: str, size: int
) -> None:
    event = large(
        prompt=value,
        tool_calls=tool_calls,
        metadata=metadata,
        error=ErrorInfo(message="m" * 3000, stack=stack * 100, context=metadata),
        tags=tuple("tag" * 100 for _ in range(200)),
        prompt_embedding=[0.5] * 3_000,
    )
    before = encode(event)
    short: Any = shorten(event, size)
    assert encode(event) == before
    again: Any = decode(encode(short))
    assert (again.event_id, again.run_id, again.tokens_input) == (
        event.event_id,
        event.run_id,
        90_000,
    )
    assert size_of(short) <= max(size, len(before) // 2)


def test_every_kind_of_event_can_be_shortened() -> None:
    for event in every_kind():
        if isinstance(event, RunEvent):
            event.metadata = {}
        for field in event.__struct_fields__:
            if type(getattr(event, field)) is str and field not in ("event_id", "run_id"):
                setattr(event, field, "x" * 20_000)
        event.metadata = {f"k{n}": "v" * 100 for n in range(2_000)}
        short = shorten(event, 10_000)
        assert size_of(short) <= 10_000, event
        assert decode(encode(short)).event_id == event.event_id
