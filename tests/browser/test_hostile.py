"""Hostile texts in every field of every kind of event, looked at in a real browser."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import httpx2
import pytest
from playwright.async_api import Browser

from llmobs.store.engine import open_reader
from tests.browser.filling import deliver
from tests.browser.hostile import HEBREW, HOSTILE, broken_bodies, hostile_events, long_events
from tests.browser.reaching import reached
from tests.browser.test_pages import NARROW, WIDE, check_fits
from tests.support.browser import watched
from tests.support.serving import Serving

pytestmark = pytest.mark.anyio

LONG: Final = 10_000_000
MOST_BYTES: Final = 1_500_000
"""Of a page, whatever was sent: that of one event with lines of ten million characters."""
LIST_BYTES: Final = 400_000
"""Of any other."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("hostile") / "llmobs.db") as found:
        deliver(found.url, hostile_events())
        yield found


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_hostile_texts_run_nothing_and_disturb_nothing(
    browser: Browser, server: Serving, script: bool
) -> None:
    with open_reader(server.store) as store:
        runs = [f"{server.url}/runs/{quote(run.run_id, safe='')}" for run in store.runs(100)]
    assert len(runs) == len(HOSTILE)
    found = reached(server.url)
    assert all(found.values()), found
    lists = [each for addresses in found.values() for each in addresses]
    window = NARROW if script else WIDE
    async with watched(browser, server.url, viewport=window, java_script_enabled=script) as seen:
        for address in dict.fromkeys([*lists, *runs]):
            await seen.go(address)
            await check_fits(seen)
            assert await seen.page.evaluate(LEADS_AWAY) == [], address
            assert await seen.page.evaluate(DISTURBED, HEBREW) == [], address
            assert len(await seen.page.content()) < LIST_BYTES, address
    assert seen.troubles == []


LEADS_AWAY: Final = r"""() => document.contentType !== "text/html" ? [] : [
  ...[...document.links, ...document.forms].filter(
    one => new URL(one.href?.baseVal ?? one.href ?? one.action, location).origin !== location.origin),
  ...document.querySelectorAll("iframe, object, embed, img, base, [style], meta[http-equiv=refresh][content*=url i]"),
].map(one => one.outerHTML.slice(0, 200))"""

DISTURBED: Final = r"""hebrew => {
  // What is written from right to left turns round what follows it, up to what isolates it.
  const isolates = one => /isolate|plaintext/.test(getComputedStyle(one).unicodeBidi)
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const found = []
  for (let text; text = walker.nextNode();) {
    if (!text.data.includes(hebrew)) continue
    let around = text.parentElement
    while (!isolates(around) && around !== document.body) around = around.parentElement
    if (around.closest("option, title, textarea")) continue
    const after = around.textContent.slice(around.textContent.indexOf(hebrew))
    const rest = after.replaceAll(hebrew, "").replace(/[\s"{}\[\]:,…().]/g, "")
    if (/\p{L}|\p{N}/u.test(rest) && around.localName !== "pre") found.push(around.outerHTML.slice(0, 300))
  }
  return found
}"""


async def test_lines_of_ten_million_characters_are_shown_within_bounds(
    browser: Browser, server: Serving
) -> None:
    for event in long_events(LONG):
        deliver(server.url, [event])
    addresses = [
        f"{server.url}{path}" for path in ("/", "/runs", "/users", "/sessions", "/runs/long")
    ]
    with open_reader(server.store) as store:
        calls = [event.event_id for event in store.run("long").events]
    addresses += [f"{server.url}/events/{quote(each, safe='')}" for each in calls]
    async with watched(browser, server.url, viewport=NARROW) as seen:
        for address in addresses:
            await seen.go(address)
            await check_fits(seen)
            bound = MOST_BYTES if "/events/" in address else LIST_BYTES
            assert len(await seen.page.content()) < bound, address
    assert seen.troubles == []


async def test_broken_text_through_each_wire_breaks_no_page(
    browser: Browser, server: Serving
) -> None:
    for sent in broken_bodies():
        answer = httpx2.post(
            f"{server.url}{sent.path}", content=sent.body, headers={"content-type": sent.kind}
        )
        assert answer.status_code in (200, 202, 400), (sent, answer.text)
    async with watched(browser, server.url, viewport=WIDE) as seen:
        for of_a_page in reached(server.url).values():
            for address in of_a_page:
                await seen.go(address)
                await check_fits(seen)
    assert seen.troubles == []
