"""The pages over HTTP: headers, statuses, who may see them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from llmobs.server import api
from llmobs.server.access import Access
from llmobs.server.app import create_app
from llmobs.server.collector import Collector
from llmobs.server.pages import routes
from llmobs.settings import Settings
from llmobs.store.engine import writer_of
from llmobs.viewer.page import Page
from tests.support.stores import call, run, write_store
from tests.viewer.reading import Read

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: Any) -> Any:
    """uvicorn's; the collector's too."""
    return request.param


@asynccontextmanager
async def site(store: Path, access: Access | None = None) -> AsyncIterator[httpx.AsyncClient]:
    collector = Collector(writer_of(store, durable=True), Settings())
    app: ASGIApp = create_app(collector, routes=[*api.routes(store), *routes(store)])

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if access is not None:
            scope.setdefault("state", {})["access"] = access
        await app(scope, receive, send)

    transport = httpx.ASGITransport(app=outer, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://watch.example") as client:
        yield client


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "x.db", [call("a/b c", event_id="e 1"), run("a/b c")])


async def test_every_page_is_reached_and_says_what_may_be_loaded(store: Path) -> None:
    async with site(store) as client:
        seen: dict[str, httpx.Response] = {}
        waiting = ["/"]
        while waiting:  # a visitor who follows every link
            path = waiting.pop()
            if path not in seen:
                seen[path] = await client.get(path)
                if not seen[path].headers["content-type"].startswith("text/html"):
                    continue
                waiting += [
                    link.partition("#")[0]
                    for link in Read(Page(seen[path].text)).links
                    if not link.startswith("#")
                ]
    told = {"/text/a/b%20c", "/api/v1/runs/a/b%20c", "/api/v1/events/e%201"}
    assert {"/", "/runs", "/runs/a/b%20c", "/events/e%201", *told} <= seen.keys()
    for path, answer in seen.items():
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        if answer.headers["content-type"] == "application/json":
            continue
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == "'self'" and "unsafe" not in str(policy)
        assert answer.headers["referrer-policy"] == "same-origin"


async def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(store: Path) -> None:
    async with site(store) as client:
        page = Read(Page((await client.get("/")).text))
        sheet = page.link("stylesheet")
        assert sheet is not None
        answer = await client.get(sheet)
        assert answer.headers["content-type"].startswith("text/css")
        assert "immutable" in answer.headers["cache-control"]
        for name in ("other.css", "..%2fpage.py", "templates%2fbase.html"):
            assert (await client.get(f"/static/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/runs?cost=much", 400, "cost: a number"),
        ("/runs/none", 404, "No such run"),
        ("/events/none", 404, "No such event"),
    ],
)
async def test_trouble_is_a_page_too(store: Path, path: str, status: int, words: str) -> None:
    async with site(store) as client:
        answer = await client.get(path)
    assert answer.status_code == status
    assert words in Read(Page(answer.text)).text
    assert "content-security-policy" in answer.headers


async def test_a_damaged_store_is_a_page_that_says_so(tmp_path: Path) -> None:
    (store := tmp_path / "x.db").write_bytes(b"no store at all" * 1000)
    async with site(store) as client:
        for path in ("/", "/runs", "/runs/a", "/events/a"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert "cannot be read now" in Read(Page(answer.text)).text


async def test_who_may_not_read_sees_no_page(store: Path) -> None:
    async with site(store, Access(may=frozenset({"ingest"}))) as client:
        for path in ("/", "/runs", "/runs/a/b%20c", "/events/e%201"):
            assert (await client.get(path)).status_code == 403
