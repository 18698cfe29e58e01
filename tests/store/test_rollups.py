"""Hourly sums: the same as a recount, whatever happened; percentiles within two percent."""

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs import ErrorInfo, Event
from llmobs.store.cost import Groups, _from_calls, _Span
from llmobs.store.reader import Reader
from llmobs.store.records import CostGroup, GroupBy, RetentionPolicy, RunFilter
from llmobs.store.rollups import Histogram, Sums, added_up, in_buckets
from llmobs.store.writer import Writer
from tests.store.recount import hourly_sums, recounted
from tests.support.stores import START, at, call, run, write_store

RUNS = [f"r{n}" for n in range(4)]

calls = st.builds(
    lambda run_id, hours, number, fields: call(run_id, hours * 1800 + 1, event_id=f"{run_id}-{number}", **fields),
    st.sampled_from(RUNS),
    st.integers(0, 4),
    st.integers(0, 3),
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.sampled_from(["gpt-4o", "claude", ""]),
            "provider": st.sampled_from(["openai", None]),
            "release": st.sampled_from(["1", "2", None]),
            "cost_usd": st.sampled_from([None, 0.1, 0.00123, 1e9]),
            "tokens_input": st.sampled_from([None, 0, 17]),
            "tokens_output": st.sampled_from([None, 5]),
            "tokens_cached": st.sampled_from([None, 3]),
            "latency_ms": st.sampled_from([None, 0.0, 12.5, 1e12]),
            "time_to_first_token_ms": st.sampled_from([None, 3.0]),
            "weight": st.sampled_from([1.0, 10.0, 6.5]),
            "status": st.sampled_from(["success", "error"]),
        },
    ),
)  # fmt: skip
# One event of its own per run, and none of two names: which of two comes last, no recount can tell.
ends = st.sampled_from(RUNS).map(lambda r: run(r, 0, event_id=f"{r}-end", name=f"POST /{r}"))
steps = st.lists(
    st.tuples(st.just("write"), st.lists(calls | ends, max_size=6))
    | st.tuples(st.just("erase"), st.sampled_from(RUNS))
    | st.tuples(st.just("rebuild"), st.none()),
    max_size=6,
)


