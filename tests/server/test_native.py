"""Our own wire: what the HTTP sink sends arrives whole, and everything else has a clear answer."""

import gzip
import json
import sys
import zlib
from functools import partial
from operator import attrgetter
from pathlib import Path

import httpx2
import pytest

import llmobs
from llmobs.codec import decode, encode
from llmobs.pipeline.sink import Batch
from llmobs.recorded.ids import new_id
from llmobs.server.bodies import MAX_MEMBERS
from llmobs.sinks.http import HTTPSink
from tests.helpers import make_event
from tests.server.collecting import HEADERS, body_of, ids, post, stored
from tests.sinks.examples import every_kind, prompt_call
from tests.support.serving import Serving

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


by_id = attrgetter("event_id")


def event_json(**changes: object) -> bytes:
    plain = json.loads(encode(prompt_call(event_id=new_id())))
    return json.dumps({k: v for k, v in {**plain, **changes}.items() if v is not ...}).encode()


@pytest.mark.anyio
@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
async def test_every_kind_of_event_arrives_field_by_field(
    collector: Serving, store: Path, compression: str
) -> None:
    events = every_kind()
    for event in events:
        event.run_id = new_id()
    sink = HTTPSink(f"{collector.url}/v1", wire="native", compression=compression)  # type: ignore[arg-type]
    await sink.open()
    await sink.send(Batch(events))
    await sink.send(Batch(events))  # a redelivery changes nothing
    await sink.aclose()
    found = [event for event in stored(store) if event.event_id in set(ids(events))]
    for event in events:
        if isinstance(event, llmobs.PromptCallEvent):
            event.cost_source = "caller"  # as pricing says of a cost that was given
    sent = [decode(encode(event)) for event in events]
    assert sorted(found, key=by_id) == sorted(sent, key=by_id)


def test_a_client_delivers_to_it(collector: Serving, store: Path) -> None:
    run_id = new_id()
    with llmobs.Client(sink=f"{collector.url}/v1?wire=native", project_id="shop") as client:
        for number in range(300):
            client.log_prompt_call(run_id=run_id, prompt=f"p{number}", model="gpt-4o", response="r")
        report = client.flush()
    assert (report.delivered, report.pending, dict(report.dropped)) == (300, 0, {})
    assert sum(event.run_id == run_id for event in stored(store)) == 300


