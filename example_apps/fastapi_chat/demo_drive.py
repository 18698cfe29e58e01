"""The users of the demo: ask, read the answers, note under which run they were given."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .demo_processes import AppProcess

Question = dict[str, str]

LAST = [
    {"path": "/chat/stream", "message": f"Write a long, detailed essay about {subject}."}
    for subject in ("tides", "typesetting", "glass", "bridges", "salt", "maps")
] + [
    {"path": "/agent", "message": "First calculate 17 * 23, then tell me the weather in Turin."},
    {"path": "/chat", "message": "Tell me a long story about a clockmaker."},
]
"""What is asked just before the API is told to stop."""


class Answered(NamedTuple):
    """What came of one request."""

    status: str
    """The HTTP status, or why there was no whole answer."""
    run_id: str | None
    """As told in the answer's header."""


async def ask_all(
    out: Console, url: str, questions: list[Question], concurrency: int
) -> list[Answered]:
    """Ask everything, a few at once, with progress."""
    places = asyncio.Semaphore(concurrency)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        with _progress(out, len(questions)) as one_more:

            async def in_turn(question: Question) -> Answered:
                async with places:
                    answered = await ask(client, question)
                one_more()
                return answered

            return await asyncio.gather(*map(in_turn, questions))


async def ask_while_stopping(
    out: Console, app: AppProcess, questions: list[Question]
) -> list[Answered]:
    """Ask for long answers, stop the API when all streams have begun, and read them to the end."""
    under_way = asyncio.Event()
    begun = 0
    streams = sum(map(_is_streamed, questions))

    def one_began() -> None:
        nonlocal begun
        begun += 1
        if begun == streams:
            under_way.set()

    async with httpx2.AsyncClient(base_url=app.url, timeout=30) as client:
        asked = [asyncio.create_task(ask(client, question, one_began)) for question in questions]
        try:
            await asyncio.wait_for(under_way.wait(), 20)
            waiting = sum(not task.done() for task in asked)
            app.terminate()
            out.print(f"  {waiting} requests were in flight")
            answered = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
    whole = sum(item.run_id is not None for item in answered)
    out.print(f"  {whole} of {len(questions)} answers arrived whole")
    return answered


def _is_streamed(question: Question) -> bool:
    return question["path"].endswith("/stream")


async def ask(
    client: httpx2.AsyncClient, question: Question, began: Callable[[], None] | None = None
) -> Answered:
    """Ask one thing, and read the answer to its end."""
    body = {name: value for name, value in question.items() if name != "path"}
    try:
        async with client.stream("POST", question["path"], json=body) as response:
            async for _ in response.aiter_bytes():
                if began is not None and _is_streamed(question):
                    began()
                    began = None
    except httpx2.TransportError as error:
        return Answered(f"broken off ({type(error).__name__})", None)
    return Answered(str(response.status_code), response.headers.get("x-run-id"))


@contextmanager
def _progress(out: Console, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    if out.is_terminal:
        columns = (TextColumn("  asking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=out) as progress:
            task = progress.add_task("", total=total)
            yield lambda: progress.advance(task)
        return
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        if done % 10 == 0 or done == total:
            out.print(f"  {done}/{total} answered")

    yield one_more
