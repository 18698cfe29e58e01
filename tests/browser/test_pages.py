"""Every page in a real browser: quiet, readable for everybody, within its window."""

import gzip

import httpx2
import pytest
from playwright.async_api import Browser

from llmobs.viewer.page import STATIC, static_file
from tests.browser.looking import NARROW, WIDE, unfit, unseen_focus
from tests.support.browser import axe, watched
from tests.support.serving import Serving

pytestmark = pytest.mark.anyio

Addresses = dict[str, list[str]]


def test_every_page_is_reached_by_links(addresses: Addresses) -> None:
    assert all(addresses.values()), [path for path, found in addresses.items() if not found]


def test_the_first_view_of_every_page_is_small(addresses: Addresses) -> None:
    """With everything that it loads, compressed."""
    files = sum(len(gzip.compress(static_file(name))) for name in STATIC)
    with httpx2.Client() as client:
        sizes = {
            address: files + len(gzip.compress(client.get(address).content))
            for address in every(addresses)
        }
    assert {address: size for address, size in sizes.items() if size > 60_000} == {}


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_every_page_is_quiet_and_everybody_can_read_and_reach_everything(
    browser: Browser, server: Serving, addresses: Addresses, script: bool
) -> None:
    """In wide and narrow windows, light and dark: within the window, by keyboard, and by what axe knows."""
    found: dict[str, list[str]] = {}
    async with watched(browser, server.url, java_script_enabled=script) as seen:
        for of_a_page in addresses.values():
            for number, address in enumerate(of_a_page):
                await seen.go(address)
                if await seen.page.evaluate("document.contentType") != "text/html":
                    continue
                found[address] = await unfit(seen)
                if script:
                    found[address] += await axe(seen.page)
                if script and number == 0:
                    found[address] += await unseen_focus(seen.page)
                    await seen.page.set_viewport_size(WIDE)
                    found[address] += await axe(seen.page)
        for path, status in (("/runs/none", 404), ("/runs?cost=much", 400)):
            await seen.go(f"{server.url}{path}", status)
            found[path] = await unfit(seen)
    assert {address: troubles for address, troubles in found.items() if troubles} == {}
    assert seen.troubles == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_on_narrow_screens_filters_fold(
    browser: Browser, server: Serving, script: bool
) -> None:
    async with watched(browser, server.url, viewport=NARROW, java_script_enabled=script) as seen:
        for path in ("/runs?model=gpt-4o", "/live?model=gpt-4o", "/search?text=order&model=gpt-4o"):
            await seen.go(f"{server.url}{path}")
            model = seen.page.get_by_label("Model", exact=True)
            fold = seen.page.get_by_label("Filters, 1 set")
            assert not await model.is_visible() and await fold.is_visible(), path
            await fold.focus()
            await seen.page.keyboard.press("Space")
            assert await model.is_visible(), path
            assert await model.input_value() == "gpt-4o"
            await seen.page.set_viewport_size(WIDE)
            assert await model.is_visible() and not await fold.is_visible(), path
            await seen.page.set_viewport_size(NARROW)
    assert seen.troubles == []


def every(addresses: Addresses) -> list[str]:
    return [address for found in addresses.values() for address in found]
