"""Wire bytes → expected event, over a mock transport; whole, and in pieces of every kind."""

import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.contrib.httpx import RecordingTransport
from llmobs.recorded.providers import NAMES, provider_name
from llmobs.testing import capture_events
from tests.contrib.corpus import Case, js
from tests.contrib.corpus.all import CASES, KINDS, table

ROOT = Path(__file__).parents[3]
MOST_PIECES = 10_000
"""A body of two megabytes in pieces of a byte each shows what one of ten thousand shows."""


class Body(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


def in_pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def record(case: Case, size: int) -> PromptCallEvent:
    """Send the case's request, read its answer in pieces of *size*, return the one event."""
    size = max(size, len(case.body) // MOST_PIECES) if size else len(case.body) or 1
    pieces = in_pieces(case.body, size)

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.content == js(case.request)
        return httpx2.Response(case.status, headers=case.headers, stream=Body(pieces))

    client = Client(sink="memory:", capture_bytes=case.limit)
    transport = RecordingTransport(httpx2.MockTransport(answer), llmobs_client=client)
    with capture_events() as events, httpx2.Client(transport=transport) as http:
        request = http.build_request(
            "POST",
            f"https://{case.host}{case.path}",
            content=js(case.request),
            headers={"x-stainless-lang": "python", "x-stainless-retry-count": "0"},
        )
        response = http.send(request, stream=True)
        raw = response.iter_raw()
        passed = b"".join(next(raw) for _ in pieces) if case.closed else b"".join(raw)
        response.close()
    assert passed == case.body
    [event] = events
    assert isinstance(event, PromptCallEvent)
    return event


def told(event: PromptCallEvent, names: Any) -> dict[str, Any]:
    plain = msgspec.structs.asdict(event)
    if event.error is not None:
        plain["error"] = {name: getattr(event.error, name) for name in ("message", "type", "code")}
    return {name: plain[name] for name in names}


@pytest.mark.parametrize("size", [0, 7, 1], ids=["whole", "sevens", "bytes"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus(case: Case, size: int) -> None:
    event = record(case, size)
    assert told(event, case.expect) == case.expect
    assert event.http_status == case.status
    assert event.latency_ms is not None
    answered = any(message["parts"] for message in event.response or ())
    if event.stream and answered and event.status == "success" and size != 1:
        assert event.time_to_first_token_ms is not None
        assert 0 < event.time_to_first_token_ms <= event.latency_ms


def test_the_corpus_is_large_and_each_case_has_its_own_name() -> None:
    assert len({(case.path, case.name) for case in CASES}) == len(CASES) >= 200


def test_every_kind_occurs_with_several_providers() -> None:
    counts = table()
    for kind in KINDS:
        assert sum(bool(row[kind]) for row in counts.values()) >= 2, kind
        assert counts["openai"][kind], kind
        assert counts["anthropic"][kind], kind


def test_the_corpus_holds_what_the_page_on_usage_says_is_told() -> None:
    told = runpy.run_path(str(ROOT / "docs" / "generate_usage.py"))["TOLD"]
    assert set(told) <= set(NAMES)
    found: dict[str, set[str]] = {}
    for case in CASES:
        wire = "anthropic" if "/messages" in case.path else "openai"
        provider = provider_name(case.expect.get("provider") or wire, case.host)
        kinds = found.setdefault(provider, set())
        kinds |= {name for name, value in case.expect.items() if value and "tokens_" in name}
        kinds |= set(case.expect.get("usage") or ())
        kinds |= {"cost"} if case.expect.get("cost_source") == "provider" else set()
    missing = {name: set(words.split()) - found[name] for name, words in told.items()}
    assert not {name: words for name, words in missing.items() if words}


LEFT = ("closed after 5 of the events: the input is known, the output is not",)


@pytest.mark.parametrize("case", [c for c in CASES if c.name in LEFT], ids=lambda case: case.name)
def test_who_leaves_in_the_middle_of_an_event_cancels(case: Case) -> None:
    """Wherever the last piece that came was cut: the provider did nothing wrong."""
    whole = case.body.rindex(b"event:")
    for end in range(whole, len(case.body), 5):
        event = record(replace(case, body=case.body[:end]), 0)
        assert (event.status, event.error, event.warnings) == ("cancelled", None, ())
