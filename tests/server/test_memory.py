"""What has been answered is held by nobody: it goes at once, not with the next collection of garbage."""

import gc
import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from weakref import ref

import anyio
import pytest
from starlette.testclient import TestClient

from llmobs.pipeline.thread import BlockingThread
from llmobs.server import bodies
from llmobs.server.app import create_app
from llmobs.server.bodies import Inflated, RefusedError
from llmobs.server.collector import Collector
from llmobs.server.native import ReadBatch
from llmobs.settings import Settings
from llmobs.store.engine import writer_of
from tests.server.collecting import HEADERS

PROTOBUF = {"content-type": "application/x-protobuf"}


class Large:
    """Stands for what takes memory."""


class Links(list[Any]):
    """As the collector is given them; and one can look whether they are still there."""


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("path", "headers"),
    [("events/batch", HEADERS), ("traces", PROTOBUF), ("logs", PROTOBUF), ("metrics", PROTOBUF)],
)
def test_a_bomb_s_bytes_go_with_its_answer(
    tmp_path: Path, path: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []

    class Watched(Inflated):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            kept.append(ref(self))

    monkeypatch.setattr(bodies, "Inflated", Watched)
    bomb = gzip.compress(bytes(bodies.MAX_BODY_BYTES + 1))
    collector = Collector(writer_of(tmp_path / "llmobs.db"), Settings())
    with TestClient(create_app(collector)) as client:
        answer = client.post(
            f"/v1/{path}", content=bomb, headers={**headers, "content-encoding": "gzip"}
        )
        assert answer.status_code == 413
        assert len(kept) == 1
        assert kept[0]() is None


class Seen(RefusedError):
    """One can look whether it is still there."""

    all: ClassVar[list[Any]] = []

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.all.append(ref(self))


def refusing(body: bytes) -> ReadBatch:
    """Refuse it, whatever it is."""
    raise Seen(400, "no")


async def gone(there: Any) -> None:
    """Wait until a thread has turned round, and let go of what it had."""
    with anyio.fail_after(10):
        while there() is not None:
            await anyio.sleep(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the collector's loop
async def test_neither_refusals_nor_commits_keep_what_was_read(tmp_path: Path) -> None:
    collector = Collector(writer_of(tmp_path / "llmobs.db"), Settings())
    await collector.open()
    try:
        with suppress(RefusedError):
            await collector.read(refusing, ReadBatch, b"body", None)
        await gone(Seen.all.pop())
        links = Links()
        there = ref(links)
        assert await collector.store([], links=links) == {}
        del links
        await collector.check()
        await gone(there)
    finally:
        await collector.aclose()


@pytest.mark.anyio
async def test_a_thread_keeps_nothing_of_its_last_job() -> None:
    thread = BlockingThread("test")
    try:
        for function in (type, int):  # which is none of a `Large`
            large = Large()
            there = ref(large)
            with suppress(TypeError):
                await thread.call(function, large)
            del large
            await gone(there)
    finally:
        thread.stop()
