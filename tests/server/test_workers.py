"""Worker processes: what they read is what the collector would have read, and losing one loses nothing."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from llmobs.codec import encode
from llmobs.recorded.ids import new_id
from llmobs.redaction.events import PROCESS_KEY
from llmobs.server.bodies import RefusedError
from llmobs.server.collector import Collector
from llmobs.server.kafka.records import ReadRecords, packed, read_records
from llmobs.server.native import ReadBatch, read_batch
from llmobs.server.otlp import json_
from llmobs.server.otlp.mapping import Converted
from llmobs.server.preparing import Preparation, Read
from llmobs.server.watchllm.reading import ReadWires
from llmobs.server.watchllm.reading import read_batch as read_wires
from llmobs.server.workers import Workers, is_worker_wanted
from llmobs.settings import Settings
from llmobs.store.filed import file, unfile
from llmobs.store.writer import Writer
from tests.helpers import make_event
from tests.server.collecting import NUMBERS, body_of, post, stored
from tests.sinks.examples import every_kind, prompt_call
from tests.support.polling import eventually
from tests.support.serving import Serving, children_of

DATA = Path(__file__).parents[1] / "data"
CANARY = "ask ann.lee@example.com about 4111 1111 1111 1111"
SALT = b"a store's own"
TELLING_ID = "run of ann.lee@example.com"
"""An identifier that is renamed."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the collector's loop


@asynccontextmanager
async def working(most: int = 1) -> AsyncIterator[Workers]:
    """Workers of which one has been started, as under load."""
    workers = Workers(most, PROCESS_KEY)
    await workers.start()
    try:
        yield workers
    finally:
        workers.close()


async def read(workers: Workers, read_: Any, kind: Any, body: bytes) -> Any:
    found, _ = await workers.read(read_, kind, body, "shop", salt=SALT, others=0)
    return found


def spans() -> bytes:
    text = encode([{"role": "user", "parts": [{"type": "text", "content": CANARY}]}]).decode()
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": text}
    span = {
        "traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "chat gpt-4o",
        "startTimeUnixNano": "1", "endTimeUnixNano": "2",
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
    }  # fmt: skip
    return encode({"resourceSpans": [{"scopeSpans": [{"spans": [span, {"traceId": "none"}]}]}]})


def batch() -> bytes:
    events = every_kind()
    for event in events:
        event.event_id, event.run_id = new_id(), TELLING_ID
    more = [
        prompt_call(event_id=new_id(), prompt=CANARY, metadata={"big": 2**63 - 1, "deep": [[{}]]}),
        prompt_call(event_id=new_id(), prompt=[{"role": "user", "content": CANARY * 10}]),
    ]
    return body_of([*events, b'{"event_type":"nobody\'s"}', *more])


class Record:
    """As aiokafka has them, as far as it is read."""

    timestamp = 1_700_000_000_000

    def __init__(self, value: bytes | None) -> None:
        self.value = value


def records() -> bytes:
    telemetry = {"event_id": new_id(), "model": "gpt-4o", "prompt": {"text": CANARY}}
    events = [prompt_call(event_id=new_id(), run_id=TELLING_ID, prompt=CANARY), *every_kind()]
    values = [encode(telemetry | {"response": {"text": "a"}}), b"noise", None, *map(encode, events)]
    return packed(map(Record, values))


def wires() -> bytes:
    batch = json.loads((DATA / "watchllm_batch_all_types.json").read_bytes())
    first = batch["events"][0]
    first |= {"prompt": CANARY, "run_id": TELLING_ID}
    batch["events"].append(first | {"event_id": new_id(), "response": ""})
    return encode(batch)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("read_", "kind", "body"),
    [
        (read_batch, ReadBatch, batch()),
        (json_.read_spans, Converted, spans()),
        (read_records, ReadRecords, records()),
        (read_wires, ReadWires, wires()),
    ],
    ids=["native", "spans", "kafka", "watchllm"],
)
async def test_it_reads_and_prepares_as_the_collector_does(
    read_: Any, kind: type[Read], body: bytes
) -> None:
    async with working() as workers:
        there = await read(workers, read_, kind, body)
    here = Preparation(Settings()).read(read_, body, "shop")
    filed = [file(event, SALT) for event in here.events]
    assert encode(there.events) == encode(filed)
    assert [unfile(one) for one in there.events] == here.events
    assert any(one.pieces for one in there.events) or kind is not ReadBatch
    assert there.events and all(event.project_id == "shop" for event in there.events)
    # Nor in the id, which is renamed by the same key.
    assert b"ann.lee" not in encode([unfile(one) for one in there.events])
    there.events = here.events = []
    assert encode(there) == encode(here)


