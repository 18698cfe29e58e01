"""Every question, of every door: to a key of one project the others are not there."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from msgspec.structs import replace

from llmobs.answers.asked import Part, braced, read_address
from llmobs.answers.errors import AddressError, NotFoundError, SeveralError
from llmobs.answers.questions import QUESTIONS, Question
from llmobs.answers.run import event as ask_event
from llmobs.answers.run import run as ask_run
from llmobs.answers.schemas import schema_of
from llmobs.codec import encode
from llmobs.events import ErrorEvent, ErrorInfo, EvaluationEvent, Event, ToolCallEvent
from llmobs.store.engine import ReadsStore, open_reader
from llmobs.store.reader import RUN_BYTES
from llmobs.viewer.page import Site
from llmobs.viewer.pages import PAGES, Listed, draw
from tests.support.stores import at, call, index_texts, run, write_store

NOW = at(3600)
SITE = Site("/llmobs", "https://watch.example")
PERIOD = {"since": at(-7200).isoformat(), "until": NOW.isoformat()}


def events_of(project: str, sign: str) -> list[Event]:
    """A project's runs: a parent, a child, errors, and what was thought of it; all of it names *sign*."""
    of = {
        "project_id": project, "user_id": f"{sign}-user", "session_id": f"{sign}-session",
        "release": f"{sign}-1", "tags": (sign,),
    }  # fmt: skip
    return [
        call(
            f"r-{sign}", event_id=f"e-{sign}", model=f"{sign}-model", prompt=f"about tea, {sign}",
            response=f"{sign} answers", tokens_input=10, tokens_output=5, cost_usd=0.25,
            latency_ms=20.0, **of,
        ),
        ToolCallEvent(
            event_id=f"t-{sign}", run_id=f"r-{sign}", timestamp=at(1), tool_name=f"{sign}-tool", **of
        ),
        ErrorEvent(
            event_id=f"x-{sign}", run_id=f"r-{sign}", timestamp=at(2),
            error=ErrorInfo(f"{sign} broke", type=f"{sign}.Error"), **of,
        ),
        EvaluationEvent(
            event_id=f"v-{sign}", run_id=f"r-{sign}", timestamp=at(3), name=f"{sign}-good", score=0.5,
            **of,
        ),
        run(f"r-{sign}", name=f"GET /{sign}", status="error", **of),
        run(f"r-{sign}-child", 5, name=f"{sign} child", parent_run_id=f"r-{sign}", **of),
    ]  # fmt: skip


MINE = [
    *events_of("mine", "mine"),
    run("r-mine-lost", 6, project_id="mine", parent_run_id="r-them"),
]
# A child of my run is among them.
THEIRS = [
    *events_of("theirs", "them"),
    run("r-them-of-mine", 7, name="them", project_id="theirs", parent_run_id="r-mine"),
    call("r-them-early", -5000, model="them-model", project_id="theirs"),
]  # fmt: skip
NAMES = ("r-mine", "r-mine-child", "r-mine-lost", "r-", "r-them", "e-mine", "e-them")  # fmt: skip
QUERIES: tuple[Mapping[str, str], ...] = (
    PERIOD, {**PERIOD, "limit": "1"}, {**PERIOD, "cursor": "e-them"}, {**PERIOD, "text": "them"},
    {**PERIOD, "project": "theirs"}, {**PERIOD, "left": "r-them", "right": "r-mine"},
    {**PERIOD, "by": "model", "left": "them-model", "right": "mine-model"}, {"period": "all", "until": PERIOD["until"]},
    {**PERIOD, "text": "tea"}, {**PERIOD, "text": "answers", "limit": "1"},
)  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of my project."""
    return index_texts(write_store(tmp_path_factory.mktemp("alone") / "x.db", MINE))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of my project and another."""
    return index_texts(write_store(tmp_path_factory.mktemp("shared") / "x.db", [*THEIRS, *MINE]))


def names_in(path: str) -> Iterator[dict[str, str]]:
    """Everything that can stand where *path* has braces."""
    wanted = braced(path)
    for values in product(NAMES, repeat=len(wanted)):
        yield dict(zip(wanted, values, strict=True))


def asked_of(
    store: ReadsStore, question: Question, query: Mapping[str, str], project: str | None, names: Any
) -> Any:
    given = read_address(query, period=question.period, project=project)
    try:
        return json.loads(encode(question.ask(store, replace(given, now=NOW), **names)))
    except SeveralError as error:
        return [str(error), error.candidates]
    except (NotFoundError, AddressError) as error:
        return str(error)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.path)