@settings(max_examples=20)
@given(steps=steps)
def test_they_equal_a_recount_after_any_order_of_inserts_duplicates_and_erasures(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("sums") / "x.db"
    writer = Writer(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    for kind, what in steps:
        if kind == "write":
            writer.write(what)
        elif kind == "erase":
            writer.erase([what])
        else:
            assert list(writer.rebuild()) is not None
    connection.close()
    writer.close()
    assert hourly_sums(path) == recounted(path)
    check_against_calls(path)


def check_against_calls(path: Path) -> None:
    """The sums say of whole hours what the calls say."""
    with Reader(path) as reader:
        for by in ("model", "day", "route"):
            found_by: Groups = {by: {}}  # type: ignore[dict-item]
            _from_calls(reader._all, [by], RunFilter(), _Span(None, None), found_by)  # type: ignore[list-item]
            groups = found_by[by]  # type: ignore[index]
            summed = {g.key: g for g in reader.cost(by)}  # type: ignore[arg-type]
            assert summed.keys() == groups.keys()
            for key in groups:
                found, one = summed[key], groups[key]
                assert (found.calls, found.failed, found.unpriced, found.uncounted) == tuple(
                    one[name] for name in ("calls", "failed", "unpriced", "uncounted")
                )
                assert found.latency_p95_ms == CostGroup.of(key, one).latency_p95_ms
                assert found.time_to_first_token_p50_ms == one.first_tokens.percentile(0.5)


@given(st.lists(st.floats(0.02, 1e7), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_right_to_two_percent(times: list[float], share: float) -> None:
    histogram = Histogram()
    for time in times:
        histogram.add(time)
    exact = sorted(times)[max(0, -int(-len(times) * share // 1) - 1)]
    assert histogram.percentile(share) == pytest.approx(exact, rel=0.02)
    assert len(histogram) == len(times)


def test_no_times_have_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None
    assert Sums.stored(None).number == Sums.stored(b"x").number == 0


numbers = st.integers(-(2**80), 2**80)
times = st.dictionaries(st.integers(0, 1023), st.integers(1, 2**60), max_size=5)
some_sums = st.builds(
    lambda counts, times: Sums.of(counts, in_buckets(times)),
    st.lists(numbers, min_size=15, max_size=15),
    times,
)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), some_sums), max_size=5))
def test_what_is_stored_adds_up_to_what_was_added_up(rows: list[tuple[str, str, Sums]]) -> None:
    stored = [(one, other, sums.to_bytes()) for one, other, sums in rows]
    assert [Sums.stored(data).number for *_, data in stored] == [sums.number for *_, sums in rows]
    for place, found in enumerate(added_up([*stored, ("a", "c", None), ("b", "d", b"odd")], 2)):
        expected: dict[str, Sums] = {}
        for row in rows:
            expected.setdefault(str(row[place]), Sums()).merge(row[2])
        assert {key: one.number for key, one in found.items()} == {
            key: one.number for key, one in expected.items()
        }
        for key, one in found.items():
            its = [row[2].counts for row in rows if row[place] == key]
            assert one.counts == [sum(column) for column in zip(*its, strict=True)]


def test_an_event_counts_once_in_its_own_hour_however_late_and_often(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer = Writer(path)
    early = call("r1", 0, cost_usd=1.0)
    writer.write([call("r2", 3 * 3600), call("r2", 3 * 3600 + 1)])
    writer.write([early, early])
    writer.write([early])
    writer.close()
    sums = {key[0]: Sums.stored(one)["calls"] for key, one in hourly_sums(path).items()}
    noon = int(START.timestamp() // 3600)
    assert sums == {noon: 1, noon + 3: 2}


def test_the_route_is_booked_when_the_runs_event_comes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer = Writer(path)
    writer.write([call("r1", 0, cost_usd=0.25), call("r1", 3700)])
    assert {key[3] for key in hourly_sums(path)} == {""}
    writer.write([run("r1", 0, name="POST /chat")])
    assert {key[3] for key in hourly_sums(path)} == {"POST /chat"}
    writer.write([call("r1", 7300)])
    writer.close()
    assert {Sums.stored(one)["calls"] for one in hourly_sums(path).values()} == {1}
    assert len(hourly_sums(path)) == 3
    with Reader(path) as reader:
        ((group),) = reader.cost("route")
    assert (group.key, group.calls, group.cost_usd) == ("POST /chat", 3, 0.25)


@pytest.mark.parametrize(
    ("since", "until", "calls"),
    [
        (None, None, 6),
        (1800, None, 5),
        (1800, 7200, 2),
        (3600, 7200, 1),
        (3600.5, 7300, 1),
        (1800, 1900, 1),
        (1801, 1802, 0),
        (None, 10_800, 4),
        (0, 1801, 2),
    ],
)
def test_parts_of_hours_are_exact(
    tmp_path: Path, since: float | None, until: float | None, calls: int
) -> None:
    moments = (0, 1800, 3600, 7250, 10_800, 14_000)
    path = write_store(tmp_path / "x.db", [call("r", moment) for moment in moments])
    where = RunFilter(
        since=None if since is None else at(since), until=None if until is None else at(until)
    )
    with Reader(path) as reader:
        for by in ("model", "day", "user"):
            assert sum(group.calls for group in reader.cost(by, where)) == calls  # type: ignore[arg-type]


def test_sums_outlive_runs_that_are_pruned_and_not_those_that_are_erased(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    old = [call(f"old{n}", n, cost_usd=1.0) for n in range(5)]
    events: list[Event] = [*old, call("new", 86_400, cost_usd=10.0)]
    writer = Writer(path)
    writer.write(events)
    assert writer.erase(["old0", "unknown"]) == 1
    while writer.prune(RetentionPolicy(since=START + timedelta(hours=1))):
        pass
    with Reader(path) as reader:
        assert [r.run_id for r in reader.runs()] == ["new"]
        assert reader.count_events() == 1
        assert [g.cost_usd for g in reader.cost("day")] == [4.0, 10.0]
    # Delivered once more, late: they are there again, and not counted twice.
    writer.write(old[1:])
    with Reader(path) as reader:
        assert reader.count_runs() == 5
        assert [g.cost_usd for g in reader.cost("day")] == [4.0, 10.0]
    writer.erase(["old1"])
    with Reader(path) as reader:
        assert [g.cost_usd for g in reader.cost("day")] == [4.0, 10.0]
    for _ in writer.rebuild():
        pass
    with Reader(path) as reader:
        assert [g.cost_usd for g in reader.cost("day")] == [3.0, 10.0]
    writer.close()
    assert hourly_sums(path) == recounted(path)


def test_weighted_sums_are_those_of_all(tmp_path: Path) -> None:
    path = write_store(
        tmp_path / "x.db",
        [call("a", 0, weight=10.0, cost_usd=0.5), call("b", 1, cost_usd=2.0, status="error")],
    )
    with Reader(path) as reader:
        (group,) = reader.cost()
        (by_user,) = reader.cost("user")
        assert {r.run_id: r.weight for r in reader.runs()} == {"a": 10.0, "b": 1.0}
    for one in (group, by_user):
        assert (one.calls, one.cost_usd) == (2, 2.5)
        assert (one.estimated_calls, one.estimated_cost_usd) == (11, 7.0)


def test_errors_of_one_cause_share_a_fingerprint(tmp_path: Path) -> None:
    errors = [
        ErrorInfo("request 17 timed out after 2.5 s", "TimeoutError"),
        ErrorInfo("request 4711 timed out after 30 s", "TimeoutError"),
        ErrorInfo("no such user 'ann'", "KeyError"),
    ]
    path = write_store(tmp_path / "x.db", [call("r", error=error) for error in errors])
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT fingerprint FROM events ORDER BY id")]
    connection.close()
    assert found[0] == found[1] != found[2]


def test_names_of_runs_without_end_do_not_fill_the_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("llmobs.store.insert.MAX_ROUTES", 3)
    path = tmp_path / "x.db"
    writer = Writer(path)
    for n in range(6):
        writer.write([call(f"r{n}"), run(f"r{n}", name=f"POST /users/{n}")])
    writer.write([call("r9", 3600), run("r9", 3600, name="POST /users/9")])
    assert len(caplog.records) == 1
    with Reader(path) as reader:
        routes = {group.key: group.calls for group in reader.cost("route")}
        assert routes == {f"POST /users/{n}": 1 for n in (0, 1, 2, 9)} | {"(other)": 3}
    assert writer.erase(["r4"]) == 1
    before = hourly_sums(path)
    assert list(writer.rebuild()) == [1, 0] and hourly_sums(path) == before
    writer.close()
    with Reader(path) as reader:
        assert {g.key: g.calls for g in reader.cost("route")}["(other)"] == 2


def test_hours_projects_and_all_are_added_up_alike_from_sums_and_from_calls(tmp_path: Path) -> None:
    events: list[Event] = [
        call(
            f"r{n}", n * 1200, project_id=f"p{n % 2}", user_id="ada", tokens_input=n, tokens_output=1,
            cost_usd=0.5, latency_ms=100.0 * n,
        )
        for n in range(1, 10)
    ]  # fmt: skip
    by: GroupBy
    with Reader(write_store(tmp_path / "x.db", events)) as reader:
        for by, keys in (
            ("hour", ["2026-11-21T12", "2026-11-21T13", "2026-11-21T14", "2026-11-21T15"]),
            ("project", ["p0", "p1"]),
            ("all", ["all"]),
        ):
            # Of one person only the calls know.
            of_sums, of_calls = reader.cost(by), reader.cost(by, RunFilter(user_id="ada"))
            assert sorted(group.key or "" for group in of_sums) == keys
            assert sorted(map(repr, of_sums)) == sorted(map(repr, of_calls))
        (mine,) = reader.cost("all", RunFilter(project_id="p1"))
        assert (mine.calls, mine.tokens_input) == (5, 25)
        assert reader.cost("all", RunFilter(project_id="p1", user_id="ada")) == [mine]
