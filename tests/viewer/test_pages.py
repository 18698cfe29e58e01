"""The pages: what they show, that they show all of it, and that what was recorded does nothing there."""

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec.structs import fields, replace

from llmobs.answers.asked import Asked, read_address
from llmobs.answers.errors import AddressError, NotFoundError
from llmobs.answers.overview import PERIOD, overview
from llmobs.answers.run import EVENTS as EVENTS_ON_A_PAGE
from llmobs.answers.runs import RUNS as RUNS_ON_A_PAGE
from llmobs.answers.whose import WHOSE as ON_A_PAGE
from llmobs.events import (
    AgentStepEvent,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.store.engine import ReadsStore, open_reader
from llmobs.viewer.overview import MAX_STRETCHES, _charts, overview_page
from llmobs.viewer.page import STATIC, Page, Site, static_file
from llmobs.viewer.pages import PAGES, draw
from llmobs.viewer.run import event_page, run_page
from llmobs.viewer.runs import runs_page
from llmobs.viewer.whose import sessions_page, users_page
from tests.sinks.examples import every_kind
from tests.support.stores import at, call, run, write_store
from tests.viewer.reading import Read

SITE = Site("/llmobs", "https://watch.example")
MAX_BYTES = 60_000
"""Of the first view of a page, compressed."""


@contextmanager
def stored(tmp_path: Path, events: list[Event]) -> Iterator[ReadsStore]:
    with open_reader(write_store(tmp_path / "x.db", events)) as reader:
        yield reader


def asked(address: str = "", **how: Any) -> Asked:
    return read_address(dict(parse_qsl(urlsplit(address).query)), **how)


def read(page: Page, status: int = 200) -> Read:
    assert page.status == status
    found = Read(page)
    found.check_harmless()
    return found


# Runs.


def test_a_run_is_shown_with_what_it_adds_up_to(tmp_path: Path) -> None:
    events = [
        call("r1", tokens_input=1200, tokens_output=34, cost_usd=0.25, user_id="ada"),
        run("r1", latency_ms=1500.0, status="success", user_id="ada"),
    ]
    with stored(tmp_path, events) as store:
        page = read(runs_page(store, asked(), SITE))
    for words in ("POST /chat", "success", "ada", "1,234", "$0.2500", "1.50 s"):
        assert words in page.text
    assert "/llmobs/runs/r1" in page.links


@pytest.mark.parametrize(
    ("query", "chosen"),
    [("", ["all"]), ("?period=7d", ["7d"]), ("?since=2026-11-21T00:00", [])],
)
def test_the_stretch_of_time_that_is_shown_is_marked(
    tmp_path: Path, query: str, chosen: list[str]
) -> None:
    with stored(tmp_path, [run("r1")]) as store:
        page = runs_page(store, asked(query), SITE)
    assert re.findall(r'aria-current="true">([^<]+)<', page.html) == chosen


def test_every_run_is_on_one_page_and_only_one(tmp_path: Path) -> None:
    ids = {f"run-{n:03}" for n in range(2 * RUNS_ON_A_PAGE + 7)}
    seen: list[str] = []
    # Some began at the same moment: the place in a list must not hang on time alone.
    with stored(tmp_path, [run(each, int(each[-3:]) // 9) for each in ids]) as store:
        address: str | None = "/llmobs/runs?status=success"
        pages = 0
        while address is not None:
            page = read(runs_page(store, asked(address), SITE))
            seen += [link.rpartition("/")[2] for link in page.links if "/runs/run-" in link]
            address, pages = page.link("next"), pages + 1
    assert (sorted(seen), pages) == (sorted(ids), 3)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("model=gpt-4*", {"a"}), ("model=claude", {"b"}), ("user=ada", {"a"}), ("status=failed", {"b"}),
        ("status=timeout", {"b"}), ("tag=beta", {"b"}), ("cost=1", {"b"}), ("latency=1000.5", {"b"}),
        ("tokens=20", {"a"}), ("name=chat", {"a", "b"}), ("session=s", set()), ("project=two", {"b"}),
        ("since=2026-11-21T12:00:30", {"b"}), ("until=2026-11-21T12:00:30Z", {"a"}),
        ("since=2026-11-21T13:00:30%2B01:00", {"b"}), ("unknown=1&model=", {"a", "b"}),
    ],
)  # fmt: skip
def test_filters_choose_runs(tmp_path: Path, query: str, found: set[str]) -> None:
    events = [
        call("a", model="gpt-4o", tokens_input=15, tokens_output=5, cost_usd=0.5, project_id="one"),
        run("a", user_id="ada", status="success", project_id="one"),
        call(
            "b", 60, model="claude", tokens_input=3, tokens_output=3, cost_usd=1.5, project_id="two"
        ),
        run("b", 60, status="timeout", tags=("beta",), latency_ms=2000.0, project_id="two"),
    ]
    with stored(tmp_path, events) as store:
        page = read(runs_page(store, asked(f"?{query}"), SITE))
    assert {
        link[-1] for link in page.links if link in ("/llmobs/runs/a", "/llmobs/runs/b")
    } == found


@pytest.mark.parametrize(
    "query",
    ["cost=much", "latency=-1", "tokens=nan", "tokens=inf", "period=2y", "since=yesterday",
     f"name={'x' * 2000}"],
)  # fmt: skip
def test_what_an_address_cannot_ask_for_is_said(query: str) -> None:
    with pytest.raises(AddressError) as raised:
        asked(f"?{query}")
    assert raised.value.field == query.partition("=")[0]
    assert str(raised.value).startswith(raised.value.field)


WHOSE = {"user": users_page, "session": sessions_page}


@pytest.mark.parametrize("kind", ["user", "session"])
def test_every_user_and_session_is_on_one_page_and_only_one(
    tmp_path: Path, kind: Literal["user", "session"]
) -> None:
    ids = [f"{kind}-{n:03}" for n in range(2 * ON_A_PAGE + 7)]
    # Two runs each; several began at the same moment.
    events: list[Event] = [
        run(f"{n}-{each}", 1000 * n + int(each[-3:]) // 9, status="success", **{f"{kind}_id": each})
        for n in (0, 1)
        for each in ids
    ]
    seen: list[str] = []
    with stored(tmp_path, [*events, run("of-nobody")]) as store:
        address: str | None = f"/llmobs/{kind}s"
        while address is not None:
            page = read(WHOSE[kind](store, asked(address), SITE))
            seen += [words for words in page.text.split() if words.startswith(f"{kind}-")]
            address = page.link("next")
        with pytest.raises(AddressError, match="cursor"):
            WHOSE[kind](store, asked("?cursor=x"), SITE)
    assert sorted(seen) == ids


def test_a_user_is_shown_with_what_their_runs_add_up_to(tmp_path: Path) -> None:
    ada = {"user_id": "ada", "project_id": "mine"}
    events = [
        call("a", tokens_input=10, tokens_output=5, cost_usd=0.25, **ada), run("a", **ada),
        call("b", 60, tokens_input=20, tokens_output=5, **ada), run("b", 60, status="error", **ada),
        run("c", user_id="bob", project_id="theirs"),
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        page = read(users_page(store, asked(project="mine"), SITE))
        none = read(sessions_page(store, asked(), SITE))
    row = page.text[page.text.index("ada") :].split()
    assert row[5:] == ["2", "1", "2", "40", "≥$0.2500"]
    assert "/llmobs/runs?user=ada" in page.links and "bob" not in page.text
    assert "session_id" in none.text


# One run.


def test_a_conversation_is_told_once(tmp_path: Path) -> None:
    said = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Which tea?"}]
    asks = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "shelf", "arguments": '{"row":3}'}},
    ]}  # fmt: skip
    told = {"role": "tool", "tool_call_id": "c1", "content": "Assam"}
    events = [
        call("r", event_id="one", prompt=said, response=[asks]),
        call("r", 1, event_id="two", prompt=[*said, asks, told], response="Assam, then."),
    ]
    with stored(tmp_path, events) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
        whole = read(event_page(store, asked(), SITE, event_id="two"))
    assert page.text.count("Which tea?") == page.text.count("Be short.") == 1
    assert page.text.count('"row": 3') == 1
    assert "3 messages before these, as above" in " ".join(page.text.split())
    assert "Assam, then." in page.text
    for words in ("Be short.", "Which tea?", '"row": 3', "Assam, then."):
        assert words in whole.text


