"""The viewer in applications of others: every page through every door, to whom the host lets see them."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("django")

from llmobs.contrib import fastapi, starlette
from llmobs.contrib._web.viewing import store_of
from llmobs.errors import ConfigurationError
from llmobs.store.engine import open_reader
from llmobs.store.records import RunFilter
from llmobs.store.schema import VERSION
from llmobs.viewer.page import HEADERS, Page
from llmobs.viewer.pages import PAGES
from tests.servers.serving import ROOT, Server
from tests.servers.serving import serving as serving_anything
from tests.support.kafka_runtime import Unavailable
from tests.support.polling import eventually
from tests.support.small_disk import small_disk
from tests.support.stores import call, run, write_store
from tests.viewer.hosting import SECRET
from tests.viewer.reading import Read
from tests.viewer.test_live import Watcher

PROMPT = "where is the lighthouse"
EVENTS = [
    call("a/b c", event_id="e 1", user_id="ada", session_id="s/1", project_id="mine", status="error", prompt=PROMPT),
    run("a/b c", user_id="ada", project_id="mine"),
    run("child", 5, parent_run_id="a/b c", project_id="mine"),
    run("of-theirs", 6, project_id="theirs"),
]  # fmt: skip


class Host:
    """A server that has the viewer below a path, and somebody who may see it."""

    def __init__(self, server: Server, path: str, client: httpx2.Client) -> None:
        self.server = server
        self.path = path
        self.client = client

    @property
    def url(self) -> str:
        return self.server.url + self.path


def logged_in(server: Server, name: str) -> httpx2.Client:
    """Return somebody who has logged in to Django's admin."""
    client = httpx2.Client(base_url=server.url, timeout=30)
    assert client.get("/admin/login/").status_code == 200
    token = client.cookies["csrftoken"]
    answer = client.post(
        "/admin/login/",
        data={"username": name, "password": SECRET, "csrfmiddlewaretoken": token},
        headers={"referer": f"{server.url}/admin/login/"},
    )
    assert answer.status_code in (200, 302)
    known = httpx2.Client(base_url=server.url, timeout=30, cookies=client.cookies)
    client.close()
    return known


def serving(server: str, folder: Path, app: str, **env: str) -> AbstractContextManager[Server]:
    """Run a host; the tables of Django's own are there, since making them takes a second."""
    if "django" in app:
        (folder / "site.db").write_bytes(_site())
    return serving_anything(server, folder, app=app, **env)


@cache
def _site() -> bytes:
    with TemporaryDirectory() as folder:
        making = "from tests.viewer.hosting import django_wsgi"
        subprocess.run(
            [sys.executable, "-c", making], cwd=folder, check=True, timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LLMOBS_ENABLED": "false"},
        )  # fmt: skip
        return (Path(folder) / "site.db").read_bytes()