@pytest.mark.anyio
async def test_a_refused_event_costs_no_other(collector: Serving, store: Path) -> None:
    """What the collector cannot read is named; the sink counts exactly that."""
    good = [prompt_call(event_id=new_id()), prompt_call(event_id=new_id())]
    bad = prompt_call(event_id=new_id())
    bad.tokens_input = "twelve"  # type: ignore[assignment]
    sink = HTTPSink(f"{collector.url}/v1", wire="native")
    await sink.open()
    with pytest.raises(llmobs.SinkRejectedError) as caught:
        await sink.send(Batch([good[0], bad, good[1]]))
    await sink.aclose()
    assert caught.value.delivered
    assert list(caught.value.events) == [bad.event_id]
    assert "Expected `int | null`, got `str`" in caught.value.events[bad.event_id]
    assert {event.event_id for event in good} <= set(ids(stored(store)))
    assert bad.event_id not in ids(stored(store))


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (event_json(tokens_input="x"), "tokens_input"),
        (event_json(event_id=...), "event_id"),
        (event_json(run_id=None), "run_id"),
        (event_json(timestamp="yesterday"), "timestamp"),
        (event_json(event_type="poem"), "event_type"),
        (event_json(event_type=...), "event_type"),
        (event_json(tags=["a", 1]), "tags[1]"),
        (b"7", None),
        (b"null", None),
        (b"[]", None),
    ],
)
def test_the_verdict_names_the_field(collector: Serving, event: bytes, field: str | None) -> None:
    answer = post(collector.url, body_of([event, make_event(event_id=new_id())]))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["stored"]) == (False, 1)
    (verdict,) = body["refused"]
    assert (verdict["index"], verdict.get("field")) == (0, field)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b"[]", 400, "events"),
        (b"{}", 400, "events"),
        (b'{"events":7}', 400, "events"),
        (b'{"events":' + b"[" * 100_000, 400, "body"),
        (b'{"events":[' + b"{}," * 20_000 + b"{}]}", 413, "events"),
        (b'{"events":[' + b"0," * 5_000_000 + b"0]}", 413, "body"),
        (b'{"events":[' + b" " * (33 * 1024 * 1024) + b"]}", 413, "body"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
def test_what_is_no_batch_is_refused_whole(
    collector: Serving, body: bytes, status: int, field: str | None
) -> None:
    answer = post(collector.url, body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"] and error["field"] == field


@pytest.mark.parametrize(
    ("given", "kept"),
    [(b'"half \\ud83d of a pair"', "half \ufffd of a pair"), (b"NaN", None), (b"-Infinity", None)],
)
def test_what_others_call_json_is_read(
    collector: Serving, store: Path, given: bytes, kept: object
) -> None:
    """JavaScript cuts characters in two, Python writes NaN: neither costs the batch."""
    event_id = new_id()
    event = event_json(event_id=event_id, metadata={"odd": "@@"}).replace(b'"@@"', given)
    assert post(collector.url, body_of([event])).json()["stored"] == 1
    (found,) = [event for event in stored(store) if event.event_id == event_id]
    assert found.metadata == {"odd": kept}


def test_nothing_to_store_is_stored(collector: Serving) -> None:
    assert post(collector.url, b'{"events":[]}').json() == {
        "success": True, "stored": 0, "refused": [],
    }  # fmt: skip


def bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("zstd", zstd.compress),
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("GZip", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
        ("zstd", lambda data: zstd.compress(data[:100]) + zstd.compress(data[100:])),
        ("identity", bytes),
    ],
)
def test_what_is_compressed_is_read(collector: Serving, encoding: str, compress: object) -> None:
    events = [prompt_call(event_id=new_id(), prompt="x" * 5000) for _ in range(200)]
    answer = post(collector.url, compress(body_of(events)), encoding=encoding)  # type: ignore[operator]
    assert answer.json() == {"success": True, "stored": 200, "refused": []}


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "deflate"])
def test_what_only_says_it_is_compressed_is_refused(collector: Serving, encoding: str) -> None:
    # A frame of zstd has a checksum only if it is asked for; without one, a changed letter is a letter.
    checked = partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1})
    compress = {"zstd": checked, "gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    whole = compress(body_of([prompt_call(event_id=new_id())]))  # type: ignore[operator]
    for body in (b"this is none", whole[:-9], whole[:40] + b"\0\0\0\0" + whole[44:]):
        answer = post(collector.url, body, encoding=encoding)
        assert answer.status_code == 400
        assert answer.json()["error"]["field"] == "content-encoding"


def test_an_unknown_encoding_is_said(collector: Serving) -> None:
    answer = post(collector.url, b"x", encoding="br")
    assert answer.status_code == 415
    assert "zstd" in answer.json()["error"]["message"]


def memory_of(process_id: int) -> int:
    """Return the most memory a process ever had resident, in bytes."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("encoding", ["zstd", "gzip", "deflate"])
def test_a_bomb_takes_no_memory(collector: Serving, encoding: str) -> None:
    before = memory_of(collector.process.pid)
    if encoding == "zstd":
        bomb = zstd.compress(bytes(1 << 28))
    else:
        compressor = zlib.compressobj(1, wbits=31 if encoding == "gzip" else 15)
        piece = bytes(1 << 24)
        bomb = b"".join([compressor.compress(piece) for _ in range(16)]) + compressor.flush()
    for _ in range(6):  # nor does any leave its own behind
        answer = post(collector.url, bomb, encoding=encoding)
        assert answer.status_code == 413
        assert answer.json()["error"]["field"] == "body"
    assert memory_of(collector.process.pid) - before < 100 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "deflate"])
def test_nor_may_it_come_in_crumbs(collector: Serving, encoding: str) -> None:
    """Each member is opened by itself: a megabyte of empty ones took seconds of the processor's time."""
    compress = {"zstd": zstd.compress, "gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    body, crumb = body_of([make_event(event_id=new_id())]), compress(b"")
    pieces = [compress(body[at : at + 1]) for at in range(len(body))]
    assert 100 < len(pieces) < MAX_MEMBERS
    answer = post(collector.url, b"".join(pieces), encoding=encoding)
    assert (answer.status_code, answer.json()["stored"]) == (200, 1)
    pieces += [crumb] * (MAX_MEMBERS - len(pieces))
    assert post(collector.url, b"".join(pieces), encoding=encoding).status_code == 200
    answer = post(collector.url, b"".join([*pieces, crumb]), encoding=encoding)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "content-encoding")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("inner", [b"[],", b"{},", b"0.5,"])
def test_what_grows_when_it_is_read_takes_no_memory(collector: Serving, inner: bytes) -> None:
    """Two bytes of a list are 64 in memory: 24 MB of them would be a gigabyte."""
    before = memory_of(collector.process.pid)
    many = inner * (24_000_000 // len(inner))
    event = event_json(metadata={"x": "@@"}).replace(b'"@@"', b"[" + many + b"0]")
    answer = post(collector.url, zstd.compress(body_of([event])), encoding="zstd")
    assert answer.status_code == 413
    assert memory_of(collector.process.pid) - before < 200 * 1024 * 1024


def test_a_body_without_a_length_is_bounded_too(collector: Serving) -> None:
    def endless() -> object:
        for _ in range(64):
            yield b" " * (1 << 20)

    try:
        answer = httpx2.post(
            f"{collector.url}/events/batch", content=endless(), headers=HEADERS, timeout=30  # type: ignore[arg-type]
        )  # fmt: skip
    except httpx2.WriteError:  # answered, and closed, while it was still sending
        return
    assert answer.status_code == 413


def test_other_methods_and_paths_are_json_too(collector: Serving) -> None:
    for answer, status in (
        (httpx2.get(f"{collector.url}/v1/events/batch"), 405),
        (httpx2.get(f"{collector.url}/nowhere"), 404),
    ):
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


def test_what_is_received_is_redacted_whatever_the_sender_says(
    collector: Serving, store: Path
) -> None:
    event = prompt_call(event_id=new_id(), prompt="mail jane.doe@example.com", response="ok")
    event.metadata = {"redacted": True, "llmobs.redacted": "yes"}
    event.tokens_input, event.cost_usd = -5, float("inf")
    assert post(collector.url, body_of([event])).json()["stored"] == 1
    (found,) = [e for e in stored(store) if e.event_id == event.event_id]
    assert isinstance(found, llmobs.PromptCallEvent)
    assert "jane.doe" not in str(found.prompt)
    assert found.tokens_input is None


def test_what_is_received_is_priced(collector: Serving, store: Path) -> None:
    event = prompt_call(
        event_id=new_id(), model="gpt-4o", provider="openai", cost_usd=None,
        tokens_input=1000, tokens_output=100,
    )  # fmt: skip
    assert post(collector.url, body_of([event])).json()["stored"] == 1
    (found,) = [e for e in stored(store) if e.event_id == event.event_id]
    assert isinstance(found, llmobs.PromptCallEvent)
    assert found.cost_usd is not None and found.cost_usd > 0
