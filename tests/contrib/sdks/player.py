"""
Plays the scenarios of one SDK in its environment: ``python -m tests.contrib.sdks.player MODULE URL FILE``.

Writes what the host saw without us and with us, what was recorded, and what the server answered.
"""

import asyncio
import contextvars
import importlib
import inspect
import json
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import llmobs
from llmobs import PromptCallEvent, RunEvent, codec
from llmobs.testing import CapturedEvents, capture_events
from tests.contrib.sdks.table import SCENARIOS, Row, sdk_of

TIMES = 20
PATIENCE = 10.0
"""Seconds in which the last event of a scenario must have come."""
_alive: list[Any] = []
"""Async clients that are collected close sockets whose numbers the next client's have by then."""
Place = Callable[[str], AbstractContextManager[object]]


def names_of(script: Any) -> list[str]:
    """Return the scenarios of a class of them, inherited ones too; the standard ones first."""
    names = {name for name in dir(script) if not name.startswith("_")}
    return [name for name in SCENARIOS if name in names] + sorted(names - SCENARIOS.keys())


def told(value: Any) -> Any:
    """Return a value of the host's as JSON, everything in it."""
    if isinstance(value, BaseException):
        status = getattr(value, "status_code", None)
        return {"raised": type(value).__qualname__, "says": str(value), "status": status}
    if hasattr(value, "model_dump_json"):
        return value.model_dump_json(warnings=False)
    if isinstance(value, list | tuple):
        return [told(each) for each in value]
    if isinstance(value, dict):
        return {str(name): told(each) for name, each in value.items()}
    return value if isinstance(value, str | int | float | None) else repr(value)


async def _see(value: Any, *, cancelled: bool = False) -> Any:
    """Return what comes of a scenario, an iterator read to its end."""
    later = inspect.isawaitable(value)
    try:
        if later:
            value = await value
    except Exception as error:
        return told(error)
    later = hasattr(value, "__anext__") and (later or not hasattr(value, "__next__"))
    if not _is_stream(value):
        return told(value)
    seen: list[Any] = []
    first = asyncio.Event()

    async def read() -> None:
        try:
            if later:
                async for each in value:
                    seen.append(told(each))
                    first.set()
            else:
                seen.extend(told(each) for each in value)
        except Exception as error:
            seen.append(told(error))
        finally:
            await _close(value, later=later)

    if not cancelled:
        await read()
        return seen
    reading = asyncio.create_task(read())
    came = asyncio.create_task(first.wait())
    await asyncio.wait((reading, came), return_when=asyncio.FIRST_COMPLETED)
    came.cancel()
    reading.cancel()
    [error] = await asyncio.gather(reading, return_exceptions=True)
    return [seen[0], told(error)]


def _is_stream(value: Any) -> bool:
    again = hasattr(value, "__iter__") and hasattr(value, "close")  # botocore's have no __next__
    return again or hasattr(value, "__next__") or hasattr(value, "__anext__")


async def _close(stream: Any, *, later: bool) -> None:
    """Leave a stream as a decent host does: what its connection still brings is nobody's any more."""
    names = ("aclose", "close") if later else ("close",)
    close = next((found for name in names if (found := getattr(stream, name, None))), None)
    closed = close() if close is not None else None
    if inspect.isawaitable(closed):
        await closed


async def _gather(ask: Callable[[str], Any], questions: list[str], place: Place) -> list[Any]:
    async def one(question: str) -> Any:
        with place(question):
            return await _see(ask(question))

    return await asyncio.gather(*map(one, questions))


def _threads(ask: Callable[[str], Any], questions: list[str], place: Place) -> list[Any]:
    def one(question: str) -> Any:
        with place(question):
            return told(ask(question))

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, questions))


def play(script: Any, name: str, runner: asyncio.Runner, place: Place) -> Any:
    """Play one scenario; return what the host saw."""
    questions = [f"Explain queue number {n} of {name}" for n in range(TIMES)]
    ask = getattr(script, name)
    if name == "threads":
        return _threads(ask, questions, place)
    if name == "gather":
        return runner.run(_gather(ask, questions, place))
    with place(name):
        try:
            value = ask()
        except Exception as error:
            return told(error)
        context = contextvars.copy_context()  # a runner has one of its own, of when it was made
        return runner.run(_see(value, cancelled=name == "cancel"), context=context)


def _answered(url: str) -> list[dict[str, Any]]:
    asked = urllib.request.Request(f"{url}/answered", method="DELETE")
    with urllib.request.urlopen(asked) as response:
        found: list[dict[str, Any]] = json.load(response)
    return found


def _taken(
    events: CapturedEvents, answers: int, runs: int, runner: asyncio.Runner
) -> list[dict[str, Any]]:
    """Return what was recorded, once all answers and runs are there or time is up."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and (
        len(events.of(PromptCallEvent)) < answers or len(events.of(RunEvent)) < runs
    ):
        runner.run(asyncio.sleep(0.01))  # streams that were only dropped are closed by their loop
    taken = [json.loads(codec.encode(event)) for event in events]
    events.clear()
    return taken


def _address(url: str, host: str) -> str:
    """Return the server's address under a provider's name, which from now on leads there."""
    parts = urlsplit(url)
    if not host:
        return url
    _names[host] = str(parts.hostname)
    return parts._replace(netloc=f"{host}:{parts.port}").geturl()


_names: dict[str, str] = {}
_look_up = socket.getaddrinfo


def _looked_up(host: Any, *rest: Any, **more: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    return _look_up(_names.get(name, host), *rest, **more)


def _play_row(
    row: Row, url: str, runner: asyncio.Runner, events: CapturedEvents | None
) -> dict[str, Any]:
    script = row.script(_address(url, row.host))
    _alive.append(script)
    place: Place = nullcontext if events is None else lambda name: llmobs.run(name=name)  # type: ignore[assignment]
    found: dict[str, Any] = {}
    for name in names_of(row.script):
        _answered(url)
        seen = play(script, name, runner, place)
        answered = _answered(url)
        runs = TIMES if name in ("gather", "threads") else 1
        taken = None if events is None else _taken(events, len(answered), runs, runner)
        found[name] = {"seen": seen, "answered": answered, "events": taken}
    return found


def main() -> None:
    """Play every row of a module, all of them without us first: a door may hold for the whole process."""
    module, url, file = sys.argv[1:]
    sdk = sdk_of(module)
    socket.getaddrinfo = _looked_up
    with asyncio.Runner() as runner:
        without = {row.name: _play_row(row, url, runner, None) for row in sdk.rows}
        where, _, function = sdk.door.rpartition(".")
        getattr(importlib.import_module(where), function)()
        with capture_events() as events:
            with_us = {row.name: _play_row(row, url, runner, events) for row in sdk.rows}
    Path(file).write_text(json.dumps({"without": without, "with": with_us}))


if __name__ == "__main__":
    main()
