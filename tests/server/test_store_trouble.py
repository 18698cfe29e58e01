"""A store that cannot be used now: senders are told to come again, and nothing is lost meanwhile."""

import json
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
)

import llmobs
from llmobs.codec import NATIVE_TYPE, encode
from llmobs.recorded.ids import new_id
from tests.server.collecting import body_of, ids, post, stored
from tests.sinks.examples import prompt_call
from tests.support.polling import eventually
from tests.support.serving import Serving


@contextmanager
def locked(store: Path) -> Iterator[None]:
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def damaged(store: Path) -> Iterator[None]:
    aside = store.with_suffix(".aside")
    os.rename(store, aside)
    for name in ("-wal", "-shm"):
        store.with_name(store.name + name).unlink(missing_ok=True)
    store.write_bytes(b"not a database at all" * 400)
    yield
    os.rename(aside, store)


@contextmanager
def newer(store: Path) -> Iterator[None]:
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        (version,) = other.execute("PRAGMA user_version").fetchone()
        other.execute("PRAGMA user_version = 9999")
    yield
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute(f"PRAGMA user_version = {version}")


Way = tuple[str, str]
"""A path below ``/v1``, and the content type."""

WAYS: list[Way] = [
    ("events/batch", NATIVE_TYPE),
    ("traces", "application/json"),
    ("traces", "application/x-protobuf"),
    ("logs", "application/json"),
    ("logs", "application/x-protobuf"),
]


def send(url: str, way: Way, text: str) -> httpx2.Response:
    """Send one call that says *text*."""
    path, kind = way
    trace_id, span_id = os.urandom(16), os.urandom(8)
    if kind == NATIVE_TYPE:
        content = body_of([prompt_call(event_id=new_id(), prompt=text)])
    elif kind == "application/json":
        ids = {"traceId": trace_id.hex(), "spanId": span_id.hex()}
        attributes = [
            {"key": name, "value": {"stringValue": value}} for name, value in told(text).items()
        ]
        content = encode(
            {"resourceSpans": [{"scopeSpans": [{"spans": [{**ids, "attributes": attributes}]}]}]}
            if path == "traces"
            else {"resourceLogs": [{"scopeLogs": [
                {"logRecords": [{**ids, "eventName": DETAILS, "attributes": attributes}]}
            ]}]}
        )  # fmt: skip
    else:
        request: Any
        if path == "traces":
            request = ExportTraceServiceRequest()
            record = request.resource_spans.add().scope_spans.add().spans.add()
        else:
            request = ExportLogsServiceRequest()
            record = request.resource_logs.add().scope_logs.add().log_records.add()
            record.event_name = DETAILS
        record.trace_id, record.span_id = trace_id, span_id
        for name, value in told(text).items():
            record.attributes.add(key=name).value.string_value = value
        content = request.SerializeToString()
    return httpx2.post(
        f"{url}/v1/{path}", content=content, headers={"content-type": kind}, timeout=60
    )


DETAILS = "gen_ai.client.inference.operation.details"


def told(text: str) -> dict[str, str]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.prompt": text,
    }


def assert_may_come_again(answer: httpx2.Response, way: Way, status: int, code: int) -> None:
    """See that a sender is told so in the words of its wire: OTLP's are ``google.rpc.Status``."""
    path, kind = way
    assert answer.status_code == status
    assert int(answer.headers["retry-after"]) >= 1
    if path == "events/batch":
        assert answer.json()["error"]["message"]
        return
    assert answer.headers["content-type"] == kind
    if kind == "application/json":
        said = answer.json()
        assert said["code"] == code and said["message"]
    else:  # its two fields have the numbers and types of these
        told = ExportTracePartialSuccess.FromString(answer.content)
        assert told.rejected_spans == code and told.error_message