SERVERS = {
    "fastapi": ("uvicorn", "tests.viewer.hosting:app"),
    "django-asgi": ("uvicorn", "tests.viewer.hosting:django_asgi"),
    "django-wsgi": ("gunicorn-wsgi --threads 8", "tests.viewer.hosting:django_wsgi"),
}
DOORS = {
    "starlette": ("fastapi", "/tools/starlette"),
    "fastapi": ("fastapi", "/tools/fastapi"),
    "included": ("fastapi", "/tools/included"),
    "django-asgi": ("django-asgi", "/tools/llmobs"),
    "django-wsgi": ("django-wsgi", "/tools/llmobs"),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Servers by name, started when they are asked for."""
    started: dict[str, Any] = {}
    yield started
    for context, _ in started.values():
        context.__exit__(None, None, None)


def server_of(servers: dict[str, Any], factory: pytest.TempPathFactory, name: str) -> Server:
    if name not in servers:
        folder = factory.mktemp(name)
        write_store(folder / "llmobs.db", EVENTS)
        server, app = SERVERS[name]
        context = serving(server, folder, app=app, LLMOBS_FLUSH_INTERVAL_SECONDS="0.1")
        servers[name] = context, context.__enter__()
    found: Server = servers[name][1]
    return found


@pytest.fixture(params=DOORS)
def host(
    request: Any, servers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    name, path = DOORS[request.param]
    server = server_of(servers, tmp_path_factory, name)
    known = httpx2.Client(headers={"x-key": SECRET}, timeout=30)
    with known if name == "fastapi" else logged_in(server, "ada") as client:
        yield Host(server, path, client)


@pytest.fixture
def fastapi_server(servers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Server:
    return server_of(servers, tmp_path_factory, "fastapi")


def test_every_page_and_every_link_is_below_its_path(host: Host) -> None:
    waiting, seen, chosen = [f"{host.path}/"], set(), Counter[str]()
    while waiting:
        path = waiting.pop(0).partition("#")[0]
        page_path, _, query = path.partition("?")
        if path in seen or (query and chosen[page_path] >= 2):  # of choices some are enough
            continue
        seen.add(path)
        chosen[page_path] += bool(query)
        answer = host.client.get(host.server.url + path)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        page = Read(Page(answer.text))
        page.check_harmless()
        for tag, attributes in page.elements:
            target = attributes.get("href") if tag == "link" else attributes.get("src")
            if target is not None:
                assert target.startswith(f"{host.path}/static/")
                assert host.client.get(host.server.url + target).status_code == 200
        for found in page.links:
            assert found.startswith((f"{host.path}/", "#")), found
            if not found.startswith("#"):
                waiting.append(found)
    # All of the table were among them.
    for listed in PAGES:
        pattern = re.escape(host.path) + re.sub(r"\\{\w+\\}", ".+", re.escape(listed.path))
        assert any(re.fullmatch(pattern, each.partition("?")[0]) for each in seen), listed.path


def test_the_live_page_follows(host: Host) -> None:
    page = Read(Page(host.client.get(f"{host.url}/live").text))
    (table,) = (a for tag, a in page.elements if a.get("id") == "live")
    if "django" in host.server.log or "data-news" in table:
        first = host.client.get(f"{host.server.url}{table['data-news']}").json()
        assert {row["id"] for row in first["rows"]} >= {"a/b c", "child"} and first["whole"]
        again = host.client.get(f"{host.server.url}{table['data-news']}?cursor={first['cursor']}")
        # The host records its own requests, so that these may be news.
        assert not {"a/b c", "child"} & {row["id"] for row in again.json()["rows"]}
        assert not again.json()["whole"]
        assert host.client.get(f"{host.url}/live/stream").status_code == 404
        return
    cookies = "; ".join(f"{name}={value}" for name, value in host.client.cookies.items())
    headers = {"cookie": cookies, "x-key": SECRET}
    watcher = Watcher(host.server.url + table["data-stream"], **headers)
    eventually(watcher.told("child", "ended"), timeout=30, what="what there is")
    with httpx2.Client() as other:
        other.get(f"{host.server.url}/own")  # recorded, since the host records everything
    eventually(
        lambda: any(
            m.event == "runs" and '"whole":false' in m.data and "own" in m.data
            for m in [*watcher.messages]
        ),
        timeout=30, what="a run of the host's own",
    )  # fmt: skip


def test_who_may_not_see_sees_nothing(host: Host) -> None:
    is_django = host.path.endswith("llmobs")
    others = [httpx2.Client(timeout=30)]
    others += [logged_in(host.server, "bob")] if is_django else []
    paths = [
        page.path.replace("{run_id}", "child").replace("{event_id}", "e%201") for page in PAGES
    ]
    for client in others:
        for path in [*paths, "/live/stream", *(["/live/news"] if is_django else [])]:
            answer = client.get(host.url + path)
            assert "child" not in answer.text
            if is_django:
                assert answer.status_code == 302 and "/admin/login/" in answer.headers["location"]
            else:
                assert answer.status_code == 403 and "You may not see this" in answer.text
                assert "content-security-policy" in answer.headers
        client.close()


def test_it_takes_nothing_and_marks_no_answer_but_its_own(host: Host) -> None:
    answer = host.client.post(f"{host.url}/runs", headers={"referer": host.server.url})
    assert answer.status_code in (403, 405)
    own = host.client.get(f"{host.server.url}/own")
    assert own.status_code == 200 and "content-security-policy" not in own.headers
    assert host.client.get(f"{host.url}/none").status_code == 404


def test_thumbs_and_comments_are_taken_and_redacted(host: Host) -> None:
    form = form_on(host, "/runs/child")
    (token,) = form.keys() & {"token", "csrfmiddlewaretoken"}
    wrong = {**form, token: "guessed"}
    stranger = host.client.post(f"{host.url}/feedback", data={**wrong, "rating": "up"})
    assert stranger.status_code == 403
    empty = host.client.post(f"{host.url}/feedback", data={**form, "comment": " "})
    assert empty.status_code == 400 and "Say good or bad" in empty.text
    said = {**form, "rating": "down", "comment": f"wrong at {host.path}, says ann.lee@example.com"}
    answers = [host.client.post(f"{host.url}/feedback", data=said) for _ in range(2)]
    where = f"{host.path}/runs/child#evaluations"
    assert [(each.status_code, each.headers["location"]) for each in answers] == [(303, where)] * 2
    page = Read(Page(host.client.get(f"{host.url}/runs/child").text)).text
    assert f"wrong at {host.path}" in page and "ann.lee" not in page
    with open_reader(host.server.folder / "llmobs.db") as store:
        found = store.evaluations(RunFilter(run_id="child"))
    assert sum(f"at {host.path}," in (each.explanation or "") for each in found) == 1
    gone = host.client.post(f"{host.url}/feedback", data={**said, "run": "none"})
    assert gone.status_code == 404


def test_a_form_from_elsewhere_is_not_taken(host: Host) -> None:
    form = {**form_on(host, "/runs/child"), "rating": "up"}
    elsewhere = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    answer = host.client.post(f"{host.url}/feedback", data=form, headers=elsewhere)
    assert answer.status_code == 403
    for much in ({"comment": "x" * 200_000}, {f"f{number}": "" for number in range(50)}):
        assert host.client.post(f"{host.url}/feedback", data={**form, **much}).status_code in (
            400,
            413,
        )


def test_who_may_not_see_may_not_say(host: Host) -> None:
    form = {**form_on(host, "/runs/child"), "rating": "up"}
    with httpx2.Client(timeout=30, cookies=host.client.cookies) as other:
        other.cookies.pop("sessionid", None)
        assert other.post(f"{host.url}/feedback", data=form).status_code in (302, 403)


def form_on(host: Host, path: str) -> dict[str, str]:
    """Return what a page's form holds by itself."""
    return hidden_in(host.client.get(host.url + path).text)


def hidden_in(html: str) -> dict[str, str]:
    return {
        a["name"]: a.get("value") or ""
        for tag, a in Read(Page(html)).elements
        if tag == "input" and a.get("type") == "hidden"
    }


def test_texts_are_found_though_nothing_else_runs(host: Host) -> None:
    def found() -> bool:
        page = host.client.get(f"{host.url}/search", params={"text": PROMPT})
        return f"{host.path}/runs/a/b%20c" in page.text

    eventually(found, timeout=30, what="a prompt in the index")


def test_trouble_is_the_same_page(host: Host) -> None:
    for path, status, words in [
        ("/runs?cost=much", 400, "cost: a number"),
        ("/runs/none", 404, "No such run"),
        ("/live?limit=0", 400, "limit"),
    ]:
        answer = host.client.get(host.url + path)
        assert answer.status_code == status and words in Read(Page(answer.text)).text


def test_ids_of_several_lines_are_asked_for_where_the_host_hands_them_on(host: Host) -> None:
    answer = host.client.get(f"{host.url}/runs/two%0Alines")
    assert answer.status_code == 404
    # Starlette's own Mount ends at the first line.
    assert ("No such run" in answer.text) == host.path.endswith("llmobs")


def test_nobody_looks_at_a_look(host: Host) -> None:
    """The host records every request, even empty ones, but none that a page answered."""
    before = _routes(host.server)
    for path in ("/", "/runs", "/runs/none", "/live", "/static/viewer.css"):
        host.client.get(host.url + path)
    host.client.get(f"{host.server.url}/own")
    eventually(
        lambda: _routes(host.server)["own"] > before["own"], timeout=30, what="a run of the host"
    )
    assert _routes(host.server)["tools"] == before["tools"]


def _routes(server: Server) -> Counter[str]:
    """Count runs by the beginning of their route; those that the host itself refused are among them."""
    with open_reader(server.folder / "llmobs.db") as store:
        names = [(run.name or "").partition(" /")[2] for run in store.runs(1000)]
    return Counter(name.partition("/")[0] for name in names)


@pytest.mark.parametrize("path", ["/tools/starlette/runs", "/tools/fastapi/runs"])
def test_a_host_refuses_in_its_own_words(fastapi_server: Server, path: str) -> None:
    answer = httpx2.get(fastapi_server.url + path, headers={"x-key": "wrong"})
    assert (answer.status_code, answer.json()) == (401, {"detail": "who are you?"})


def test_a_host_sends_strangers_to_its_login(fastapi_server: Server) -> None:
    answer = httpx2.get(f"{fastapi_server.url}/tools/starlette/", headers={"x-key": "stranger"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/login")


def test_open_pages_answer_to_names_of_this_machine_alone_and_of_one_project(
    fastapi_server: Server,
) -> None:
    url = f"{fastapi_server.url}/tools/open/runs"
    here = httpx2.get(url)
    assert here.status_code == 200 and "of-theirs" in here.text and "child" not in here.text
    elsewhere = httpx2.get(url, headers={"host": "rebound.example"})
    assert elsewhere.status_code == 403 and "of-theirs" not in elsewhere.text


def damaged(path: Path) -> None:
    path.write_bytes(b"no store at all" * 1000)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(write_store(path, EVENTS))) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def locked(path: Path) -> sqlite3.Connection:
    """Return a connection that lets nobody else in, as some tools do."""
    connection = sqlite3.connect(write_store(path, EVENTS), isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def gone(path: Path) -> None:
    pass


@pytest.mark.parametrize("name", SERVERS)
def test_a_store_that_cannot_be_read_is_said_in_every_door(tmp_path: Path, name: str) -> None:
    server, app = SERVERS[name]
    with (
        serving(server, tmp_path, app=app, LLMOBS_ENABLED="false") as one,
        visitor_of(name, one) as client,
    ):
        for spoil in (damaged, newer, locked, gone):
            holder = spoil(tmp_path / "llmobs.db")
            urls = [f"{one.url}{at}/runs" for at in paths_of(name)]
            with ThreadPoolExecutor() as pool:  # a locked store is waited for, ten seconds each
                answers = list(pool.map(partial(client.get, timeout=60), urls))
            for answer in answers:
                assert answer.status_code == 503, (spoil, answer.url)
                assert "cannot be read now" in Read(Page(answer.text)).text
                assert str(tmp_path) not in answer.text
            if holder is not None:
                holder.close()
            for file in tmp_path.glob("llmobs.db*"):
                file.unlink()


def paths_of(name: str) -> list[str]:
    """Where a server has the viewer."""
    return [path for server, path in DOORS.values() if server == name]


def visitor_of(name: str, server: Server) -> httpx2.Client:
    """Return somebody who may see it."""
    if name == "fastapi":
        return httpx2.Client(headers={"x-key": SECRET}, timeout=30)
    entered = httpx2.get(f"{server.url}/in/ada", timeout=30)
    assert entered.status_code == 200
    return httpx2.Client(timeout=30, cookies=entered.cookies)


@pytest.mark.parametrize("name", SERVERS)
def test_a_store_that_may_not_be_written_is_shown_all_the_same(tmp_path: Path, name: str) -> None:
    server, app = SERVERS[name]
    try:
        disk = small_disk(20)
        folder = disk.__enter__()
    except Unavailable as why:
        pytest.skip(str(why))
    try:
        store = write_store(folder / "llmobs.db", EVENTS)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True, timeout=30)
        own = {"LLMOBS_SINK": f"sqlite:///{store}", "LLMOBS_ENABLED": "false"}
        with (
            serving(server, tmp_path, app=app, **own) as one,
            visitor_of(name, one) as client,
        ):
            for at in paths_of(name):
                for path in (
                    "/",
                    "/runs",
                    "/runs/child",
                    "/events/e%201",
                    "/search?text=lighthouse",
                ):
                    answer = client.get(f"{one.url}{at}{path}", timeout=60)
                    assert answer.status_code == 200, (at, path, answer.text)
                form = {**form_on(Host(one, at, client), "/runs/child"), "rating": "up"}
                refused = client.post(f"{one.url}{at}/feedback", data=form, timeout=60)
                assert refused.status_code == 503, (at, refused.text)
                assert "cannot be written now" in refused.text and str(folder) not in refused.text
    finally:
        disk.__exit__(None, None, None)


@pytest.mark.parametrize("name", SERVERS)
def test_behind_https_forms_are_kept_by_it(tmp_path: Path, name: str) -> None:
    """Where a proxy has taken the encryption off: cookies are for encrypted pages alone, nothing leads out."""
    server, app = SERVERS[name]
    write_store(tmp_path / "llmobs.db", EVENTS)
    if name != "django-wsgi":
        server = f"{server} --proxy-headers --forwarded-allow-ips 127.0.0.1"
    with serving(server, tmp_path, app=app, BEHIND_HTTPS="yes") as one:
        secured = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}
        host = one.url.removeprefix("http://")
        with visitor_of(name, one) as known:
            kept = dict(known.cookies)
            for at in paths_of(name):
                answer = known.get(f"{one.url}{at}/runs/child", headers=secured)
                assert answer.status_code == 200 and f"http://{host}" not in answer.text
                (cookie,) = [
                    each
                    for each in answer.headers.get_list("set-cookie")
                    if "sessionid" not in each
                ]
                marks = {each.strip().lower() for each in cookie.split(";")[1:]}
                assert "secure" in marks and {"samesite=strict", "samesite=lax"} & marks, cookie
                word, _, value = cookie.partition(";")[0].partition("=")
                assert word == ("csrftoken" if "django" in name else "__Host-llmobs-form")
                form = hidden_in(answer.text)
                # As a browser does: the client here sends no such cookie without encryption.
                cookies = "; ".join(f"{n}={v}" for n, v in {**kept, word: value}.items())
                how = {**secured, "cookie": cookies, "referer": f"https://{host}{at}/runs/child"}
                with httpx2.Client(timeout=30, headers={"x-key": SECRET, **how}) as browser:
                    taken = browser.post(f"{one.url}{at}/feedback", data={**form, "rating": "up"})
                    assert taken.status_code == 303, taken.text
                    assert taken.headers["location"] == f"{at}/runs/child#evaluations"
                    # A cookie of before, which anybody on the way may have set, is none.
                    plain = {**how, "cookie": cookies.replace("__Host-", "")}
                    again = browser.post(
                        f"{one.url}{at}/feedback", data={**form, "rating": "up"}, headers=plain
                    )
                    assert again.status_code == (303 if "django" in name else 403)


@pytest.mark.parametrize(
    ("server", "app", "path"),
    [
        ("uvicorn", "fastapi", "/tools/starlette"),
        ("gunicorn", "fastapi", "/tools/fastapi"),
        ("uvicorn", "django-asgi", "/tools/llmobs"),
    ],
)
def test_a_host_ends_at_once_though_somebody_watches(
    tmp_path: Path, server: str, app: str, path: str
) -> None:
    write_store(tmp_path / "llmobs.db", EVENTS)
    with serving(server, tmp_path, app=SERVERS[app][1]) as one:
        headers = {"x-key": SECRET}
        if app != "fastapi":
            with logged_in(one, "ada") as client:
                headers = {"cookie": f"sessionid={client.cookies['sessionid']}"}
        watcher = Watcher(f"{one.url}{path}/live/stream", **headers)
        eventually(watcher.told("child", "ended"), timeout=30, what="a stream")
        began = time.monotonic()
        one.signal(signal.SIGTERM)
        one.wait()
        assert time.monotonic() - began < 15  # uvicorn waits for streams for ever
        watcher.thread.join(10)
        assert watcher.ended == "whole"


def test_behind_a_proxy_that_says_where_it_is(tmp_path: Path) -> None:
    write_store(tmp_path / "llmobs.db", EVENTS)
    app = SERVERS["fastapi"][1]
    with serving("uvicorn --root-path /shop", tmp_path, app=app) as one:
        for path in ("/tools/starlette", "/tools/fastapi", "/tools/included"):
            page = Read(Page(httpx2.get(f"{one.url}{path}/runs", headers={"x-key": SECRET}).text))
            assert f"/shop{path}/runs/child" in page.links


def test_django_lets_those_in_who_have_a_permission(tmp_path: Path) -> None:
    write_store(tmp_path / "llmobs.db", EVENTS)
    app = SERVERS["django-asgi"][1]
    with serving("uvicorn", tmp_path, app=app, VIEWER_PERMISSION="auth.view_user") as one:
        for name, status in {"ada": 403, "bob": 403, "cleo": 200}.items():
            with httpx2.Client(timeout=30) as client:
                assert client.get(f"{one.url}/in/{name}").status_code == 200
                for path in ("/runs", "/live/stream" if status == 403 else "/live"):
                    assert client.get(f"{one.url}/tools/llmobs{path}").status_code == status
        away = httpx2.get(f"{one.url}/tools/llmobs/runs")
        assert (away.status_code, away.headers["location"][:15]) == (302, "/accounts/login")


@pytest.mark.parametrize("name", ["django-asgi", "django-wsgi"])
def test_django_lets_nobody_in_for_a_permission_that_is_none(tmp_path: Path, name: str) -> None:
    """Not even who has every permission. With a lifespan it does not start; the log says why."""
    write_store(tmp_path / "llmobs.db", EVENTS)
    server, app = SERVERS[name]
    said = r"viewer_permission: 'auth' is no permission; name one as 'app_label\.codename'"
    if name == "django-asgi":
        with (
            pytest.raises(AssertionError, match=said),
            serving(server, tmp_path, app=app, VIEWER_PERMISSION="auth"),
        ):
            pass
        return
    with serving(server, tmp_path, app=app, VIEWER_PERMISSION="auth") as one:
        with httpx2.Client(timeout=30) as client:
            assert client.get(f"{one.url}/in/dora").status_code == 200
            answer = client.get(f"{one.url}/tools/llmobs/runs")
        assert answer.status_code == 500 and "child" not in answer.text
        eventually(lambda: re.search(said, one.log), timeout=30, what="a word in the log")


@pytest.mark.parametrize("door", [starlette, fastapi])
@pytest.mark.parametrize("how", [{}, {"may_see": None}, {"may_see": True}, {"may_see": "staff"}])
def test_it_is_not_built_unless_it_is_said_who_may_see(door: Any, how: Any) -> None:
    with pytest.raises(ConfigurationError, match="may_see"):
        door.viewer(**how)


def test_the_store_is_the_one_the_application_writes_to() -> None:
    assert store_of(None, "console: sqlite:////var/lib/x.db jsonl:///y") == Path("/var/lib/x.db")
    assert store_of(Path("z.db"), "memory:") == Path("z.db")
    for sink in ("https://key@collector.example/v1", "", None, object()):
        with pytest.raises(ConfigurationError, match="name one"):
            store_of(None, sink)
