"""Debian's Chromium, and what goes wrong in a page while it is looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import axe_playwright_python
from playwright.async_api import Browser, Page, async_playwright

from tests.support.debian import program

__all__ = ["Watched", "axe", "chromium", "watched"]

QUIET: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
"""Without a display, as root, and asking nobody else anything."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """
    Run a browser, until the block ends.

    Raises:
        Unavailable: There is none, and it cannot be installed.
    """
    path = program("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page of a browser, and every trouble in it since it was opened."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.troubles: list[str] = []
        self._origin = urlsplit(origin).netloc
        self._expected = 200
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"script failed: {error}"))
        page.on("popup", lambda other: self.troubles.append(f"opened {other.url}"))
        page.on("download", lambda file: self.troubles.append(f"downloads {file.url}"))
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("dialog", self._dialog)

    async def go(self, address: str, status: int = 200) -> None:
        """Open *address*, which is to be answered with *status*."""
        self._expected = status
        answer = await self.page.goto(address, wait_until="load")
        assert answer is not None and answer.status == status, (address, answer)

    def _console(self, message: Any) -> None:
        # The page itself is looked at in `go`, every other answer in `_response`.
        of_itself = (
            message.location.get("url") == self.page.url and "Failed to load" in message.text
        )
        if message.type in ("error", "warning") and not of_itself:
            self.troubles.append(f"{message.type}: {message.text} {message.location.get('url')}")

    def _request(self, request: Any) -> None:
        asked = urlsplit(request.url)
        if asked.netloc != self._origin:
            self.troubles.append(f"asks another host: {request.url[:200]}")

    def _response(self, response: Any) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self.troubles.append(f"{response.status}: {response.url}")

    async def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        await dialog.dismiss()


REPORTS: Final = """
addEventListener("securitypolicyviolation", report => console.error(
  `policy: ${report.violatedDirective} ${report.blockedURI} ${report.sample}`));
globalThis.canary = (...words) => console.error(`canary: ${words}`);
"""
"""Says aloud what the policy forbade, and that recorded text ran: it calls `canary`."""


@asynccontextmanager
async def watched(browser: Browser, origin: str, **how: Any) -> AsyncIterator[Watched]:
    """Open a page that is watched, in a profile of its own; *how* is Playwright's ``new_context``."""
    context = await browser.new_context(**how)
    try:
        await context.add_init_script(REPORTS)
        yield Watched(await context.new_page(), origin)
    finally:
        await context.close()


@cache
def _axe() -> str:
    # axe-core is under the MPL 2.0; it comes with a package that only the tests have.
    return Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()


async def axe(page: Page) -> list[str]:
    """Return what axe finds wrong with a page; not its contrast, which takes it seconds."""
    # Through the debugger: a script element would be against the page's policy.
    await page.evaluate(f"globalThis.axe || (() => {{ {_axe()} }})()")
    found = await page.evaluate(
        """() => axe.run({rules: {"color-contrast": {enabled: false}}}).then(
             ({violations}) => violations.flatMap(
               ({id, nodes}) => nodes.map(node => `${id}: ${node.html.slice(0, 200)}`)))"""
    )
    return [str(each) for each in found]
