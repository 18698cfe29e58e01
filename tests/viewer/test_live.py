"""The live page: what is new reaches those who watch, once, whoever else does, and no longer than they may."""

import gzip
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import anyio
import httpx2
import pytest

from llmobs.answers.asked import Asked, read_address
from llmobs.answers.live import LIVE, live, news, now, opened, sealed
from llmobs.contrib._starlette.stream import EventStream
from llmobs.events import Event, PromptCallEvent, RunEvent
from llmobs.recorded.ids import new_id
from llmobs.server.keys import KeyFile
from llmobs.store.engine import open_reader
from llmobs.store.records import SILENCE
from llmobs.store.sealing import seal, unseal
from llmobs.store.writer import Writer
from llmobs.viewer import watching
from llmobs.viewer.live import live_news
from llmobs.viewer.page import Site, static_file
from llmobs.viewer.pages import PAGES, draw
from llmobs.viewer.watching import Watching
from tests.server.collecting import post_as
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import write_store
from tests.viewer.reading import Read

SITE = Site("/llmobs")


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: Any) -> Any:
    return request.param


def ago(seconds: float = 0) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def call(run_id: str, seconds: float = 0, **fields: Any) -> PromptCallEvent:
    return PromptCallEvent(
        event_id=new_id(), run_id=run_id, timestamp=ago(seconds), model="gpt-4o", **fields
    )


def run(run_id: str, seconds: float = 0, **fields: Any) -> RunEvent:
    fields = {"status": "success", **fields}
    return RunEvent(
        event_id=new_id(), run_id=run_id, timestamp=ago(seconds), name="POST /chat", **fields
    )


def asked(**query: str) -> Asked:
    return read_address(query)


# What is new.


