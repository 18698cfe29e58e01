"""The spool through real processes, real connections and real disks."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest

from llmobs import AsyncClient
from llmobs.codec import decode
from tests.faults.cases import BATCH, arrived
from tests.faults.watch import balance, watching
from tests.helpers import poll
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Fault
from tests.support.kafka_runtime import Unavailable
from tests.support.small_disk import small_disk
from tests.support.watchllm_server import WatchLLMServer

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 0.02)
    monkeypatch.setattr("llmobs.pipeline.disk_writer.RETRY_SECONDS", 0.05)


def settings(address: str, spool: Path, **more: Any) -> dict[str, Any]:
    return {
        "sink": f"http://test-key@{address}/v1",
        "spool_dir": str(spool),
        "timeout": 5,
        "batch_size": BATCH,
        "flush_interval_seconds": 0.02,
        **more,
    }


def log(client: AsyncClient, count: int, text: str = "a") -> list[str]:
    return [client.log_prompt_call("r", f"p{n}", "m", text) for n in range(count)]


def on_disk(spool: Path) -> list[str]:
    """Ids of the events in whole files; every line must be one."""
    found = []
    for path in sorted(spool.rglob("[!.]*.jsonl")):
        with suppress(FileNotFoundError):  # sent meanwhile
            found += [decode(line).event_id for line in path.read_bytes().splitlines()]
    return found


def size(spool: Path) -> int:
    found = 0
    for path in spool.rglob("*.jsonl"):
        with suppress(FileNotFoundError):  # sent meanwhile
            found += path.stat().st_size
    return found


async def until(condition: Any, seconds: float = 15.0) -> None:
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.01)


@cache
def environment() -> dict[str, str]:
    """That of the processes: they share compiled modules, or each would take seconds to start."""
    compiled = Path(tempfile.gettempdir()) / f"llmobs-faults-{os.getuid()}"
    own = {"PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **own}


@contextmanager
def victim(count: int | None, pause: float, until: str, **keywords: Any) -> Iterator[Any]:
    """The process; killed at the end if it still runs."""
    arguments = json.dumps({"count": count, "pause": pause, "until": until, **keywords})
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.victim", arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def replay_all(proxy: FaultProxy, spool: Path) -> None:
    """A process that finds the spool and a healthy sink sends everything."""
    proxy.refusing = False

    async def work() -> None:
        async with AsyncClient(**settings(proxy.address, spool)) as client:
            await until(lambda: not on_disk(spool))
            await client.flush()
        balance(client.statistics())

    anyio.run(work)


def real(counts: Counter[str], server: WatchLLMServer) -> Counter[str]:
    """Without the events that only start a process."""
    starts = {e["event_id"] for e in server.events if e["event_type"] == "error"}
    return Counter({event_id: n for event_id, n in counts.items() if event_id not in starts})


@pytest.mark.anyio
@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("trio", {})],
    ids=["asyncio", "trio"],
)
async def test_down_then_up(server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.refusing = True
    client = AsyncClient(**settings(proxy.address, tmp_path))
    async with watching(client), client:
        ids = log(client, 50)
        await until(lambda: client.statistics().spooled >= 40)
        assert (await client.flush(5)).pending == 0
        ids += log(client, 50)
        await until(lambda: client.statistics().spooled == 100)
        assert sorted(on_disk(tmp_path)) == sorted(ids)
        proxy.refusing = False
        await until(lambda: client.statistics().delivered == 100)
        ids += log(client, 10)
        assert (await client.flush(5)).complete
    assert client.statistics().spooled == 0
    assert arrived(server) == dict.fromkeys(ids, 1)
    assert on_disk(tmp_path) == []


@pytest.mark.anyio
async def test_what_the_server_refuses_from_disk_is_counted(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.refusing = True
    client = AsyncClient(**settings(proxy.address, tmp_path))
    async with watching(client), client:
        log(client, 30)
        await until(lambda: client.statistics().spooled == 30)
        body = b'{"error":"failed: events.3.prompt: Required"}'
        server.faults.add(Fault.answer(413), Fault.answer(400, body))
        proxy.refusing = False
        await until(lambda: client.statistics().spooled == 0)
    assert client.statistics().dropped == {"rejected": 1}
    assert client.statistics().delivered == 29 == len(arrived(server))


@pytest.mark.anyio
async def test_a_full_spool_lets_its_oldest_go_and_counts_them(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.refusing = True
    cap = 40_000
    client = AsyncClient(**settings(proxy.address, tmp_path, spool_bytes=cap))
    async with watching(client), client:
        ids: list[str] = []
        for _ in range(20):
            ids += log(client, BATCH, "x" * 500)
            await client.flush(5)
            assert size(tmp_path) <= cap
        kept = on_disk(tmp_path)
        statistics = client.statistics()
        assert statistics.dropped == {"spool_full": 200 - len(kept)}
        assert statistics.spooled == len(kept) > 20
        # The oldest may have been under way when there was no room: then the next one went.
        assert kept[BATCH:] == ids[BATCH - len(kept) :]
        oldest = ids.index(kept[0])
        assert kept[:BATCH] == ids[oldest : oldest + BATCH]
        # One batch that is larger than the whole spool must not cost what is in it.
        log(client, 1, "y" * cap)
        await client.flush(5)
        assert on_disk(tmp_path) == kept
        proxy.refusing = False
        await until(lambda: client.statistics().delivered == len(kept))
    assert sorted(arrived(server)) == sorted(kept)
    assert client.statistics().dropped == {"spool_full": 200 - len(kept) + 1}


@contextmanager
def going_bad(kind: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A disk, and what spoils it: a client is refused one that is bad from the start."""

    def spoil() -> None:
        if kind == "full":
            rest = os.open(disk / "rest", os.O_CREAT | os.O_WRONLY)
            with suppress(OSError):
                while os.write(rest, bytes(4096)):
                    pass
            os.close(rest)
        else:
            remount = ["mount", "-o", "remount,ro", str(disk)]
            subprocess.run(remount, check=True, capture_output=True, timeout=30)

    try:
        with small_disk(1) as disk:
            yield disk, spoil
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.mark.anyio
@pytest.mark.parametrize("durability", ["memory", "disk"])
@pytest.mark.parametrize("kind", ["full", "read-only"])
async def test_a_bad_disk_leaves_events_in_memory(
    server: WatchLLMServer,
    proxy: FaultProxy,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    durability: str,
) -> None:
    with going_bad(kind) as (disk, spoil):
        proxy.refusing = True
        client = AsyncClient(**settings(proxy.address, disk / "s", durability=durability))
        spoil()
        async with watching(client), client:
            ids = log(client, 50)
            await until(lambda: "cannot write to the spool" in caplog.text)
            assert (client.statistics().pending, client.statistics().spooled) == (50, 0)
            proxy.refusing = False
            await until(lambda: client.statistics().delivered == 50)
        assert arrived(server) == dict.fromkeys(ids, 1)
        assert caplog.text.count("cannot write to the spool") == 1


