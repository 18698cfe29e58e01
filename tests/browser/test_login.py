"""What a real browser does with our cookies, forms and answers to pages of other origins."""

import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Browser, Page

from llmobs.server.keys import KeyFile
from llmobs.store.reader import Reader
from llmobs.store.records import Evaluation, RunFilter
from tests.support.browser import axe
from tests.support.serving import Serving
from tests.support.stores import call, run, write_store
from tests.test_docs_run import ROOT, blocks_of

pytestmark = pytest.mark.anyio


class Shop(NamedTuple):
    """A page of another origin, of another site even: localhost, not 127.0.0.1."""

    origin: str
    pages: dict[str, str]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    pages: dict[str, str] = {"/": "<!doctype html><title>Shop</title>"}

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Shop(f"http://localhost:{server.server_port}", pages)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[Serving]:
    """For others, too."""
    store = tmp_path_factory.mktemp("login") / "llmobs.db"
    write_store(store, [call("r", project_id="shop", event_id="e"), run("r", project_id="shop")])
    KeyFile(store).add(project="none")
    with Serving(store, "--host", "0.0.0.0", "--allow-origin", shop.origin) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["script", "no script"])
async def page(browser: Browser, request: Any) -> AsyncIterator[Page]:
    context = await browser.new_context(java_script_enabled=request.param)
    yield await context.new_page()
    await context.close()


async def log_in(page: Page, server: Serving, path: str = "/runs?period=all") -> None:
    key = server.key(project="shop", may=["read", "evaluate"])
    await page.goto(f"{server.url}{path}")
    assert "/login?next=" in page.url
    await page.get_by_label("Key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"{server.url}{path}")


def said(server: Serving, run_id: str) -> list[Evaluation]:
    with Reader(server.store) as reader:
        return reader.evaluations(RunFilter(run_id=run_id))


async def test_in_and_out_again(page: Page, server: Serving) -> None:
    await log_in(page, server)
    cookies = await page.context.cookies()
    assert [(c["httpOnly"], c["sameSite"]) for c in cookies if "session" in c["name"]] == [
        (True, "Strict")
    ]
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(f"{server.url}/login")
    assert [c for c in await page.context.cookies() if "session" in c["name"]] == []
    await page.goto(f"{server.url}/runs")
    assert "/login" in page.url


async def test_a_wrong_key_says_so(page: Page, server: Serving) -> None:
    await page.goto(f"{server.url}/login")
    await page.get_by_label("Key").fill("wrong")
    await page.keyboard.press("Enter")
    await page.get_by_role("alert").wait_for()
    assert "wrong, or was revoked" in await page.get_by_role("alert").inner_text()


async def test_a_link_from_elsewhere_leads_in(page: Page, server: Serving, shop: Shop) -> None:
    """The browser keeps the cookie back, since another site asked."""
    await log_in(page, server)
    shop.pages["/link"] = f'<a href="{server.url}/runs/r">there</a>'
    await page.goto(f"{shop.origin}/link")
    await page.get_by_role("link").click()
    await page.wait_for_url(f"{server.url}/runs/r")
    assert await page.get_by_role("heading", name="Transcript").count() == 1


async def test_thumbs(page: Page, server: Serving) -> None:
    await log_in(page, server, "/runs/r")
    before = len(said(server, "r"))
    await page.get_by_label("Comment", exact=True).fill("ça va")
    await page.get_by_role("button", name="Bad").click()
    await page.wait_for_url(f"{server.url}/runs/r#evaluations")
    assert "ça va" in await page.inner_text("#evaluations")
    *_, last = said(server, "r")
    assert len(said(server, "r")) == before + 1 and (last.score, last.source) == (0.0, "user")


async def test_a_strangers_form_does_nothing(page: Page, server: Serving, shop: Shop) -> None:
    await log_in(page, server)
    before = said(server, "r")
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        shop.pages["/form"] = (
            f'<form method="post" enctype="{kind}" action="{server.url}/feedback">'
            '<input name="run" value="r"><input name="rating" value="up"><button>Win</button></form>'
        )
        await page.goto(f"{shop.origin}/form")
        async with page.expect_navigation() as navigation:
            await page.get_by_role("button").click()
        answer = await navigation.value
        assert answer is not None and answer.status == 403
    assert said(server, "r") == before


async def test_the_pages_of_the_login_are_for_everybody(browser: Browser, server: Serving) -> None:
    for scheme in ("light", "dark"):
        context = await browser.new_context(
            color_scheme=scheme, viewport={"width": 360, "height": 700}
        )  # type: ignore[arg-type]
        page = await context.new_page()
        await page.goto(f"{server.url}/login")
        assert await axe(page) == []
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
        await context.close()


async def test_the_snippet_of_the_documentation(
    browser: Browser, server: Serving, shop: Shop
) -> None:
    (snippet,) = [
        block.code
        for block in blocks_of(ROOT / "docs" / "how-to" / "collect-feedback.md")
        if block.language == "javascript"
    ]
    key = server.key(project="shop", may=["evaluate"])
    for old, new in {"https://collector.example.com": server.url, "KEY": key}.items():
        assert old in snippet
        snippet = snippet.replace(old, new)
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{shop.origin}/")
    await page.evaluate(f"async () => {{ {snippet}; await rate('rated', false, 'no \\ud83d'); }}")
    (found,) = said(server, "rated")
    assert (found.name, found.score, found.label, found.source) == ("thumbs", 0.0, "down", "user")
    # What was wrong is readable, too; and nothing else is.
    wrong = snippet.replace('name: "thumbs"', 'nome: "thumbs"')
    words = await page.evaluate(
        f"async () => {{ {wrong}; try {{ await rate('x', true); }} catch (e) {{ return e.message; }} }}"
    )
    assert "nome" in words or "name" in words
    for path in ("/runs", "/api/v1/runs", "/metrics", "/v1/events/batch"):
        told = await page.evaluate(
            "async ([url, key]) => { try { const a = await fetch(url, {method: 'POST', body: '{}',"
            " headers: {authorization: key}}); return a.status; } catch (e) { return 'kept back'; } }",
            [f"{server.url}{path}", f"Bearer {key}"],
        )
        assert told == "kept back"
    await context.close()