class Followed:
    """A store, and what somebody who follows it was told last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = Writer(path)
        self.word: str | None = None

    def store(self, *events: Event) -> None:
        self.writer.write(events)

    async def store_beside(self, *events: Event) -> None:
        await anyio.to_thread.run_sync(self.writer.write, events)

    def news(self, of: Asked | None = None, word: str | None = None) -> Any:
        with open_reader(self.path) as store:
            until = now(store)
            word = word or self.word
            since = None if word is None else opened(store, word)
            self.word = sealed(store, until)
            return news(store, of or asked(), since, until)

    def states(self, of: Asked | None = None) -> dict[str, str | None]:
        return {each.run_id: each.outcome for each in self.news(of).runs}


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    found = Followed(tmp_path / "x.db")
    yield found
    found.writer.close()


def test_a_run_is_told_when_it_begins_goes_on_and_ends_and_not_otherwise(
    followed: Followed,
) -> None:
    followed.store(call("a", 2), call("b", 1), run("b", 1))
    first = followed.news()
    assert first.whole and [each.run_id for each in first.runs] == ["b", "a"]
    assert followed.states() == {}
    followed.store(call("a"))
    (again,) = followed.news().runs
    assert (again.run_id, again.calls, again.running) == ("a", 2, True)
    followed.store(run("a"), call("c"))
    assert followed.states() == {"c": "running", "a": "success"}
    assert followed.states() == {}


def test_a_run_that_is_silent_for_long_is_told_to_be_cut_off_at_that_moment(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly = SILENCE.total_seconds() - 2
    followed.store(call("silent", nearly), call("gone", nearly + 60), run("done", nearly))
    assert followed.states() == {"silent": "running", "gone": "cut off", "done": "success"}
    told = eventually(followed.states, timeout=15, what="the end of patience")
    assert told == {"silent": "cut off"}
    assert followed.states() == {}
    followed.store(call("gone"))  # it lives after all
    assert followed.states() == {"gone": "running"}


def test_who_asks_for_what_runs_hears_that_it_does_no_longer(followed: Followed) -> None:
    running, cut_off = asked(status="running"), asked(status="cut off")
    followed.store(call("a"), call("old", 3600), run("done"))
    assert followed.states(running) == {"a": "running"}
    followed.store(run("a"), call("b"))
    found = followed.news(running)
    assert ([each.run_id for each in found.runs], found.gone) == (["b"], ["a"])
    followed.word = None
    assert followed.states(cut_off) == {"old": "cut off"}
    followed.store(run("old", 3600))
    assert followed.news(cut_off).gone == ["old"]


def test_what_runs_still_is_there_however_many_came_after_it(followed: Followed) -> None:
    followed.store(call("long", 600), *(run(f"r{n}", 100 - n) for n in range(LIVE + 20)))
    with open_reader(followed.path) as store:
        found = [each.run_id for each in live(store, asked()).runs]
    assert found == [*(f"r{n}" for n in reversed(range(20, LIVE + 20))), "long"]


@pytest.mark.parametrize("word", ["", "zz", "00", "ab" * 32, "ab" * 40, "ä" * 50, "0" * 1000])
def test_a_cursor_that_the_store_has_not_said_tells_everything(
    followed: Followed, word: str
) -> None:
    followed.store(call("a"))
    assert followed.news(word=word).whole


def test_a_cursor_of_another_store_or_of_a_number_given_again_tells_everything(
    followed: Followed, tmp_path: Path
) -> None:
    followed.store(call("a"), call("b"))
    followed.news()
    theirs = Followed(tmp_path / "y.db")
    theirs.store(call("c"), call("d"))
    assert theirs.news(word=followed.word).whole
    theirs.writer.close()
    followed.writer.remove("b")
    followed.store(call("e"))
    assert followed.news().whole


def test_who_is_far_behind_is_told_everything(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.answers.live.MAX_BEHIND", 10)
    followed.news()
    followed.store(*(run(f"r{n}") for n in range(11)))
    assert followed.news().whole


def test_a_cursor_tells_nothing(followed: Followed) -> None:
    followed.store(call("a"))
    with open_reader(followed.path) as store:
        moment = now(store)
        words = [sealed(store, moment) for _ in range(200)]
        assert len({*words}) == len(words)
        # Nothing of it is the same each time.
        assert all(len({*digits}) > 1 for digits in zip(*words, strict=True))
        assert [opened(store, word) for word in words] == [moment] * len(words)
        assert opened(store, words[0][:-1] + ("0" if words[0][-1] != "0" else "1")) is None


def test_only_its_key_opens_what_is_sealed() -> None:
    for data in (b"", b"x", b"y" * 64):
        word = seal(b"k", data)
        assert unseal(b"k", word) == data
        assert unseal(b"l", word) is None
    assert unseal(b"k", seal(b"k", b"y" * 64) + "00") is None


# The page.


@pytest.mark.parametrize(
    ("query", "streams", "comes_again"),
    [("", True, True), ("", False, True), ("pause=1", True, False)],
)
def test_the_page_works_without_javascript_and_is_kept_by_it(
    tmp_path: Path, query: str, streams: bool, comes_again: bool
) -> None:
    hostile = '<script>"&\u202e'
    events = [call("a", user_id=hostile), run("b", 1, user_id="ada"), call("c", 3600)]
    store = write_store(tmp_path / "x.db", events)
    (listed,) = (each for each in PAGES if each.path == "/live")
    site = Site("/llmobs", streams=streams)
    made = draw(
        listed, lambda: open_reader(store), dict(parse_qsl(query)), site, project=None, names={}
    )
    page = Read(made)
    page.check_harmless()
    assert len(gzip.compress(made.html.encode())) < 10_000
    rows = [a["data-state"] for tag, a in page.elements if "data-state" in a]
    assert rows == ["running", "ended", "cut off"]
    assert {"/llmobs/runs/a", "/llmobs/runs/b"} <= set(page.links)
    assert any(link.endswith("user=ada") for link in page.links)
    (table,) = (a for tag, a in page.elements if tag == "table")
    assert ("data-stream" in table, "data-news" in table) == (streams, not streams)
    again = [a for tag, a in page.elements if a.get("http-equiv") == "refresh"]
    assert bool(again) == comes_again
    # Who cannot read so quickly can stop it, without JavaScript too.
    assert ("/llmobs/live?pause=1" if comes_again else "/llmobs/live") in page.links
    assert "counts as cut off" in page.text


def test_what_is_told_is_escaped_as_the_page_is(followed: Followed) -> None:
    followed.store(call("<b>", user_id="<img src=x onerror=alert(1)>", session_id="s"))
    site = Site("/llmobs")
    with open_reader(followed.path) as store:
        data = json.loads(live_news(store, asked(), site))
        (row,) = data["rows"]
        assert "<img" not in row["html"] and "&lt;img" in row["html"]
        assert row["id"] == "<b>"
        again = json.loads(live_news(store, asked(cursor=data["cursor"]), site))
        assert (again["rows"], again["whole"]) == ([], False)


# Those who watch.


class Message(NamedTuple):
    id: str | None
    event: str
    data: str

    @property
    def rows(self) -> dict[str, str]:
        """States by the runs' ids."""
        return {row["id"]: row["state"] for row in json.loads(self.data)["rows"]}


def message_of(block: str) -> Message:
    fields = dict(line.partition(": ")[::2] for line in block.splitlines())
    return Message(fields.get("id"), fields.get("event", ""), fields.get("data", ""))


def watch(
    hub: Watching, of: Asked | None = None, cursor: str | None = None, **how: Any
) -> AsyncIterator[bytes]:
    return hub.stream(of or asked(), SITE, cursor, **how)