@pytest.mark.parametrize(
    ("read_", "body"), [(read_batch, batch()), (json_.read_spans, spans())], ids=["native", "spans"]
)
@pytest.mark.parametrize(
    "settings",
    [
        {"redactor": lambda text: "[OURS]"},
        {"redaction": {"functions": {"prompt_call.prompt": lambda v: "[OURS]"}}},
    ],
)
def test_what_functions_of_the_operator_make_of_a_body_is_what_is_stored(
    read_: Any, body: bytes, settings: dict[str, Any]
) -> None:
    found = Preparation(Settings(**settings)).read(read_, body, None)
    assert b"[OURS]" in encode(found)
    assert b"ask " not in encode(found)


@pytest.mark.anyio
async def test_a_refusal_is_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async with working() as workers:
        for body in (b"no JSON", b'{"events": 3}', b"[" * 100_000):
            with pytest.raises(RefusedError) as there:
                await read(workers, read_batch, ReadBatch, body)
            with pytest.raises(RefusedError) as here:
                read_batch(body)
            assert vars(there.value) == vars(here.value)
        assert await read(workers, read_batch, ReadBatch, batch()) is not None
    assert not caplog.records


def broken(body: bytes) -> ReadBatch:
    """Read what cannot be read."""
    raise ZeroDivisionError


@pytest.mark.anyio
async def test_a_failure_of_ours_is_left_to_the_collector_which_reports_it() -> None:
    async with working() as workers:
        assert await read(workers, broken, ReadBatch, b"") is None
        assert await read(workers, read_batch, ReadBatch, batch()) is not None


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_one_that_is_lost_costs_nothing(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with working() as workers:
        (process_id,) = workers.process_ids
        monkeypatch.setattr("llmobs.server.workers.ANSWER_SECONDS", 1.0)
        os.kill(process_id, number)
        bodies = [batch() for _ in range(3)]
        found = await asyncio.gather(*(read(workers, read_batch, ReadBatch, b) for b in bodies))
        assert found == [None] * 3  # for the collector to do
        assert not len(workers)
        assert "a worker process is lost" in caplog.text
        eventually(lambda: not Path(f"/proc/{process_id}").exists(), what="its end")


def patient(body: bytes) -> ReadBatch:
    """Read for as long as there is no file of that name."""
    path = Path(body.decode())
    eventually(path.exists, timeout=30)
    return ReadBatch([], [], [])


@pytest.mark.anyio
async def test_a_large_body_may_take_longer_and_nobody_is_cut_off_while_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ("x" * 200)
    async with working() as workers:
        monkeypatch.setattr("llmobs.server.workers.ANSWER_SECONDS", 0.2)
        monkeypatch.setattr("llmobs.server.workers.SLOW_BYTES", 10)
        large = asyncio.create_task(read(workers, patient, ReadBatch, str(path).encode()))
        await asyncio.sleep(0)
        small = asyncio.create_task(read(workers, read_batch, ReadBatch, b'{"events":[]}'))
        done, _ = await asyncio.wait({large, small}, timeout=1.8)  # over the small one's
        assert not done
        path.touch()
        assert await large == ReadBatch([], [], [])
        assert await small == ReadBatch([], [], [])


@pytest.mark.anyio
async def test_a_body_that_does_not_end_holds_up_nobody_though_no_worker_was_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "end"
    collector = Collector(lambda: Writer(tmp_path / "llmobs.db"), Settings(), workers=1)
    await collector.open()
    endless = asyncio.create_task(
        collector.read(patient, ReadBatch, str(path).encode(), project=None)
    )
    await asyncio.sleep(0.1)  # it is in the collector's own thread
    with anyio.fail_after(20):
        found = await collector.read(read_batch, ReadBatch, body_of([make_event()]), project=None)
    assert len(found.events) == 1
    assert not endless.done()
    path.touch()
    assert await endless == ReadBatch([], [], [])
    await collector.aclose()


@pytest.mark.anyio
async def test_it_takes_what_the_collector_would_get_to_later() -> None:
    async with working() as workers:
        assert await workers.read(read_batch, ReadBatch, batch(), None, salt=SALT, others=0) != (
            None,
            0,
        )
        (worker,) = workers._workers
        # Not behind what takes long: a prompt of megabytes full of secrets, for instance.
        worker.waiting, worker.used_at = 1, time.monotonic() - 10
        assert await workers.read(read_batch, ReadBatch, batch(), None, salt=SALT, others=9) == (
            None,
            0,
        )
        worker.waiting, worker.used_at = 2, time.monotonic()
        assert await workers.read(read_batch, ReadBatch, batch(), None, salt=SALT, others=0) == (
            None,
            0,
        )
        assert await workers.read(read_batch, ReadBatch, batch(), None, salt=SALT, others=1) != (
            None,
            0,
        )


@pytest.mark.parametrize(
    ("worked", "used", "wanted"),
    [
        (0.9, 0.4, True),  # others take the processor
        (0.4, 0.5, False),
        (0.4, 1.0, True),  # what it stores takes the rest
        (0.1, 1.3, False),  # nearly all is storing, which nobody else can do
    ],
)
def test_one_is_started_when_it_would_be_of_use(worked: float, used: float, wanted: bool) -> None:
    assert is_worker_wanted(worked, used) is wanted


@pytest.mark.anyio
async def test_it_ends_when_it_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.server.workers.WINDOW_SECONDS", 0.05)
    async with working() as workers:
        (process_id,) = workers.process_ids
        care = asyncio.create_task(workers.look_after())
        await asyncio.sleep(0.2)
        assert len(workers) == 1
        monkeypatch.setattr("llmobs.server.workers.IDLE_SECONDS", 0.0)
        deadline = time.monotonic() + 30
        while len(workers) or Path(f"/proc/{process_id}").exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        care.cancel()


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        ({}, True),
        ({"redaction": {"action": "hashed", "key": "k" * 16}}, True),
        ({"redaction": {"action": "numbered"}}, False),  # each would count by itself
        ({"redaction": {"functions": {"prompt_call.prompt": str}}}, False),
        ({"redactor": str}, False),
    ],
)
def test_rules_with_a_state_of_their_own_stay_in_one_process(
    settings: dict[str, Any], may: bool
) -> None:
    assert Preparation(Settings(**settings)).may_be_divided is may


