"""llmobs.store.reader: what was written comes back, filtered, added up, and in order."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmobs import (
    AssertionFailedEvent,
    ConfigurationError,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    RunEvent,
    Severity,
    StoreCorruptError,
    StoreNotFoundError,
    StoreVersionError,
    ToolCallEvent,
)
from llmobs.store import schema
from llmobs.store.engine import ReadsStore, WritesStore, open_reader, open_writer
from llmobs.store.reader import Reader
from llmobs.store.records import AmbiguousRunError, RunFilter, RunNotFoundError
from llmobs.store.writer import Writer
from tests.support.stores import START, at, call, run, write_store


def store(tmp_path: Path, *events: Event) -> Reader:
    return Reader(write_store(tmp_path / "llmobs.db", events))


def test_reader_and_writer_do_what_a_store_must(tmp_path: Path) -> None:
    writer: WritesStore = Writer(tmp_path / "x.db")
    reader: ReadsStore = Reader(tmp_path / "x.db")
    for made, wanted in ((writer, WritesStore), (reader, ReadsStore)):
        public = {name for name in dir(type(made)) if not name.startswith("_")}
        assert public == {name for name in vars(wanted) if not name.startswith("_")}
    reader.close()
    writer.close()


class TestRuns:
    def test_a_run_is_added_up(self, tmp_path: Path) -> None:
        failed = call("r1", 2, status="error", error=ErrorInfo("boom"), response="")
        priced = call("r1", 1, tokens_input=10, tokens_output=5, cost_usd=0.5, user_id="ann")
        unpriced = call("r1", 1.5, tokens_input=1, tokens_output=1)
        with store(tmp_path, priced, unpriced, failed, run("r1", http_status=200)) as reader:
            (found,) = reader.runs()
        assert (found.events, found.calls, found.errors) == (3, 3, 1)
        assert (found.tokens_input, found.tokens_output, found.cost_usd) == (11, 6, 0.5)
        # A failed call without usage costs nothing anybody knows of; only the answered one counts.
        assert found.unpriced == 1
        assert (found.name, found.status, found.http_status) == ("POST /chat", "success", 200)
        assert (found.started, found.duration_ms, found.user_id) == (START, 1000.0, "ann")
        assert not found.failed

    def test_a_run_without_its_own_event_lasts_from_first_to_last(self, tmp_path: Path) -> None:
        with store(tmp_path, call("r1", 0), call("r1", 2, latency_ms=500.0)) as reader:
            (found,) = reader.runs()
        assert found.status is None
        assert found.duration_ms == 2500.0

    def test_pages_show_each_run_once_even_at_the_same_time(self, tmp_path: Path) -> None:
        events = [call(f"r{number}", number // 3) for number in range(10)]
        with store(tmp_path, *events) as reader:
            seen: list[str] = []
            last: tuple[datetime, str] | None = None
            while page := reader.runs(4, before=last):
                seen += [found.run_id for found in page]
                last = page[-1].started, page[-1].run_id
        assert seen == [f"r{number}" for number in reversed(range(10))]

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            (RunFilter(), {"a", "b", "c"}),
            (RunFilter(user_id="ann"), {"a"}),
            (RunFilter(status="error"), {"b"}),
            (RunFilter(failed=True), {"b", "c"}),
            (RunFilter(model="gpt-4o"), {"a", "c"}),
            (RunFilter(model="*[x]?"), {"b"}),
            (RunFilter(model="gpt*"), {"a", "c"}),
            (RunFilter(model="GPT*"), set()),
            (RunFilter(name="AGENT"), {"b"}),
            (RunFilter(name="%"), set()),
            (RunFilter(since=at(10)), {"b", "c"}),
            (RunFilter(since=at(10).astimezone().replace(tzinfo=None)), {"b", "c"}),
            (RunFilter(run_id="c"), {"c"}),
            (RunFilter(run_id="c", user_id="ann"), set()),
            (RunFilter(user_id="\udcff"), set()),
        ],
    )
    def test_filters(self, tmp_path: Path, where: RunFilter, expected: set[str]) -> None:
        events = [
            call("a", 0, user_id="ann"),
            run("a", 0),
            call("b", 10, model="my[x]?"),
            run("b", 10, name="POST /agent", status="error"),
            call("c", 20, status="timeout"),
            run("c", 20),
        ]
        with store(tmp_path, *events) as reader:
            assert {found.run_id for found in reader.runs(where=where)} == expected
            assert reader.count_runs(where) == len(expected)
            assert {event.run_id for event in reader.events(where)} == expected
            assert reader.count_events(where) == 2 * len(expected)


class TestOneRun:
    def test_events_come_decoded_in_order_of_time(self, tmp_path: Path) -> None:
        tool = ToolCallEvent(event_id="t", run_id="r1", timestamp=at(1), tool_name="search")
        later, own = call("r1", 2, prompt=[{"role": "user", "content": "hi"}]), run("r1", 0)
        with store(tmp_path, later, tool, own) as reader:
            detail = reader.run("r1")
        assert detail.events == [own, tool, later]
        assert (detail.total, detail.unreadable) == (3, 0)

    def test_a_limit_keeps_the_runs_own_event(self, tmp_path: Path) -> None:
        events = [*(call("r1", number) for number in range(9)), run("r1", 0)]
        with store(tmp_path, *events) as reader:
            detail = reader.run("r1", limit=3)
        assert len(detail.events) == 4  # three, and the run itself
        assert sum(isinstance(event, RunEvent) for event in detail.events) == 1
        assert detail.total == 10

    def test_a_body_that_cannot_be_read_is_counted(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "llmobs.db", [call("r1"), call("r1", 1)])
        with sqlite3.connect(path) as connection:
            connection.execute('UPDATE bodies SET body = \'{"event_type": "new"}\' WHERE id = 1')
        connection.close()
        with Reader(path) as reader:
            detail = reader.run("r1")
            assert [event.decode() is None for event in reader.latest(2)] == [True, False]
        assert (len(detail.events), detail.unreadable) == (1, 1)

    def test_what_its_caller_called_it_finds_a_run(self, tmp_path: Path) -> None:
        shared = [run(name, client_run_id="theirs") for name in ("r1", "r2")]
        alone = run("r3", client_run_id="alone")
        named = run("alone-too", client_run_id="r1")
        with store(tmp_path, call("r1"), *shared, alone, named) as reader:
            assert reader.run("alone").summary.client_run_id == "alone"
            assert reader.resolve("alone") == "r3"
            assert reader.resolve("r1") == "r1"  # a run's own id comes first
            with pytest.raises(AmbiguousRunError) as caught:
                reader.resolve("theirs")
            assert set(caught.value.candidates) == {"r1", "r2"}
            found = reader.runs(where=RunFilter(client_run_id="theirs"))
            assert {summary.run_id for summary in found} == {"r1", "r2"}
            assert reader.count_runs(RunFilter(client_run_id="their")) == 0

    def test_a_trace_finds_its_runs_whatever_they_are_called(self, tmp_path: Path) -> None:
        of_spans = run("t1", trace_id="t1")
        inside = [run(name, trace_id="t1") for name in ("r1", "r2")]
        others = run("r3", trace_id="t2"), run("t2"), run("r4")  # one that is called like a trace
        with store(tmp_path, of_spans, *inside, *others) as reader:
            for trace, wanted in (("t1", {"t1", "r1", "r2"}), ("t2", {"r3"}), ("r4", set())):
                found = reader.runs(where=RunFilter(trace_id=trace))
                assert {summary.run_id for summary in found} == wanted

    def test_a_store_of_the_first_version_is_read_as_it_is_and_written_on(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "llmobs.db"
        with sqlite3.connect(path, isolation_level=None) as connection:
            connection.executescript(schema._MIGRATIONS[0])
            connection.execute("PRAGMA user_version = 1")
            connection.execute(
                "INSERT INTO runs (run_id, started, ended, events, calls, errors,"
                " tokens_input, tokens_output) VALUES ('old', 0, 0, 1, 1, 0, 2, 3)"
            )
        connection.close()
        with Reader(path) as reader:
            (old,) = reader.runs()
            assert (old.run_id, old.client_run_id, old.tokens_output) == ("old", None, 3)
            assert reader.count_runs(RunFilter(client_run_id="x")) == 0
            assert reader.resolve("ol") == "old"
        write_store(path, [run("new", client_run_id="theirs")])
        with Reader(path) as reader:
            assert {r.run_id: r.client_run_id for r in reader.runs()} == {
                "old": None,
                "new": "theirs",
            }

    @pytest.mark.parametrize("text", ["order-17-abc", "order-17", "o", "bc", "abc"])
    def test_enough_of_an_id_is_enough(self, tmp_path: Path, text: str) -> None:
        with store(tmp_path, call("order-17-abc"), call("job-18-xyz")) as reader:
            assert reader.resolve(text) == "order-17-abc"

    def test_the_whole_id_wins_over_longer_ones(self, tmp_path: Path) -> None:
        with store(tmp_path, call("r1"), call("r12"), call("xr1")) as reader:
            assert reader.resolve("r1") == "r1"

    @pytest.mark.parametrize("text", ["", "%", "r_", "zzz", "é", "\udcff", "r1-and-more"])
    def test_no_such_run(self, tmp_path: Path, text: str) -> None:
        with store(tmp_path, call("r1"), call("r2")) as reader, pytest.raises(RunNotFoundError):
            reader.run(text)

    def test_several_runs_fit(self, tmp_path: Path) -> None:
        with (
            store(tmp_path, *(call(f"run-{number}", number) for number in range(9))) as reader,
            pytest.raises(AmbiguousRunError) as caught,
        ):
            reader.run("run-")
        assert caught.value.candidates == ("run-8", "run-7", "run-6", "run-5", "run-4")


class TestEvents:
    def test_tail_follows_a_writer(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "llmobs.db", [call("r1", number) for number in range(5)])
        writer = Writer(path)
        with Reader(path) as reader:
            last = reader.latest(2)
            assert [event.id for event in last] == [4, 5]
            assert reader.tail(last[-1].id) == []
            late = call("r2", -100)  # stored last, though it began first
            writer.write([late])
            (new,) = reader.tail(last[-1].id)
            assert (new.run_id, new.event_type) == ("r2", "prompt_call")
        writer.close()

    def test_iteration_is_whole_ordered_and_of_the_types_asked(self, tmp_path: Path) -> None:
        events: list[Event] = [call(f"r{number % 7}", -number) for number in range(450)]
        events += [run(f"r{number}") for number in range(7)]
        with store(tmp_path, *events) as reader:
            found = list(reader.events())
            assert [event.decode() for event in found] == events
            assert (
                len(list(reader.events(types=["run"]))) == 7 == reader.count_events(types=["run"])
            )
            assert len(list(reader.events(types=["run", "prompt_call"]))) == 457

    def test_an_iteration_that_is_given_up_holds_nothing_back(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "llmobs.db", [call("r1", number) for number in range(500)])
        with Reader(path) as reader:
            half_way = reader.events()
            next(half_way)
            write_store(path, [call("r2")])
            half_way.close()
            assert reader.count_runs() == 2
            forgotten = reader.events()
            next(forgotten)
        del forgotten  # after the connection: no complaint


class TestCost:
    EVENTS = (
        call("a", 0, tokens_input=10, tokens_output=1, cost_usd=0.2, provider="openai",
             latency_ms=100.0, tokens_cached=4),
        call("a", 1, tokens_input=20, tokens_output=2, cost_usd=0.3, provider="openai",
             latency_ms=300.0, prompt='{"tokens_cached": 999}'),
        call("b", 86_400, tokens_input=5, tokens_output=5, model="mine", provider=None),
        call("b", 86_401, status="error", error=ErrorInfo("429"), model="mine", latency_ms=9e9),
        run("a", 0, name="POST /chat"),
    )  # fmt: skip

    def test_by_model(self, tmp_path: Path) -> None:
        with store(tmp_path, *self.EVENTS) as reader:
            dear, unknown = reader.cost()
        assert (dear.key, dear.calls, dear.failed, dear.unpriced) == ("gpt-4o", 2, 0, 0)
        assert (dear.tokens_input, dear.tokens_output, dear.tokens_cached) == (30, 3, 4)
        assert dear.cost_usd == pytest.approx(0.5)
        assert dear.latency_ms == pytest.approx(200)
        assert (unknown.key, unknown.calls, unknown.failed, unknown.unpriced) == ("mine", 2, 1, 1)
        assert (unknown.cost_usd, unknown.latency_ms) == (None, None)

    def test_by_anything_else(self, tmp_path: Path) -> None:
        with store(tmp_path, *self.EVENTS) as reader:
            keys = {
                by: [(group.key, group.calls) for group in reader.cost(by)]
                for by in ("provider", "day", "route")
            }
        assert keys["provider"] == [("openai", 2), (None, 2)]
        assert keys["day"] == [("2026-11-21", 2), ("2026-11-22", 2)]
        assert keys["route"] == [("POST /chat", 2), (None, 2)]

    @pytest.mark.parametrize(
        ("where", "calls"),
        [
            (RunFilter(model="m*"), 2),
            (RunFilter(since=at(1)), 3),
            (RunFilter(name="chat"), 2),
            (RunFilter(name="chat", since=at(1)), 1),
            (RunFilter(failed=True, model="mine"), 2),
            (RunFilter(user_id="nobody"), 0),
        ],
    )
    def test_filters_choose_calls(self, tmp_path: Path, where: RunFilter, calls: int) -> None:
        with store(tmp_path, *self.EVENTS) as reader:
            assert sum(group.calls for group in reader.cost("model", where)) == calls


class TestBadStores:
    def test_none_yet(self, tmp_path: Path) -> None:
        with pytest.raises(StoreNotFoundError, match="no store at"):
            Reader(tmp_path / "none.db")
        assert list(tmp_path.iterdir()) == []

    def test_of_a_newer_version(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "llmobs.db", [call("r1")])
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(StoreVersionError, match="schema 99"):
            Reader(path)

    def test_that_is_no_database(self, tmp_path: Path) -> None:
        path = tmp_path / "llmobs.db"
        path.write_bytes(b"not a database" * 1000)
        with pytest.raises(StoreCorruptError, match="not a readable SQLite database"):
            Reader(path)

    def test_that_is_damaged_inside(self, tmp_path: Path) -> None:
        path = write_store(
            tmp_path / "llmobs.db", [call("r1", number, prompt="p" * 500) for number in range(300)]
        )
        data = bytearray(path.read_bytes())
        data[20_000:] = b"\xff" * (len(data) - 20_000)
        path.write_bytes(data)
        with Reader(path) as reader, pytest.raises(StoreCorruptError):
            list(reader.events())

    def test_reading_changes_nothing(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "llmobs.db", [call("r1")])
        before = path.read_bytes()
        with Reader(path) as reader:
            reader.runs()
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader._connection.execute("DELETE FROM events")
        assert path.read_bytes() == before


def test_times_come_back_exactly(tmp_path: Path) -> None:
    moment = datetime.fromisoformat("2026-11-21T23:59:59.999999+05:30")
    with store(tmp_path, _call_at(moment)) as reader:
        (found,) = reader.runs()
    assert found.started == moment
    assert found.started.utcoffset() == timedelta(0)


def _call_at(moment: datetime) -> Event:
    event = call("r1")
    event.timestamp = moment
    return event


def test_evaluations_are_found_with_what_they_are_about(tmp_path: Path) -> None:
    events = [
        call("r1", event_id="c1"),
        AssertionFailedEvent(
            event_id="check", run_id="r1", timestamp=at(1), parent_id="c1", assertion_name="is_json",
            expected=1, actual=2, severity=Severity.HIGH,
        ),
        HallucinationDetectedEvent(
            event_id="claim", run_id="r1", timestamp=at(2), confidence_score=0.93,
            detection_method="fact_check",
        ),
        EvaluationEvent(
            event_id="rating", run_id="r1", timestamp=at(3), parent_id="c1", name="helpfulness",
            score=0.5, label="fair", explanation="short", source="user",
        ),
        AssertionFailedEvent(
            event_id="other", run_id="r2", timestamp=at(1), assertion_name="kind", expected=1, actual=2
        ),
    ]  # fmt: skip
    with Reader(write_store(tmp_path / "x.db", events)) as reader:
        check, claim, rating = reader.run("r1").evaluations
        assert [one.run_id for one in reader.evaluations()] == ["r1", "r1", "r1", "r2"]
    assert (check.event_id, check.subject, check.name) == ("check", "c1", "is_json")
    assert (check.label, check.explanation, check.score) == ("failed", "high", None)
    assert (claim.name, claim.label, claim.score) == ("fact_check", "hallucination", 0.93)
    assert (check.source, claim.source, rating.source) == ("code", "code", "user")
    assert (rating.subject, rating.name, rating.score) == ("c1", "helpfulness", 0.5)
    assert (rating.label, rating.explanation) == ("fair", "short")


def test_activity_counts_runs_by_when_they_began(tmp_path: Path) -> None:
    events: list[Event] = [
        _run_at("a", 0), _run_at("b", 59, status="error"), _run_at("c", 60), _run_at("d", 200),
        call("only-a-call", 61, status="error"),
    ]  # fmt: skip
    with Reader(write_store(tmp_path / "x.db", events)) as reader:
        told = [(each.began, each.runs, each.failed) for each in reader.activity(60)]
        one = reader.activity(60, RunFilter(status="error"))
        within = reader.activity(60, RunFilter(since=at(59), until=at(200)))
        none = reader.activity(60, RunFilter(since=at(201)))
    assert told == [(at(0), 2, 1), (at(60), 2, 1), (at(180), 1, 0)]
    assert [(each.runs, each.failed) for each in one] == [(1, 1)]
    assert [(each.began, each.runs) for each in within] == [(at(0), 1), (at(60), 2)]
    assert none == []


def _run_at(run_id: str, seconds: float, **fields: Any) -> Event:
    return run(run_id, seconds, **{"status": "success", **fields})


@pytest.mark.parametrize("form", ["{path}", "sqlite:///{path}", "SQLITE:///{path}?keep_days=3"])
def test_a_store_is_opened_by_path_or_url(tmp_path: Path, form: str) -> None:
    where = form.format(path=tmp_path / "x.db")
    writer = open_writer(where)
    writer.write([call("r1")])
    writer.close()
    with open_reader(where) as reader:
        assert reader.count_runs() == 1


@pytest.mark.parametrize("where", ["postgresql://db/llmobs", "sqlite:llmobs.db"])
def test_what_names_no_store_is_said(where: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///llmobs"):
        open_reader(where)


def test_what_lists_and_charts_ask_of_runs_stands_in_their_indexes(tmp_path: Path) -> None:
    """A row of a run is found one by one: looking at all of them for one list took half a second."""
    path = write_store(tmp_path / "x.db", [_run_at("a", 0, tags=("prod",))])
    asked: list[tuple[str, Any]] = []
    with Reader(path) as reader:
        ask = reader._all
        reader._all = lambda query, values: asked.append((query, values)) or ask(query, values)  # type: ignore[method-assign, func-returns-value]
        failed = RunFilter(failed=True)
        scanned = [
            RunFilter(tag="none"), RunFilter(name="reports"), RunFilter(min_latency_ms=1000.0),
            RunFilter(min_cost_usd=1.0), RunFilter(status="error"), RunFilter(route="GET /x"),
            RunFilter(since=at(0), project_id="p"),
        ]  # fmt: skip
        for where in (failed, *scanned):
            reader.runs(where=where)
            reader.count_runs(where, up_to=10)
            reader.activity(60, where)
        plans = [
            [row["detail"] for row in ask(f"EXPLAIN QUERY PLAN {query}", values)]
            for query, values in asked
        ]
        first_asked = list(asked)
        asked.clear()
        reader.runs(where=failed)
        reader.count_runs(failed, up_to=10)
        of_failed = [
            str([row["detail"] for row in ask(f"EXPLAIN QUERY PLAN {query}", values)])
            for query, values in asked
        ]
    for (query, _), plan in zip(first_asked, plans, strict=True):
        (first,) = (step for step in plan if " runs_" in step)
        assert "COVERING INDEX runs_" in first, (query, plan)
        assert not any("TEMP B-TREE FOR RIGHT" in step for step in plan), (query, plan)
    assert all("COVERING INDEX runs_failed" in plan for plan in of_failed), of_failed


@pytest.mark.parametrize(
    "tag", ["a", "é", 'quo"te', "back\\slash", "new\nline", "a%_*", "\U0001f600"]
)
def test_runs_are_found_by_any_tag(tmp_path: Path, tag: str) -> None:
    events = [_run_at("mine", 0, tags=("other", tag)), _run_at("not", 1, tags=(f"{tag} more",))]
    with Reader(write_store(tmp_path / "x.db", events)) as reader:
        assert [one.run_id for one in reader.runs(where=RunFilter(tag=tag))] == ["mine"]