@pytest.mark.anyio
async def test_many_who_watch_share_each_look(followed: Followed) -> None:
    hub = Watching(lambda: open_reader(followed.path))
    told: list[list[Message]] = [[] for _ in range(20)]

    async def one(place: int, leave: int) -> None:
        async with aclosing(watch(hub)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if (message := message_of(chunk.decode())).event == "runs":
                    told[place].append(message)
                if len(told[place]) > leave:
                    return

    await followed.store_beside(run("first"))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for place in range(20):
                # Who came first looks for all; when it leaves, another one does.
                tasks.start_soon(one, place, 0 if place < 5 else 1)
            while not all(told):
                await anyio.sleep(0.01)
            looks = hub.looks
            await followed.store_beside(run("second"))
    assert [[[*m.rows] for m in each] for each in told[:5]] == [[["first"]]] * 5
    assert [[[*m.rows] for m in each] for each in told[5:]] == [[["first"], ["second"]]] * 15
    # Those who heard the same have the same words.
    assert len({each[-1] for each in told[5:]}) == 1
    assert looks <= 3 and hub.looks - looks <= 5
    assert len(hub) == 0


@pytest.mark.anyio
async def test_who_comes_again_misses_nothing_and_hears_nothing_twice(followed: Followed) -> None:
    hub = Watching(lambda: open_reader(followed.path))
    cursor, heard = None, []
    with anyio.fail_after(30):
        for number in range(4):
            await followed.store_beside(run(f"r{number}"))
            async with aclosing(watch(hub, cursor=cursor)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    if (message := message_of(chunk.decode())).event == "runs":
                        cursor = message.id
                        heard += [*message.rows]
                        break
    assert heard == ["r0", "r1", "r2", "r3"]


@pytest.mark.anyio
async def test_filters_choose_and_a_project_bounds(followed: Followed) -> None:
    hub = Watching(lambda: open_reader(followed.path))
    await followed.store_beside(
        run("mine", 2, project_id="mine", user_id="ada"), run("bob", 1, project_id="mine"),
        run("theirs", project_id="theirs", user_id="ada"),
    )  # fmt: skip
    found = []
    for of in (read_address({"user": "ada"}, project="mine"), read_address({}, project="mine")):
        async with aclosing(watch(hub, of)) as chunks:  # type: ignore[type-var]
            await anext(chunks)
            text = (await anext(chunks)).decode()
            assert "theirs" not in text
            found.append([*message_of(text).rows])
    assert found == [["mine"], ["bob", "mine"]]


@pytest.mark.anyio
async def test_it_ends_with_the_right_to_see_with_the_server_and_after_a_while(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed.store_beside(run("a"))
    may, is_ending = True, False

    async def may_stay() -> bool:
        return may

    hub = Watching(lambda: open_reader(followed.path), is_ending=lambda: is_ending)
    with anyio.fail_after(30):
        first = watch(hub, may_stay=may_stay)
        assert [(await anext(first))[:6], (await anext(first))[:3]] == [b"retry:", b"id:"]
        may = False
        ended = [message_of(chunk.decode()) async for chunk in first]
        assert [m.event for m in ended] == ["over"] and "reload" in ended[0].data
        second = watch(hub)
        await anext(second)
        is_ending = True
        assert [chunk async for chunk in second] == []
        is_ending = False
        monkeypatch.setattr(watching, "LIFE_SECONDS", 0.0)
        assert [chunk async for chunk in watch(hub)] == [b"retry: 3000\n\n", b"retry: 100\n\n"]


@pytest.mark.anyio
async def test_a_store_that_cannot_be_read_is_said_and_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    hub = Watching(lambda: open_reader(path))
    with anyio.fail_after(30):
        async with aclosing(watch(hub)) as chunks:  # type: ignore[type-var]
            await anext(chunks)
            assert message_of((await anext(chunks)).decode()).event == "trouble"
            await anyio.to_thread.run_sync(write_store, path, [run("a")])
            events = []
            async for chunk in chunks:
                events.append(message_of(chunk.decode()).event)
                if events[-1] == "runs":
                    break


@pytest.mark.anyio
async def test_signs_of_life_say_how_far_it_came(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed.store_beside(run("a"))
    monkeypatch.setattr(watching, "BEAT_SECONDS", 0.0)
    hub = Watching(lambda: open_reader(followed.path))
    with anyio.fail_after(30):
        async with aclosing(watch(hub)) as chunks:  # type: ignore[type-var]
            await anext(chunks)
            await anext(chunks)
            beat = (await anext(chunks)).decode()
    assert re.fullmatch(r"id: [0-9a-f]+\n\n", beat)
    await followed.store_beside(run("b"))
    assert [
        each.run_id
        for each in (await anyio.to_thread.run_sync(followed.news, None, message_of(beat).id)).runs
    ] == ["b"]


@pytest.mark.anyio
async def test_who_does_not_take_what_they_are_told_is_let_go(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("llmobs.contrib._starlette.stream.SLOW_SECONDS", 0.05)
    await followed.store_beside(run("a"))
    hub = Watching(lambda: open_reader(followed.path))
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body", b"").startswith(b"id:"):
            await anyio.sleep_forever()  # its window is full

    async def receive() -> Any:
        await anyio.sleep_forever()

    with anyio.fail_after(20):
        await EventStream(watch(hub))({"type": "http"}, receive, send)  # type: ignore[arg-type]
    assert len(hub) == 0
    assert "does not take" in caplog.text
    assert sent[-1]["more_body"]


@pytest.mark.anyio
async def test_there_is_room_for_so_many_and_the_stuck_ones_make_some(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed.store_beside(run("a"))
    hub = Watching(lambda: open_reader(followed.path), most=2)
    with anyio.fail_after(20):
        stuck, other = watch(hub), watch(hub)
        for chunks in (stuck, other):
            await anext(chunks)
        assert not hub.has_room()
        await anext(stuck)  # it was told something, and asks for no more
        monkeypatch.setattr(watching, "SLOW_SECONDS", 0.0)
        assert hub.has_room()
        assert [chunk async for chunk in stuck] == []
        await other.aclose()  # type: ignore[attr-defined]


# As it is served.


class Watcher:
    """A browser that watches, in a thread of its own."""

    def __init__(self, url: str, **headers: str) -> None:
        self.messages: list[Message] = []
        self.status: int | None = None
        self.ended: str | None = None
        self._url, self._headers = url, headers
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            with httpx2.stream("GET", self._url, headers=self._headers, timeout=30) as answer:
                self.status = answer.status_code
                self.content_type = answer.headers.get("content-type", "")
                block = ""
                for line in answer.iter_lines():
                    block += f"{line}\n"
                    if not line:
                        self.messages.append(message_of(block))
                        block = ""
                self.ended = "whole"
        except httpx2.HTTPError as error:
            self.ended = repr(error)

    def told(self, run_id: str, state: str) -> Callable[[], bool]:
        return lambda: any(
            m.event == "runs" and m.rows.get(run_id) == state for m in [*self.messages]
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("live") / "x.db") as found:
        yield found


@contextmanager
def watching_at(served: Serving, query: str = "", **headers: str) -> Iterator[Watcher]:
    watcher = Watcher(f"{served.url}/live/stream{query}", **headers)
    eventually(lambda: watcher.messages, timeout=20, what="a stream")
    yield watcher


def test_what_is_acknowledged_is_seen_as_it_begins_and_as_it_ends(served: Serving) -> None:
    with watching_at(served) as watcher:
        assert watcher.content_type.startswith("text/event-stream")
        post_as(served.url, [call("shown")])
        eventually(watcher.told("shown", "running"), timeout=20, what="a run that runs")
        post_as(served.url, [run("shown")])
        eventually(watcher.told("shown", "ended"), timeout=20, what="its end")


def test_a_key_that_is_revoked_ends_what_its_owner_watches(served: Serving) -> None:
    key = served.key(may=["read", "ingest"], project="mine", name="watcher")
    with watching_at(served, authorization=f"Bearer {key}") as watcher:
        post_as(served.url, [call("of-mine")], key=key)
        post_as(served.url, [call("of-theirs", project_id="theirs")])
        eventually(watcher.told("of-mine", "running"), timeout=20, what="a run of its project")
        KeyFile(served.store).revoke("watcher")
        watcher.thread.join(20)
        assert watcher.ended == "whole"
        assert watcher.messages[-1].event == "over"
        assert not any("of-theirs" in m.data for m in watcher.messages)


@pytest.mark.parametrize("path", ["/live/stream?cost=much", "/live?cost=much"])
def test_an_address_that_cannot_be_is_said(served: Serving, path: str) -> None:
    answer = httpx2.get(served.url + path)
    assert answer.status_code == 400 and "cost: a number" in answer.text


def test_asked_to_end_it_ends_at_once_though_somebody_watches(tmp_path: Path) -> None:
    with Serving(tmp_path / "x.db") as one:
        watchers = [Watcher(f"{one.url}/live/stream") for _ in range(5)]
        eventually(lambda: all(w.messages for w in watchers), timeout=20, what="streams")
        began = time.monotonic()
        assert one.terminate() == 0
        assert time.monotonic() - began < 15  # and not the 20 seconds that requests have
        for watcher in watchers:
            watcher.thread.join(10)
    assert [w.ended for w in watchers] == ["whole"] * 5
    assert "Traceback" not in one.log


def test_the_script_is_small_and_writes_no_text_as_html() -> None:
    script = static_file("live.js").decode()
    assert len(script) < 8_000
    # One place, where the server's own escaped rows go in.
    assert script.count("innerHTML") == 1
    assert not re.search(
        r"insertAdjacentHTML|document\.write|\beval\b|new Function|https?:", script
    )
