"""The live page's script in a real browser: what is recorded is seen at once, and what became of it."""

import time
from collections.abc import AsyncIterator, Iterator

import anyio.to_thread
import pytest
from playwright.async_api import Browser, Locator, expect

from llmobs.events import Event
from llmobs.store.records import SILENCE
from tests.browser.filling import deliver, from_now
from tests.browser.hostile import HOSTILE
from tests.support.browser import Watched, watched
from tests.support.serving import Serving
from tests.support.stores import call, run

pytestmark = pytest.mark.anyio
SOON = 20_000
"""Milliseconds, on a machine that has much else to do."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("live") / "llmobs.db") as found:
        yield found


@pytest.fixture
async def seen(browser: Browser, server: Serving) -> AsyncIterator[Watched]:
    """The live page, which is told what comes."""
    async with watched(browser, server.url) as found:
        await found.go(f"{server.url}/live")
        await expect(found.page.locator("#live-says")).to_contain_text("Live", timeout=SOON)
        yield found
    assert found.troubles == []


async def tell(server: Serving, *events: Event, ago: float = 1.0) -> None:
    for event in events:
        event.timestamp = from_now(seconds=-ago)
    await anyio.to_thread.run_sync(deliver, server.url, events)


def row(seen: Watched, run_id: str, state: str) -> Locator:
    link = seen.page.locator(f"a[href$='/runs/{run_id}']")
    return seen.page.locator(f"#live tr[data-state='{state}']").filter(has=link)


async def test_what_is_recorded_is_seen_within_a_second(seen: Watched, server: Serving) -> None:
    took = []
    for number in range(4):
        await tell(server, call(f"quick-{number}", event_id=f"quick-{number}"))
        began = time.monotonic()
        await expect(row(seen, f"quick-{number}", "running")).to_be_visible(timeout=SOON)
        took.append(time.monotonic() - began)
    assert min(took) <= 1.0, took
    assert await seen.page.locator("#live-none").count() == 0, "nothing has arrived yet, it says"


async def test_a_run_runs_and_ends_in_its_row(seen: Watched, server: Serving) -> None:
    await tell(server, call("whole", event_id="whole-1"), call("other", event_id="other-1"))
    running = row(seen, "whole", "running")
    await expect(running).to_contain_text("running", timeout=SOON)
    link = seen.page.locator("#live a[href$='/runs/whole']")
    await link.focus()
    await tell(server, run("whole", name="POST /whole"))
    ended = row(seen, "whole", "ended")
    await expect(ended).to_contain_text("POST /whole", timeout=SOON)
    await expect(ended).to_contain_text("success")
    assert await seen.page.locator("#live a[href$='/runs/whole']").count() == 1
    await expect(link).to_be_focused()
    await expect(row(seen, "other", "running")).to_be_visible()


async def test_a_run_that_was_cut_off_says_so(seen: Watched, server: Serving) -> None:
    """When nothing has come of it for so long: nobody tells that a process was killed."""
    await tell(server, call("killed", event_id="killed-1"), ago=SILENCE.total_seconds() - 10)
    await expect(row(seen, "killed", "running")).to_be_visible(timeout=SOON)
    cut_off = row(seen, "killed", "cut off")
    await expect(cut_off).to_contain_text("cut off", timeout=SOON)
    await tell(server, run("killed"))
    await expect(row(seen, "killed", "ended")).to_be_visible(timeout=SOON)


async def test_it_pauses_and_goes_on(seen: Watched, server: Serving) -> None:
    button = seen.page.locator("#live-pause")
    await button.click()
    await expect(seen.page.locator("#live-says")).to_have_text("Paused")
    await tell(server, call("meanwhile", event_id="meanwhile-1"))
    async with watched(seen.page.context.browser, server.url) as other:  # type: ignore[arg-type]
        await other.go(f"{server.url}/live")
        await expect(row(other, "meanwhile", "running")).to_be_visible(timeout=SOON)
    assert await row(seen, "meanwhile", "running").count() == 0
    await button.click()
    await expect(row(seen, "meanwhile", "running")).to_be_visible(timeout=SOON)


async def test_what_is_told_runs_nothing(seen: Watched, server: Serving) -> None:
    for number, text in enumerate(HOSTILE.values()):
        said = run(f"hostile-{number}", name=text, user_id=text)
        await tell(server, call(f"hostile-{number}", event_id=f"h-{number}", model=text), said)
    for number in range(len(HOSTILE)):
        await expect(row(seen, f"hostile-{number}", "ended")).to_be_visible(timeout=SOON)
    assert await seen.page.locator("#live :is(script, img, iframe, svg, style)").count() == 0