@pytest.mark.parametrize("trouble", [locked, damaged, newer], ids=lambda f: f.__name__)
def test_it_answers_503_until_it_is_mended(tmp_path: Path, trouble: object) -> None:
    store = tmp_path / "llmobs.db"
    first, second = prompt_call(event_id=new_id()), prompt_call(event_id=new_id())
    with Serving(store) as collector:
        assert post(collector.url, body_of([first])).status_code == 200
        with trouble(store):  # type: ignore[operator]
            answer = post(collector.url, body_of([second]))
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert str(tmp_path) not in answer.text  # a file's name is nobody's business
            eventually(lambda: "llmobs: nothing can be stored" in collector.log, what="the line")
            with ThreadPoolExecutor() as pool:  # a locked store is waited for
                # WatchLLM's wire says it in its own form.
                wire = pool.submit(post_watchllm, collector.url)
                answers = pool.map(lambda way: send(collector.url, way, "x"), WAYS[1:])
                for way, answer in zip(WAYS[1:], answers, strict=True):
                    assert_may_come_again(answer, way, 503, 14)  # UNAVAILABLE
                said = wire.result()
            assert (said.status_code, said.json()["error"]["code"]) == (503, "internal_error")
        eventually(
            lambda: post(collector.url, body_of([second])).status_code == 200,
            timeout=20, interval=0.3, what="mended",
        )  # fmt: skip
        eventually(lambda: "can be used again" in collector.log, what="the line")
        assert collector.terminate() == 0
    assert set(ids(stored(store))) >= {first.event_id, second.event_id}


def post_watchllm(url: str) -> httpx2.Response:
    data = Path(__file__).parents[1] / "data" / "watchllm_batch_minimal.json"
    body = json.loads(data.read_bytes())
    body["events"] = body["events"][:1]
    return httpx2.post(f"{url}/v1/events/batch", json=body, timeout=30)


def test_it_starts_on_a_damaged_store_and_waits(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    store.write_bytes(b"not a database at all" * 400)
    with Serving(store) as collector:
        assert post(collector.url, body_of([prompt_call()])).status_code == 503
        assert store.read_bytes().startswith(b"not a")  # the file may be the only copy
        store.unlink()
        eventually(
            lambda: post(collector.url, body_of([prompt_call()])).status_code == 200,
            timeout=20, interval=0.3, what="a new store",
        )  # fmt: skip


def test_a_client_spools_and_delivers_when_it_is_mended(tmp_path: Path) -> None:
    store, run_id = tmp_path / "llmobs.db", new_id()
    with (
        Serving(store) as collector,
        llmobs.Client(
            sink=f"{collector.url}/v1?wire=native", spool_dir=tmp_path / "spool",
            flush_interval_seconds=0.05,
        ) as client,
    ):  # fmt: skip
        # A store has its version once it is made; it answers before that.
        ready = f"{collector.url}/ready"
        eventually(lambda: httpx2.get(ready).is_success, timeout=30, what="the store")
        with newer(store):
            for _ in range(20):
                client.log_prompt_call(run_id=run_id, prompt="p", model="m", response="r")
            report = client.flush(timeout=3)
            assert report.delivered == 0 and not any(report.dropped.values())
            assert report.spooled + report.pending == 20
        eventually(lambda: client.flush(timeout=5).pending == 0, timeout=60, what="delivery")
        eventually(
            lambda: sum(e.run_id == run_id for e in stored(store)) == 20, timeout=30, what="all"
        )
        assert not any(client.statistics().dropped.values())


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("full") / "llmobs.db") as collector:
        yield collector


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way[0]}-{way[1]}")
def test_a_full_collector_says_when_to_come_again(collector: Serving, way: Way) -> None:
    """A store that is locked holds everything up: what is beyond the room is refused, not kept."""
    assert post(collector.url, body_of([prompt_call(event_id=new_id())])).status_code == 200
    text = "x" * 20_000_000
    with locked(collector.store), ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: send(collector.url, way, text), range(6)))
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) <= {429, 503} and 429 in statuses and 503 in statuses
    for answer in answers:
        code = {429: 8, 503: 14}[answer.status_code]  # RESOURCE_EXHAUSTED
        assert_may_come_again(answer, way, answer.status_code, code)
    assert send(collector.url, way, "x").status_code == 200  # room again
