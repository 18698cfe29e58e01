"""
Takes the pictures of the viewer's pages: `python -m docs.pictures`, or `make pictures`.

The chat application of `make demo` answers its questions; what it recorded is told again as a day's
traffic, served by a real `llmobs serve`, and looked at by Debian's Chromium.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from msgspec.structs import replace
from PIL import Image
from playwright.async_api import Browser
from rich.console import Console

from example_apps.fastapi_chat.demo import PROMPTS
from example_apps.fastapi_chat.demo_drive import ask_all
from example_apps.fastapi_chat.demo_processes import running_app, running_model_server
from llmobs.events import EvaluationEvent, Event, PromptCallEvent
from llmobs.recorded.ids import new_id
from llmobs.store.engine import open_reader
from llmobs.store.writer import Writer
from llmobs.viewer.pages import PAGES
from tests.support.browser import chromium
from tests.support.serving import Serving
from tests.support.stores import index_texts

FOLDER: Final = Path(__file__).parent / "pictures"
MOST_BYTES: Final = 100_000
"""Of one picture."""


class Picture(NamedTuple):
    """How a page is looked at."""

    width: int = 1280
    height: int = 860
    scheme: str = "light"
    ending: str = ""
    """Of its file's name."""


PLAIN: Final = Picture()
DARK: Final = Picture(scheme="dark", ending="-dark")
NARROW: Final = Picture(390, 844, ending="-narrow")
ALSO: Final = {"/": [DARK, NARROW], "/runs": [NARROW], "/runs/{run_id}": [DARK, NARROW]}
"""Pages that are shown in other ways, too."""
ASKED: Final = {
    "/compare": "?by=release&left=2.1&right=2.2&period=all",
    "/search": "?text=weather+paris",
}
"""What pages are asked for that show nothing by themselves."""


def recorded(folder: Path) -> list[Event]:
    """Return what the demo's application records of its questions."""
    store = folder / "demo.db"
    questions = [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]
    with running_model_server() as model, running_app(model, store) as app:
        asyncio.run(ask_all(Console(), app.url, questions, 6))
        app.terminate()
        app.wait()
    with open_reader(store) as reader:
        found = [stored.decode() for stored in reader.events()]
    return [event for event in found if event is not None]


def of_a_day(events: Iterable[Event]) -> Iterator[Event]:
    """Tell the demo's runs again and again over the last day, more by day than by night."""
    chance = random.Random(15)  # noqa: S311
    runs: dict[str, list[Event]] = {}
    for event in events:
        runs.setdefault(event.run_id, []).append(event)
    now = datetime.now(UTC)
    for hour in range(47, -1, -1):
        busy = 9 if 6 <= (now - timedelta(hours=hour)).hour <= 18 else 3
        for run in chance.choices(list(runs.values()), k=busy + chance.randrange(4)):
            began = now - timedelta(hours=hour, seconds=chance.randrange(120, 3600))
            yield from again(run, began, "2.1" if hour > 12 else "2.2", chance)


def again(
    run: list[Event], began: datetime, release: str, chance: random.Random
) -> Iterator[Event]:
    """Tell one run as if it had begun then."""
    ids: dict[str | None, str] = {event.event_id: new_id() for event in run}
    shift = began - min(event.timestamp for event in run)
    run_id = new_id()
    for event in run:
        yield replace(
            event, event_id=ids[event.event_id], run_id=run_id, timestamp=event.timestamp + shift,
            parent_id=ids.get(event.parent_id), release=release,
        )  # fmt: skip
        if isinstance(event, PromptCallEvent) and event.response and chance.random() < 0.15:
            liked = chance.random() < 0.8
            yield EvaluationEvent(
                event_id=new_id(), run_id=run_id, timestamp=event.timestamp + shift, release=release,
                parent_id=ids[event.event_id], name="thumbs", score=float(liked), source="user",
                label="up" if liked else "down", service_name=event.service_name,
                explanation=None if liked else "Too long; I only wanted the figure.",
            )  # fmt: skip


async def take(url: str, names: dict[str, str], folder: Path) -> None:
    """Take all pictures of the pages at *url*; *names* stand where their paths have braces."""
    async with chromium() as browser:
        for page in PAGES:
            address = url + page.path.format(**{k: quote(v) for k, v in names.items()})
            address += ASKED.get(page.path, "")
            name = page.path.partition("/{")[0].strip("/") or "overview"
            if "{" in page.path:
                name = name.removesuffix("s")
            for how in [PLAIN, *ALSO.get(page.path, ())]:
                await _take(browser, address, folder / f"{name}{how.ending}.png", how)


async def _take(browser: Browser, address: str, file: Path, how: Picture) -> None:
    scheme: Any = how.scheme
    context = await browser.new_context(
        viewport={"width": how.width, "height": how.height}, color_scheme=scheme
    )
    page = await context.new_page()
    answer = await page.goto(address)
    assert answer is not None and answer.ok, address
    if "html" in answer.headers["content-type"]:
        taken = Image.open(BytesIO(await page.screenshot())).convert("RGB")
        taken.quantize(224, dither=Image.Dither.NONE).save(file, optimize=True)
    await context.close()


def main(folder: Path = FOLDER) -> None:
    """Take the pictures into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary:
        store = Path(temporary, "llmobs.db")
        events = list(of_a_day(recorded(store.parent)))
        writer = Writer(store)
        writer.write(events)
        writer.close()
        told = Counter(event.run_id for event in events if "agent" in event.tags)
        richest = max(told, key=lambda run_id: (told[run_id], run_id))
        call = next(e for e in events if e.run_id == richest and isinstance(e, PromptCallEvent))
        index_texts(store)
        with Serving(store) as server:
            names = {"run_id": richest, "event_id": call.event_id}
            asyncio.run(take(server.url, names, folder))
    for file in sorted(folder.glob("*.png")):
        size = file.stat().st_size
        print(f"{file}: {size:,} bytes")
        if size > MOST_BYTES:
            raise SystemExit(f"larger than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