def test_an_answer_to_a_key_of_one_project_is_as_if_there_were_no_other(
    alone: Path, shared: Path, question: Question
) -> None:
    differs = False
    with open_reader(alone) as one, open_reader(shared) as both:
        for query, names in product(QUERIES, names_in(question.path)):
            expected = asked_of(one, question, query, "mine", names)
            found = asked_of(both, question, query, "mine", names)
            assert found == expected, (query, names)
            differs |= asked_of(both, question, query, None, names) != found
    assert differs, "this cannot fail: nothing of another project is there to be told"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_a_page_for_a_key_of_one_project_is_as_if_there_were_no_other(
    alone: Path, shared: Path, page: Listed
) -> None:
    def html(store: Path, project: str | None) -> str:
        made = draw(
            page, lambda: open_reader(store), query, SITE, project=project, names=names
        )  # fmt: skip
        assert str(store.parent) not in made.html
        return made.html

    differs = False
    for query, names in product(QUERIES, names_in(page.path)):
        found = html(shared, "mine")
        assert found == html(alone, "mine"), (query, names)
        differs |= html(shared, None) != found
    assert differs, "this cannot fail: nothing of another project is there to be shown"


@pytest.mark.parametrize("kind", get_args(get_type_hints(Part)["kind"]))
def test_every_kind_of_what_can_be_said_is_described(kind: Any) -> None:
    assert schema_of(Part("", kind=kind))["type"]


def test_every_page_has_its_twin() -> None:
    twins = {question.page or question.path for question in QUESTIONS}
    texts = {page.path for page in PAGES if page.path.startswith("/text/")}
    assert {page.path for page in PAGES} - texts <= twins
    assert {path.replace("/text/", "/runs/") for path in texts} <= twins


def test_an_event_of_another_project_in_a_run_of_mine_is_not_told(tmp_path: Path) -> None:
    """Services that share a trace, and send without a key, need not share a project."""
    events = [
        call("r", event_id="a", project_id="mine"), call("r", 1, event_id="b", project_id="theirs"),
        call("r", 2, event_id="c", project_id=None), run("r", project_id="mine"),
    ]  # fmt: skip
    mine = read_address({}, project="mine")
    with open_reader(write_store(tmp_path / "x.db", events)) as store:
        ids = [each.event_id for each in ask_run(store, mine, "r").events]
        assert {"a", "c"} <= set(ids) and "b" not in ids
        for known in ("a", "c"):
            assert ask_event(store, mine, known).event.event_id == known
        with pytest.raises(NotFoundError):
            ask_event(store, mine, "b")
        assert ask_event(store, read_address({}), "b").event.event_id == "b"


def test_every_event_of_a_run_with_many_attempts_and_torn_events_is_told_once(
    tmp_path: Path,
) -> None:
    """A page's own rows are neither those of the run itself nor those that can be read."""
    events: list[Event] = [call("r", n // 3, event_id=f"e{n:02}") for n in range(23)]
    attempts = [run("r", n, event_id=f"run{n}") for n in range(3)]
    path = write_store(tmp_path / "x.db", [*events, *attempts])
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE bodies SET body = '{' WHERE id IN (SELECT id FROM events WHERE event_id IN ('e04', 'e09'))"
        )
    connection.close()
    seen: list[str] = []
    cursor: str | None = ""
    with open_reader(path) as store:
        while cursor is not None:
            found = ask_run(store, read_address({"limit": "5", "cursor": cursor}), "r")
            ids = [each.event_id for each in found.events]
            assert [each for each in ids if each.startswith("run")] == ["run0", "run1", "run2"]
            seen += [each for each in ids if each.startswith("e")]
            cursor = found.next_cursor
    assert seen == [f"e{n:02}" for n in range(23) if n not in (4, 9)]


def test_a_page_of_large_events_ends_early_and_none_is_left_out(tmp_path: Path) -> None:
    events = [call("r", n, event_id=f"e{n}", response="x" * 3_000_000) for n in range(14)]
    seen: list[str] = []
    cursor: str | None = ""
    pages = 0
    with open_reader(write_store(tmp_path / "x.db", [*events, run("r", event_id="own")])) as store:
        while cursor is not None:
            found = ask_run(store, read_address({"cursor": cursor}), "r")
            seen += [each.event_id for each in found.events if each.event_id != "own"]
            assert sum(len(encode(each)) for each in found.events) < RUN_BYTES + 3_100_000
            cursor, pages = found.next_cursor, pages + 1
    assert seen == [f"e{n}" for n in range(14)] and pages > 1