@pytest.mark.anyio
async def test_a_disk_that_recovers_takes_events_again(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "spool"
    proxy.refusing = True
    client = AsyncClient(**settings(proxy.address, in_the_way))
    shutil.rmtree(in_the_way, ignore_errors=True)
    in_the_way.write_text("a file where the directory should be")
    async with watching(client), client:
        ids = log(client, 30)
        await until(lambda: client.statistics().retries > 5)
        assert client.statistics().pending == 30
        in_the_way.unlink()
        await until(lambda: client.statistics().spooled == 30)
        proxy.refusing = False
        await until(lambda: client.statistics().delivered == 30)
    assert arrived(server) == dict.fromkeys(ids, 1)


@pytest.mark.anyio
async def test_the_shutdown_deadline_neither_doubles_nor_locks(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Closing in the middle of writing and of replaying; the same process starts again."""
    rng = random.Random(5)
    ids: list[str] = []
    for _ in range(8):
        proxy.freeze()
        client = AsyncClient(
            **settings(proxy.address, tmp_path, shutdown_timeout=rng.uniform(0, 0.05)),
            overflow="spill",
            max_queue_events=40,
        )
        async with watching(client), client:
            ids += log(client, 30)
            await anyio.sleep(rng.uniform(0, 0.05))
        statistics = client.statistics()
        balance(statistics)
        assert (statistics.dropped, statistics.pending) == ({}, 0)
        proxy.cut()
        proxy.thaw()
    kept = on_disk(tmp_path)
    assert len(kept) == len(set(kept))
    async with AsyncClient(**settings(proxy.address, tmp_path)) as client:
        await until(lambda: not on_disk(tmp_path))
    # A frozen connection that is cut may have carried its batch: at least once.
    assert set(arrived(server)) == set(ids)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_while_spooling(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path, seed: int
) -> None:
    proxy.refusing = True
    rng = random.Random(seed)
    keywords = settings(proxy.address, tmp_path, durability="disk", batch_size=100)
    with victim(None, 0.001, "killed", **keywords) as process:
        poll(lambda: on_disk(tmp_path), 20)
        time.sleep(rng.uniform(0.05, 0.4))
        process.send_signal(signal.SIGKILL)
        said = [line.split() for line in process.stdout.read().splitlines()]
    kept = on_disk(tmp_path)
    assert len(kept) == len(set(kept))
    last = float(said[-1][1])
    # The promise is 100 ms; the machine that runs the suite may stall for longer.
    due = {event_id for event_id, when in said if float(when) < last - 0.5}
    assert due <= set(kept)
    replay_all(proxy, tmp_path)
    # What was being written when it was killed is found by replay, under a name not looked at above.
    came = arrived(server)
    assert set(kept) <= set(came)
    assert set(came.values()) == {1}


def test_kill_9_while_replaying(server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.refusing = True

    async def fill() -> list[str]:
        async with AsyncClient(**settings(proxy.address, tmp_path)) as client:
            ids = log(client, 600)
            await until(lambda: client.statistics().spooled == 600)
        return ids

    ids = anyio.run(fill)
    proxy.refusing, proxy.delay = False, 0.002
    rng = random.Random(7)
    kills = 0
    for _ in range(4):
        before = len(server.events)
        with victim(0, 0, "killed", **settings(proxy.address, tmp_path)) as process:
            poll(lambda before=before: len(server.events) > before, 20)
            time.sleep(rng.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            kills += 1
            process.wait()
        assert len(set(on_disk(tmp_path)) | set(arrived(server))) >= 600
    replay_all(proxy, tmp_path)
    counts = real(arrived(server), server)
    assert set(counts) == set(ids)
    assert sum(counts.values()) <= 600 + kills * BATCH


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_workers_share_a_spool(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path, durability: str
) -> None:
    proxy.refusing = True
    workers, each = 3, 150
    keywords = settings(proxy.address, tmp_path, durability=durability)
    with (
        victim(each, 0.001, "settled", **keywords) as one,
        victim(each, 0.001, "settled", **keywords) as two,
        victim(each, 0.001, "settled", **keywords) as three,
    ):
        processes = (one, two, three)
        ids = [
            line.split()[0]
            for process in processes
            for line in iter(process.stdout.readline, "recorded\n")
        ]
        poll(lambda: len(on_disk(tmp_path)) >= workers * each, 20)
        proxy.refusing = False
        said = [process.communicate(timeout=40)[0] for process in processes]
    counts = real(arrived(server), server)
    assert counts == dict.fromkeys(ids, 1)
    ledgers = [json.loads(text.splitlines()[-1]) for text in said]
    for ledger in ledgers:
        # Each accounts for what it recorded, whoever sent it.
        assert (ledger["accepted"], ledger["delivered"]) == (each + 1, each + 1), ledger
        assert (ledger["spooled"], ledger["pending"], ledger["dropped"]) == (0, 0, {}), ledger
    if durability == "memory":
        assert sum(ledger["replayed"] for ledger in ledgers) >= workers * (each - BATCH)
    assert on_disk(tmp_path) == []


@pytest.mark.anyio
async def test_damage_and_removal_are_counted(
    server: WatchLLMServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.refusing = True
    client = AsyncClient(**settings(proxy.address, tmp_path))
    async with watching(client), client:
        log(client, 40)
        await until(lambda: client.statistics().spooled == 40)
        first, second, third, _ = sorted(tmp_path.rglob("*.jsonl"))
        first.unlink()
        second.write_bytes(b"not JSON\n" * 3)
        third.write_bytes(third.read_bytes()[:-30])
        proxy.refusing = False
        await until(lambda: client.statistics().spooled == 0)
    statistics = client.statistics()
    # The one that was removed may have been read already.
    assert statistics.dropped in ({"internal": 21}, {"internal": 11})
    assert statistics.delivered == 40 - statistics.dropped["internal"] == len(arrived(server))
