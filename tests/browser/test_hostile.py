"""Hostile texts in every field of every kind of event, looked at in a real browser."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import anyio.to_thread
import httpx2
import pytest
from aiokafka import AIOKafkaProducer
from playwright.async_api import Browser

from llmobs.codec import encode
from llmobs.store.engine import open_reader
from tests.browser.filling import deliver
from tests.browser.hostile import HEBREW, HOSTILE, broken_bodies, hostile_events, long_events
from tests.browser.looking import NARROW, WIDE, check_fits, unfit
from tests.browser.reaching import reached
from tests.support.browser import watched
from tests.support.kafka_handle import Kafka
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import write_store

pytestmark = pytest.mark.anyio

SENTINEL: Final = json.loads(
    (Path(__file__).parents[1] / "data" / "sentinel_event.json").read_bytes()
)
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
    """On every page, in wide and narrow windows, light and dark."""
    found = reached(server.url)
    assert all(found.values()), found
    # Without scripts the pages are the same ones: some of each are enough.
    lists = [each for addresses in found.values() for each in addresses[: 3 if script else 1]]
    runs = runs_of(server, len(HOSTILE)) if script else []
    await look_at(browser, server, [*lists, *runs], script=script)


@pytest.mark.kafka
async def test_hostile_texts_by_way_of_kafka_do_neither(
    browser: Browser, kafka: Kafka, tmp_path: Path
) -> None:
    """In our own wire, of which the lists tell, and in Sentinel's, run by run."""
    topic = kafka.new_topic()
    source = f"{','.join(kafka.bootstrap)}?topic={topic}&group={topic}"
    own = [encode(event) for event in hostile_events()]
    sentinels = [
        encode({**SENTINEL, **dict.fromkeys(("model_name", "user_id"), text),
                "trace_id": text * 2, "event_id": str(uuid4()), "prompt": {"text": text, "tokens": 1},
                "response": {"text": text, "tokens": 1}, "errors": [text], "metadata": {text: text}})
        for text in HOSTILE.values()
    ]  # fmt: skip
    async with AIOKafkaProducer(bootstrap_servers=",".join(kafka.bootstrap)) as producer:
        for value in [*own, *sentinels]:
            await producer.send_and_wait(topic, value)
    with Serving(write_store(tmp_path / "llmobs.db", []), "--kafka", source) as server:
        expected = len(own) + len(sentinels)

        def stored() -> bool:
            with open_reader(server.store) as store:
                return store.info().events >= expected

        await anyio.to_thread.run_sync(
            lambda: eventually(stored, timeout=60, what=f"{expected} events of the topic")
        )
        # Of our own wire they are the same runs, of the same bytes, that came over HTTP before.
        own_runs = {event.run_id for event in hostile_events()}
        runs = runs_of(server, len(HOSTILE), but=own_runs)
        lists = [f"{server.url}{path}" for path in ("/", "/runs", "/errors", "/users", "/sessions")]
        await look_at(browser, server, [*lists, *runs], script=True)


def runs_of(server: Serving, least: int, *, but: Collection[str] = ()) -> list[str]:
    with open_reader(server.store) as store:
        ids = [run.run_id for run in store.runs(200) if run.run_id not in but]
    assert len(ids) >= least
    return [f"{server.url}/runs/{quote(each, safe='')}" for each in ids]


async def look_at(
    browser: Browser, server: Serving, addresses: Sequence[str], *, script: bool
) -> None:
    async with watched(browser, server.url, java_script_enabled=script) as seen:
        for address in dict.fromkeys(addresses):
            await seen.go(address)
            if await seen.page.evaluate("document.contentType") == "text/html":
                assert await unfit(seen) == [], address
                assert await seen.page.evaluate(HIDDEN) == [], address
            assert await seen.page.evaluate(LEADS_AWAY) == [], address
            assert await seen.page.evaluate(DISTURBED, HEBREW) == [], address
            assert len(await seen.page.content()) < LIST_BYTES, address
    assert seen.troubles == []


HIDDEN: Final = r"""() => {
  // What turns the direction of writing round, or cannot be seen, is written out instead.
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT)
  const found = []
  for (let text; text = walker.nextNode();)
    if (/[\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u3164]/.test(text.data))
      found.push(text.parentElement.outerHTML.slice(0, 200))
  return found
}"""

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
    browser: Browser, tmp_path: Path
) -> None:
    with Serving(tmp_path / "llmobs.db") as server:
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