def heeds(process_id: int, number: signal.Signals) -> bool:
    """Whether a signal would reach it."""
    status = Path(f"/proc/{process_id}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line[:6] in ("SigIgn", "SigBlk")]
    return not any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


@pytest.mark.anyio
async def test_it_is_deaf_from_its_first_moment(caplog: pytest.LogCaptureFixture) -> None:
    """A supervisor tells all of a group to end, also who is not ready yet: that is no failure to start."""
    workers = Workers(1, PROCESS_KEY)
    mine = set(children_of(os.getpid()))
    starting = asyncio.create_task(workers.start())
    try:
        with anyio.fail_after(30):
            while not (theirs := set(children_of(os.getpid())) - mine):
                await asyncio.sleep(0)
        (child,) = theirs
        for _ in range(20):
            os.kill(child, signal.SIGTERM)
            os.kill(child, signal.SIGINT)
            await asyncio.sleep(0.01)
        await starting
        assert workers.process_ids == [child]
        assert not heeds(child, signal.SIGTERM)
        assert not heeds(child, signal.SIGINT)
        assert heeds(os.getpid(), signal.SIGTERM)
    finally:
        workers.close()
    assert not caplog.records


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_under_load_a_worker_comes_and_ends_with_the_collector(
    tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "llmobs.db"
    bodies = [
        body_of(make_event(event_id=new_id(), prompt=NUMBERS) for _ in range(200)) for _ in range(4)
    ]
    with Serving(store, "--workers", "1") as serving, ThreadPoolExecutor(4) as senders:

        def comes() -> list[int]:
            answers = list(senders.map(lambda body: post(serving.url, body), bodies))
            assert [answer.json()["stored"] for answer in answers] == [200] * 4
            return children_of(serving.process.pid)

        (child,) = eventually(comes, timeout=60, what="a worker under load")
        # As a supervisor does, and a terminal: to all of them.
        os.kill(child, signal.SIGTERM)
        os.kill(child, signal.SIGINT)
        assert comes() == [child]
        if number == signal.SIGTERM:
            assert serving.terminate() == 0
        else:
            serving.kill()
        eventually(lambda: not Path(f"/proc/{child}").exists(), what="the worker's end")
        assert "Traceback" not in serving.log
    assert len(stored(store)) == 800


def test_without_workers_there_are_none(tmp_path: Path) -> None:
    with Serving(tmp_path / "llmobs.db", "--workers", "0") as serving:
        body = body_of(make_event(event_id=new_id(), prompt=NUMBERS) for _ in range(200))
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert post(serving.url, body).status_code == 200
            assert not children_of(serving.process.pid)
