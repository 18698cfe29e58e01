"""Every page in a real browser: quiet, readable for everybody, within its window."""

import gzip
from typing import Any, Final

import httpx2
import pytest
from playwright.async_api import Browser, Page

from llmobs.viewer.page import STATIC, static_file
from tests.support.browser import Watched, axe, watched
from tests.support.serving import Serving

pytestmark = pytest.mark.anyio

WIDE: Final = {"width": 1280, "height": 900}
NARROW: Final = {"width": 390, "height": 800}
WINDOWS: Final = [
    pytest.param({"viewport": size, "color_scheme": scheme}, id=f"{size['width']}-{scheme}")
    for size in (WIDE, NARROW)
    for scheme in ("light", "dark")
]

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
@pytest.mark.parametrize("window", WINDOWS)
async def test_every_page_is_quiet_and_fits(
    browser: Browser, server: Serving, addresses: Addresses, window: dict[str, Any], script: bool
) -> None:
    async with watched(browser, server.url, java_script_enabled=script, **window) as seen:
        for address in every(addresses):
            await seen.go(address)
            await check_fits(seen)
        for path, status in (("/runs/none", 404), ("/runs?cost=much", 400)):
            await seen.go(f"{server.url}{path}", status)
            await check_fits(seen)
    assert seen.troubles == []


@pytest.mark.parametrize("window", [WINDOWS[0], WINDOWS[3]])
async def test_everybody_can_read_and_reach_everything(
    browser: Browser, server: Serving, addresses: Addresses, window: dict[str, Any]
) -> None:
    found: dict[str, list[str]] = {}
    async with watched(browser, server.url, **window) as seen:
        for of_a_page in addresses.values():
            for number, address in enumerate(of_a_page):
                await seen.go(address)
                if await seen.page.evaluate("document.contentType") != "text/html":
                    continue
                found[address] = [*await axe(seen.page), *await faint(seen.page)]
                if number == 0:
                    found[address] += await unseen_focus(seen.page)
    assert {address: troubles for address, troubles in found.items() if troubles} == {}


def every(addresses: Addresses) -> list[str]:
    return [address for found in addresses.values() for address in found]


async def check_fits(seen: Watched) -> None:
    """Nothing makes the page wider than its window; wide tables scroll by themselves."""
    over = await seen.page.evaluate(OVER)
    assert over == [], (seen.page.url, over)


OVER: Final = """() => {
  const width = document.documentElement.clientWidth
  if (document.documentElement.scrollWidth <= width) return []
  return [...document.querySelectorAll("body *")]
    .filter(one => one.getBoundingClientRect().right > width + 1 && !one.closest(".wide"))
    .map(one => one.outerHTML.slice(0, 120))
}"""


async def faint(page: Page) -> list[str]:
    """Return what hardly differs from what is behind it: axe leaves drawings out."""
    return [str(each) for each in await page.evaluate(FAINT)]


FAINT: Final = """() => {
  const parts = color => color.match(/[0-9.]+/g).map(Number)
  const light = color => {
    const [r, g, b] = parts(color).map(each => each / 255)
      .map(each => each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    return .2126 * r + .7152 * g + .0722 * b
  }
  const behind = one => {
    const color = one ? getComputedStyle(one).backgroundColor : "rgb(255, 255, 255)"
    return parts(color)[3] === 0 ? behind(one.parentElement) : color
  }
  const contrast = (one, color) => {
    const [dark, bright] = [light(color), light(behind(one))].sort((a, b) => a - b)
    return (bright + .05) / (dark + .05)
  }
  const says = one => [...one.childNodes].some(each => each.nodeType === 3 && each.data.trim())
  const found = []
  for (const one of document.querySelectorAll("body, body *")) {
    const {color, fill} = getComputedStyle(one)
    const drawn = one.namespaceURI.endsWith("svg")
    const wanted = one.localName === "rect" ? 3 : says(one) && one.localName !== "title" ? 4.5 : 0
    const is = wanted && one.checkVisibility() ? contrast(one, drawn ? fill : color) : 99
    if (is < wanted) found.push(`contrast ${is.toFixed(2)}: ${one.outerHTML.slice(0, 120)}`)
  }
  return found
}"""

STOPS: Final = 40
"""Pressed keys: what comes after is like what came before."""


async def unseen_focus(page: Page) -> list[str]:
    """Go through the page by Tab; return where one would not see where one is."""
    await page.evaluate(NOTE_FOCUS)
    for _ in range(STOPS):
        await page.keyboard.press("Tab")
    stops, unseen = await page.evaluate("() => [focused.size, [...unseen]]")
    assert stops > 4, "Tab leads nowhere"
    return [f"focus unseen: {each}" for each in unseen]


NOTE_FOCUS: Final = """() => {
  globalThis.focused = new Set()
  globalThis.unseen = new Set()
  addEventListener("focusin", ({target}) => {
    focused.add(target)
    const {outlineStyle, outlineWidth} = getComputedStyle(target)
    const {width, height, right, bottom} = target.getBoundingClientRect()
    const shown = width > 0 && height > 0 && right > 0 && bottom + scrollY > 0
    if (outlineStyle === "none" || parseFloat(outlineWidth) < 2 || !shown)
      unseen.add(target.outerHTML.slice(0, 120))
  })
}"""