def test_every_event_of_a_long_run_is_on_one_page_and_only_one(tmp_path: Path) -> None:
    count = 2 * EVENTS_ON_A_PAGE + 30
    events: list[Event] = [
        call("r", n // 7, event_id=f"e{n}", response=f"answer {n}.") for n in range(count)
    ]
    seen: list[str] = []
    with stored(tmp_path, [*events, run("r")]) as store:
        address: str | None = "/llmobs/runs/r"
        while address is not None:
            page = read(run_page(store, asked(address), SITE, run_id="r"))
            assert "POST /chat" in page.text  # the run itself heads each page
            seen += [a["id"].removeprefix("e-") for tag, a in page.elements if tag == "article"]
            address = page.link("next")
    assert sorted(seen) == sorted(f"e{n}" for n in range(count))


def test_a_run_is_drawn_as_it_happened(tmp_path: Path) -> None:
    events = [
        AgentStepEvent(event_id="s", run_id="r", timestamp=at(0), step_name="plan", latency_ms=1000),
        ToolCallEvent(
            event_id="t", run_id="r", timestamp=at(0.5), tool_name="find", latency_ms=250,
            parent_id="s",
        ),
        run("r"),
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
    bars = [(a["x"], a["width"]) for tag, a in page.elements if tag == "rect"]
    assert bars == [("0", "1000"), ("500", "250")]
    depths = [a["class"] for tag, a in page.elements if a.get("class", "").startswith("depth-")]
    assert depths == ["depth-0", "depth-1"]


def test_what_failed_and_what_was_thought_of_it_is_said(tmp_path: Path) -> None:
    error = ErrorInfo("no room", type="app.FullError", stack="Traceback: line 3")
    events = [
        call("r", event_id="c", status="error", error=error),
        EvaluationEvent(
            event_id="v", run_id="r", timestamp=at(1), name="helpfulness", score=0.25, label="poor",
            explanation="says nothing", source="user", parent_id="c",
        ),
        run("r", status="error", error=error, parent_run_id="before"),
        run("before", name="nightly"),
        run("child", parent_run_id="r", name="digest"),
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
    for words in ("app.FullError", "no room", "Traceback: line 3", "helpfulness", "0.25", "poor",
                  "says nothing", "by user", "digest", "nightly"):  # fmt: skip
        assert words in page.text, words
    assert {"#e-c", "/llmobs/runs/child", "/llmobs/runs/before"} <= set(page.links)


def test_a_run_whose_parent_is_not_here_names_it_all_the_same(tmp_path: Path) -> None:
    with stored(tmp_path, [run("r", parent_run_id="far-away")]) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
    assert "far-away" in page.text and "/llmobs/runs/far-away" not in page.links


@pytest.mark.parametrize("events", [[], [call("rab"), call("rac")]])
def test_a_run_that_is_not_there_is_said(tmp_path: Path, events: list[Event]) -> None:
    path = write_store(tmp_path / "x.db", [call("x"), *events])
    (listed,) = (page for page in PAGES if page.draw is run_page)
    page = draw(
        listed, lambda: open_reader(path), {}, SITE, project=None, names={"run_id": "ra"}
    )  # fmt: skip
    found = read(page, 404)
    assert {"/llmobs/runs/rab", "/llmobs/runs/rac"} <= set(found.links) if events else True
    assert str(tmp_path) not in page.html
    with open_reader(path) as store, pytest.raises(NotFoundError):
        event_page(store, asked(), SITE, event_id="none")


# Overview.


def test_the_overview_compares_with_what_was_before(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    events: list[Event] = []
    for hours, count, status in ((2, 3, "error"), (30, 2, "success")):
        for n in range(count):
            when = now - timedelta(hours=hours)
            id = f"{hours}-{n}"
            events += [
                PromptCallEvent(
                    event_id=f"c{id}", run_id=id, timestamp=when, model="gpt-4o", tokens_input=10,
                    tokens_output=5, latency_ms=700.0, cost_usd=0.5,
                ),
                RunEvent(event_id=f"r{id}", run_id=id, timestamp=when, status=status, name="GET /"),
            ]  # fmt: skip
    with stored(tmp_path, events) as store:
        html = overview_page(store, asked(period=PERIOD), SITE).html
        page = read(Page(html))
        whole = read(overview_page(store, asked("?period=all"), SITE))
    figures = dict(zip(_texts(html, "span"), _texts(html, "strong"), strict=True))
    assert (figures["Runs"], figures["Failed"], figures["Calls of models"]) == ("3", "3", "3")
    assert (figures["Tokens"], figures["Cost"]) == ("45", "$1.50")
    assert "before: 2" in page.text and "before: $1.00" in page.text
    assert "gpt-4o" in page.text and "GET /" in page.text
    titles = [words for words in page.text.split("\n") if "3 runs, 3 failed" in words]
    assert len(titles) == 1  # the one bar of runs
    assert "before:" not in whole.text


def _texts(html: str, tag: str) -> list[str]:
    """Return what stands in the figures at the top, in order."""
    return re.findall(rf'<a class="figure"[^>]*>.*?<{tag}>(.*?)</{tag}>', html)


def test_a_chart_of_all_times_is_no_longer_than_three_years(tmp_path: Path) -> None:
    """A clock that was wrong, or an address that asks for it, must not cost a page of a century."""
    events = [call("old", -1.7e9), run("old", -1.7e9), call("new"), run("new")]
    with stored(tmp_path, events) as store:
        for address in ("?period=all", "?since=0001-01-01&until=9999-12-31"):
            charts = _charts(overview(store, asked(address)), asked(address), SITE)
            drawn = [len(chart.columns) for chart in charts]
            assert 0 < max(drawn) <= MAX_STRETCHES + 1, drawn
            read(overview_page(store, asked(address), SITE))


def test_an_empty_store_says_what_to_do_next(tmp_path: Path) -> None:
    with stored(tmp_path, []) as store:
        pages = [
            read(overview_page(store, asked(period=PERIOD), SITE)),
            read(runs_page(store, asked(), SITE)),
        ]
        collector = replace(SITE, api="/llmobs/api/v1")
        pages_of_a_collector = [
            read(overview_page(store, asked(period=PERIOD), collector)),
            read(runs_page(store, asked(), collector)),
        ]
    for page in pages_of_a_collector:
        assert 'sink="https://watch.example/llmobs/v1?wire=native"' in page.text
    for page in pages:  # an application takes nothing from elsewhere
        assert "https://watch.example" not in page.text and "llmobs.instrument()" in page.text


# What was recorded is hostile.

HOSTILE = (
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)",
    "{{ 70707*7 }}{% include 'x' %}", "\u202ereversed\u2066", "\x00\x1b[31m\ud800", "' onmouseover='x",
)  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_in_every_field_does_nothing(tmp_path: Path, hostile: str) -> None:
    events = every_kind()
    for number, event in enumerate(events):
        for field in fields(type(event)):
            if field.type in (str, str | None):
                setattr(event, field.name, hostile)
        event.run_id, event.event_id = hostile, f"{hostile}{number}"
    with stored(tmp_path, events) as store:
        known = store.runs(1)[0].run_id
        ids = [each.decode().event_id for each in store.latest(20)]  # type: ignore[union-attr]
        pages = [
            runs_page(store, asked(), SITE),
            overview_page(store, asked("?period=all"), SITE),
            users_page(store, asked(), SITE),
            sessions_page(store, asked(), SITE),
            run_page(store, asked(), SITE, run_id=known),
            *(event_page(store, asked(), SITE, event_id=each) for each in ids),
        ]
    for page in pages:
        read(page)
        assert not set("\x00\x1b\u202e\u2066\ud800") & set(page.html)
        assert "494949" not in page.html
        page.html.encode()


def test_long_texts_are_begun_and_the_rest_is_a_page_away(tmp_path: Path) -> None:
    events: list[Event] = [
        call("r", n, event_id=f"e{n}", prompt=f"{n} " + "word " * 20_000, response="x" * 100_000)
        for n in range(EVENTS_ON_A_PAGE)
    ]
    with stored(tmp_path, events) as store:
        page = run_page(store, asked(), SITE, run_id="r")
        whole = event_page(store, asked(), SITE, event_id="e3")
    read(page)
    assert "characters more" in page.html
    assert (
        len(gzip.compress(page.html.encode()))
        + sum(len(gzip.compress(static_file(name))) for name in STATIC)
        < MAX_BYTES
    )
    assert "x" * 100_000 in whole.html


def test_errors_outside_calls_are_shown(tmp_path: Path) -> None:
    events: list[Event] = [
        ErrorEvent(
            event_id="e", run_id="r", timestamp=at(0), error=ErrorInfo("lost", type="OSError"),
            context={"path": "/x"},
        )
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
    assert "OSError" in page.text and "/x" in page.text
