"""The application the real servers serve: every way to record, each record noted in the ledger."""

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from llmobs.capture.tracker import Tracker
from llmobs.contrib.fastapi import TrackerDep
from tests.servers.variants import VARIANTS
from tests.support.ledger import COST, Ledger

ledger = Ledger(os.environ["TEST_LEDGER"])


def log(tracker: Tracker, prompt: str) -> None:
    ledger.note(tracker.log_prompt_call(prompt, "gpt-4o", "yes", 3, 4, 12.5, **COST))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"answer": 42}


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    VARIANTS[os.environ.get("TEST_VARIANT", "ours")],
    **json.loads(os.environ.get("TEST_OPTIONS", "{}")),
)


@app.get("/async")
async def in_the_loop(tracker: TrackerDep) -> str:
    log(tracker, "async")
    return str(os.getpid())


@app.get("/sync")
def in_a_thread(tracker: TrackerDep) -> str:
    log(tracker, "sync")
    return str(os.getpid())


@app.get("/stream")
async def streamed(tracker: TrackerDep, chunks: int = 3, pause: float = 0.0) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for number in range(chunks):
            log(tracker, f"chunk {number}")
            yield b"chunk\n"
            await anyio.sleep(pause)
        log(tracker, "end of stream")

    return StreamingResponse(body())


@app.get("/sync-stream")
def streamed_from_threads(
    tracker: TrackerDep, chunks: int = 3, pause: float = 0.0
) -> StreamingResponse:
    def body() -> Iterator[bytes]:
        for number in range(chunks):
            log(tracker, f"chunk {number}")
            yield b"chunk\n"
            time.sleep(pause)

    return StreamingResponse(body())


@app.get("/background")
async def background(tracker: TrackerDep, tasks: BackgroundTasks) -> str:
    tasks.add_task(log, tracker, "background, in a thread")
    log(tracker, "before the background")
    return str(os.getpid())


@app.get("/fails")
async def fails(tracker: TrackerDep) -> str:
    log(tracker, "before it fails")
    raise ValueError("on purpose")


@app.websocket("/ws")
async def talk(socket: WebSocket, tracker: TrackerDep) -> None:
    await socket.accept()
    for _ in range(2):
        await socket.receive_text()
        log(tracker, "message")
        await socket.send_text("yes")
    await socket.close()
