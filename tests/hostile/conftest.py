"""Clients that deliver to every sink, and a ledger that must be exact at the end."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmobs
from llmobs.client.async_client import Recording
from llmobs.codec import decode
from llmobs.pipeline.statistics import Statistics
from llmobs.store.reader import Reader
from llmobs.watchllm import WatchLLMClient
from tests.hostile import values
from tests.hostile.sinks import EverySink

QUIET: dict[str, Any] = {"flush_interval_seconds": 60, "max_queue_bytes": 1_000_000_000}
"""Nothing leaves before the end, and nothing has to."""


@pytest.fixture(autouse=True)
def no_foreign_code_ran() -> Iterator[None]:
    """What a value would do when asked is not found out: it could take for ever."""
    values.ran.clear()
    yield
    assert not values.ran, values.ran[0]


@pytest.fixture
def sink() -> EverySink:
    return EverySink()


@pytest.fixture
def client(sink: EverySink, tmp_path: Path) -> Iterator[llmobs.Client]:
    """A client with every embedded sink, whose events are read back from each."""
    store, lines = tmp_path / "s.db", tmp_path / "e.jsonl"
    sinks = [sink, f"sqlite:///{store}", f"jsonl:///{lines}", "memory:"]
    with llmobs.Client(sink=sinks, **QUIET) as client:
        yield client
        settle(client, sink)
    ids = Counter(sink.ids)
    assert Counter(json.loads(line)["event_id"] for line in lines.read_text().splitlines()) == ids
    assert Counter(decode(line).event_id for line in lines.read_bytes().splitlines()) == ids
    with Reader(store) as reader:
        assert {decode(found.body).event_id for found in reader.tail(0, limit=1_000_000)} == set(
            ids
        )
        list(reader.runs(limit=1_000))
        reader.cost()


@pytest.fixture
def single(sink: EverySink) -> Iterator[llmobs.Client]:
    """A client with one sink, which cuts what is long: for kinds that are dear to deliver."""
    with llmobs.Client(sink=sink, capture_bytes=10_000, **QUIET) as client:
        yield client
        settle(client, sink)


@pytest.fixture
def watching(sink: EverySink, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchLLMClient]:
    """WatchLLM's client, with a sink that can be read."""
    monkeypatch.setattr("llmobs.watchllm.client.LoggingHTTPSink", lambda *args, **kwargs: sink)
    with WatchLLMClient("key", "project", flush_interval_seconds=60) as client:
        yield client
        settle(client, sink)


def settle(client: llmobs.Client, sink: EverySink) -> None:
    """Deliver everything, and check that all that was accepted came, and is readable in every form."""
    report = client.flush(50)
    assert not sink.failed, "\n".join(sink.failed)
    assert report.pending == 0
    check_ledger(client, sink)


def check_ledger(client: Recording, sink: EverySink) -> None:
    """Check that accepted = delivered + dropped + spooled + pending, for each sink, with nothing lost."""
    total = client.statistics()
    for part in [*(total.sinks or {"": total}).values()]:
        assert part == Statistics(
            accepted=len(sink.ids),
            delivered=len(sink.ids),
            state=part.state,
            sinks=part.sinks,
        ), part
