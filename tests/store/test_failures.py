"""What failed, by cause: every failure is counted once, in the group that its cause says."""

import sqlite3
from pathlib import Path

import pytest

from llmobs.events import AssertionFailedEvent, ErrorEvent, ErrorInfo, Event, ToolCallEvent
from llmobs.store.reader import Reader
from llmobs.store.records import ErrorGroup, RunFilter
from tests.support.stores import at, call, run, write_store

STACK = (
    'Traceback (most recent call last):\n  File "/srv/app/shop.py", line 12, in pay\n    raise\n'
)


def late(seconds: float, **fields: object) -> ErrorInfo:
    return ErrorInfo(f"no answer after {seconds} s", type="TimeoutError", **fields)  # type: ignore[arg-type]


EVENTS: list[Event] = [
    call(
        "a", 0, event_id="1", model="gpt-4o", status="error", project_id="one",
        error=late(3, stack=STACK),
    ),
    run("a", 0, name="POST /chat", project_id="one", user_id="ada"),
    call(
        "b", 60, event_id="2", model="claude", status="timeout", project_id="two",
        error=late(9.5, stack=STACK),
    ),
    call("b", 61, event_id="3", model="claude", status="timeout", error=late(1, stack=STACK)),
    run("b", 60, event_id="4", name="POST /sum", project_id="two", status="error", error=late(2)),
    ToolCallEvent(event_id="5", run_id="c", timestamp=at(120), tool_name="find", status="error"),
    ErrorEvent(event_id="6", run_id="c", timestamp=at(30), error=ErrorInfo("no such key", "KeyError")),
    AssertionFailedEvent(event_id="7", run_id="c", timestamp=at(31), assertion_name="is_json"),
    AssertionFailedEvent(event_id="8", run_id="d", timestamp=at(32), assertion_name="is_json"),
    call("d", 33, status="cancelled", error=ErrorInfo("cancelled", "CancelledError")),
    call("e", 34),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("failures") / "x.db", EVENTS)


def groups(store: Path, **where: object) -> list[ErrorGroup]:
    with Reader(store) as reader:
        return reader.errors(100, where=RunFilter(**where))  # type: ignore[arg-type]


def told(group: ErrorGroup) -> tuple[object, ...]:
    return (group.type, group.subject, group.place, group.events, group.runs)


def test_failures_are_grouped_by_type_wording_and_place(store: Path) -> None:
    assert [told(group) for group in groups(store)] == [
        (None, "find", None, 1, 1),
        ("TimeoutError", "claude", "/srv/app/shop.py in pay", 3, 2),
        ("TimeoutError", "POST /sum", None, 1, 1),
        (None, "is_json", None, 2, 2),
        ("KeyError", "KeyError", None, 1, 1),
    ]


def test_a_group_says_when_where_and_what_the_latest_was(store: Path) -> None:
    group = groups(store)[1]
    assert (group.first, group.latest) == (at(0), at(61))
    assert (group.event_id, group.run_id, group.event_type) == ("3", "b", "prompt_call")
    assert group.message == "no answer after 1 s"
    assert (group.models, group.routes) == (("claude", "gpt-4o"), ("POST /sum", "POST /chat"))


@pytest.mark.parametrize(
    ("where", "counts"),
    [
        ({"project_id": "one"}, [1]),
        ({"user_id": "ada"}, [1]),
        ({"route": "POST /sum"}, [2, 1]),
        ({"route": "post /sum"}, []),
        ({"since": at(60)}, [1, 2, 1]),
        ({"until": at(60)}, [2, 1, 1]),
        ({"model": "gpt-4o", "until": at(30)}, [1]),
    ],
)
def test_what_is_asked_for_bounds_the_runs(
    store: Path, where: dict[str, object], counts: list[int]
) -> None:
    assert [group.events for group in groups(store, **where)] == counts


@pytest.mark.parametrize("where", [{}, {"since": at(31)}, {"until": at(60)}, {"project_id": "two"}])
def test_as_many_runs_as_a_group_counts_are_behind_it(
    store: Path, where: dict[str, object]
) -> None:
    for group in groups(store, **where):
        chosen = RunFilter(error=group.fingerprint, **where)  # type: ignore[arg-type]
        with Reader(store) as reader:
            assert reader.count_runs(chosen) == len(reader.runs(100, where=chosen)) == group.runs
        (same,) = groups(store, error=group.fingerprint, **where)
        assert same == group


def test_every_group_is_on_one_page_and_only_one(tmp_path: Path) -> None:
    events = [
        # Many at once: the place in the list must not hang on time alone.
        call(f"r{n}", n // 10, status="error", error=ErrorInfo("off", type=f"T{n % 35}"))
        for n in range(100)
    ]
    seen: list[str | None] = []
    with Reader(write_store(tmp_path / "x.db", events)) as reader:
        before = None
        while page := reader.errors(4, before=before):
            seen += [group.type for group in page]
            before = (page[-1].latest, page[-1].fingerprint or "")
    assert sorted(map(str, seen)) == sorted({f"T{n}" for n in range(35)})


def test_only_the_index_is_read_to_group_them(store: Path) -> None:
    connection = sqlite3.connect(store)
    query = "SELECT e.fingerprint, count(*) FROM events e WHERE e.failed GROUP BY e.fingerprint"
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    connection.close()
    assert plan == ["SCAN e USING COVERING INDEX events_failed"]


def test_the_error_of_a_call_whose_messages_are_stored_apart_is_told(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "long " * 500}]
    failed = call("a", prompt=said, status="error", error=late(3, stack=STACK))
    with Reader(write_store(tmp_path / "x.db", [failed])) as reader:
        (group,) = reader.errors()
    assert (group.type, group.place) == ("TimeoutError", "/srv/app/shop.py in pay")


def test_what_an_error_says_that_is_no_text_is_told_as_well_as_it_can_be(store: Path) -> None:
    path = store.with_name("odd.db")
    write_store(path, [call("a", event_id="1", status="error", error=late(3, stack=STACK))])
    connection = sqlite3.connect(path)
    for body in ('{"error":{"type":1,"message":[2],"stack":{}}}', "no JSON", '{"error":7}'):
        with connection:
            connection.execute("UPDATE bodies SET body = ?", (body,))
        with Reader(path) as reader:
            (group,) = reader.errors()
        assert group.events == 1 and (group.message or "").startswith(("[2]", "TimeoutError"))
    connection.close()
