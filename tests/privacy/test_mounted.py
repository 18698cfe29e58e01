"""
The matrix once more, through viewers that applications mount: pages, what is sent live, and what is asked for.

What is looked at is what a browser gets, from real servers; a store that was written without redaction shows
that all of it would be seen.
"""

import html
import re
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("django")

import llmobs
from llmobs.codec import AnyEvent
from llmobs.redaction.fields import every_field
from llmobs.store.engine import open_reader
from llmobs.viewer.page import Page
from llmobs.viewer.pages import PAGES
from tests.privacy.canaries import every_canary, numbers_in
from tests.privacy.filled import event_with, value_for
from tests.privacy.net import contents
from tests.servers.serving import serving
from tests.support.polling import eventually
from tests.viewer.hosting import SECRET
from tests.viewer.reading import Read
from tests.viewer.test_live import Watcher
from tests.viewer.test_mounted import DOORS, SERVERS, Host, logged_in

LIVE = "what those who watch are told"


class Looked:
    """What a host showed, and which number went in where."""

    def __init__(self, host: Host, store: Path) -> None:
        self.host = host
        self.store = store
        self.names: dict[int, str] = {}
        self.pages = b""
        self.live = b""

    def text(self, name: str) -> str:
        """Return all canaries of a number of its own."""
        self.names[len(self.names)] = name
        return every_canary(len(self.names) - 1)

    def get(self, path: str, **more: str) -> httpx2.Response:
        """Ask for *path*, and keep what is answered."""
        answer = self.host.client.get(f"{self.host.url}{path}", headers=more)
        self.pages += answer.content + repr(dict(answer.headers)).encode()
        return answer


def every_field_of_every_event(client: llmobs.Client, looked: Looked) -> None:
    for kind in AnyEvent.__args__:
        for name in every_field(kind):
            if value_for(kind, name, "") is not None:
                event = event_with(kind, name, looked.text(f"{kind.__name__}.{name}"))
                client.record(event, None, 500, failed=False)
    assert client.flush(30)


def requests_of_the_hosts_own(looked: Looked) -> None:
    """What people ask the host for is recorded by it."""
    server = looked.host.server.url
    for path in ("/own", "/own/%s"):
        text = looked.text(f"the host's {path}")
        raw = text.encode("latin-1", "replace").decode("latin-1")
        with httpx2.Client() as anybody:
            headers = {"user-agent": raw, "x-run-id": raw, "cookie": f"a={raw}"}
            url = server + (path % quote(text, safe="") if "%" in path else path)
            anybody.get(url, params={"q": text}, headers=headers)


def every_page(looked: Looked) -> None:
    with open_reader(looked.store) as reader:
        runs = [run.run_id for run in reader.runs(10_000)]
        events = [event.event_id for one in reader.events() if (event := one.decode())]
    for page in PAGES:
        for key in runs[:40] if "{run_id}" in page.path else events[:40]:
            path = re.sub(r"\{\w+\}", quote(key, safe=""), page.path)
            following: str | None = f"{path}?period=" if page.period else path
            while following is not None:
                answer = looked.get(following)
                assert answer.status_code == 200, (following, answer.text[:300])
                more = re.search(
                    r'rel="next" href="([^"]*)"|href="([^"]*)"[^>]* rel="next"', answer.text
                )
                following = more and html.unescape(more[1] or more[2]).removeprefix(
                    looked.host.path
                )
            if "{" not in page.path:
                break


def what_is_sent_live(looked: Looked, client: llmobs.Client) -> None:
    host = looked.host
    page = Read(Page(looked.get("/live").text))
    (table,) = (a for tag, a in page.elements if a.get("id") == "live")

    def tell() -> None:
        text = looked.text("what is sent live")
        with client.run(
            run_id="told-live", name=f"{LIVE} {text}", user_id=text, tags=[text]
        ) as run:
            run.log_prompt_call(text, text, text)
        assert client.flush(30)

    if "data-news" in table:
        looked.live += host.client.get(host.server.url + table["data-news"]).content
        tell()
        looked.live += host.client.get(host.server.url + table["data-news"]).content
    else:
        cookies = "; ".join(f"{name}={value}" for name, value in host.client.cookies.items())
        headers = {"cookie": cookies, "x-key": SECRET}
        watcher = Watcher(host.server.url + table["data-stream"], **headers)
        eventually(lambda: bool(watcher.messages), timeout=30, what="what there is")
        tell()
        eventually(watcher.told("told-live", "ended"), timeout=30, what="a run that is new")
        looked.live += "".join(f"{m.event} {m.data}" for m in watcher.messages).encode()
    assert LIVE.encode() in looked.live


def what_is_asked_for(looked: Looked) -> None:
    """An answer may repeat what was asked for; what is kept and told of it afterwards may not."""
    host = looked.host
    for page in PAGES:
        text = looked.text(f"asked of {page.path}")
        path = re.sub(r"\{\w+\}", quote(text, safe=""), page.path)
        host.client.get(host.url + path)
        for name in ("user", "name", "model", "cursor", "error", "q", "odd"):
            host.client.get(host.url + path, params={name: text})
    text = looked.text("the live page's cursor")
    for path in ("/live/news", "/live/stream"):
        host.client.get(host.url + path, params={"cursor": text}, headers={"last-event-id": "x"})


@pytest.mark.timeout(120)
@pytest.mark.parametrize("redacts", [True, False])
@pytest.mark.parametrize("door", ["starlette", "django-asgi", "django-wsgi"])
def test_a_mounted_viewer_lets_nothing_out(door: str, redacts: bool, tmp_path: Path) -> None:
    name, path = DOORS[door]
    server_kind, app = SERVERS[name]
    store = tmp_path / "llmobs.db"
    with (
        llmobs.Client(sink=f"sqlite:///{store}", redact_pii=redacts) as client,
        serving(server_kind, tmp_path, app=app, LLMOBS_FLUSH_INTERVAL_SECONDS="0.1") as server,
    ):
        known = httpx2.Client(headers={"x-key": SECRET}, timeout=30)
        with known if name == "fastapi" else logged_in(server, "ada") as browser:
            looked = Looked(Host(server, path, browser), store)
            every_field_of_every_event(client, looked)
            requests_of_the_hosts_own(looked)
            every_page(looked)
            what_is_sent_live(looked, client)
            if redacts:
                what_is_asked_for(looked)
    stored = b"".join(contents(path) for path in tmp_path.glob("llmobs.db*"))
    told = [looked.pages, looked.live, stored, server.log.encode()]
    leaked = [{looked.names[n] for n, _ in numbers_in(data, looked.names)} for data in told]
    if redacts:
        assert leaked == [set()] * len(told)
    else:
        assert len(leaked[0]) > 20 and "what is sent live" in leaked[1]
