"""What can be wrong with a page for who looks at it: in windows of every kind, light and dark."""

from typing import Any, Final

from playwright.async_api import Page

from tests.support.browser import Watched

__all__ = ["NARROW", "WIDE", "check_fits", "unfit", "unseen_focus"]

WIDE: Final[Any] = {"width": 1280, "height": 900}
NARROW: Final[Any] = {"width": 390, "height": 800}
SCHEMES: Final[Any] = ("dark", "light")


async def unfit(seen: Watched) -> list[str]:
    """Return what does not fit into a wide or a narrow window, or can hardly be read in light or dark."""
    found: list[str] = []
    for size in (WIDE, NARROW):
        await seen.page.set_viewport_size(size)
        for scheme in SCHEMES:
            await seen.page.emulate_media(color_scheme=scheme)
            where = f"{size['width']} {scheme}"
            over, faint = await seen.page.evaluate(f"() => [({OVER})(), ({FAINT})()]")
            found += [f"{where}: {each}" for each in [*over, *faint]]
    return found


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

# axe leaves drawings out.
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
