"""Evaluations in the store: added up by name, and runs chosen by them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs.events import AssertionFailedEvent, EvaluationEvent, Event
from llmobs.recorded.ids import new_id
from llmobs.store import evaluations
from llmobs.store.reader import Reader
from llmobs.store.records import MAX_LABELS, EvaluationGroup, RunFilter
from llmobs.store.writer import Writer
from tests.support.stores import at, call, write_store


def said(run_id: str, name: str, **fields: Any) -> EvaluationEvent:
    return EvaluationEvent(
        event_id=new_id(), run_id=run_id, timestamp=at(60), name=name, standalone=True, **fields
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events = [
        *(call(run_id, n, project_id="p" if n < 2 else "q") for n, run_id in enumerate("abc")),
        said("a", "thumbs", score=1.0, label="up"),
        said("b", "thumbs", score=0.0, label="down"),
        said("c", "thumbs", score=1.0, label="up"),
        said("a", "tone", label="kind"),
        said("a", "tone", score=-0.5),
        AssertionFailedEvent(
            event_id=new_id(), run_id="c", timestamp=at(61), assertion_name="is json"
        ),
    ]
    return write_store(tmp_path_factory.mktemp("evaluations") / "x.db", events)


kinds = st.tuples(
    st.sampled_from(["thumbs", "tone", ""]), st.sampled_from([None, "up", "down", ""])
)
steps = st.lists(
    st.tuples(st.just("rate"), st.sampled_from("ab"), kinds)
    | st.tuples(st.just("call"), st.sampled_from("ab"), st.integers(-5, 5))
    | st.tuples(st.sampled_from(["erase", "redact"]), st.sampled_from("ab"), st.none()),
    max_size=8,
)


@settings(max_examples=40)
@given(steps=steps)
def test_what_is_kept_of_their_runs_is_what_these_are(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, Any]]
) -> None:
    """Late events, what is erased and what is rewritten: added up by time they are as by their runs."""
    path = tmp_path_factory.mktemp("kept") / "x.db"
    writer = Writer(path)
    for kind, run_id, what in steps:
        if kind == "rate":
            writer.write([said(run_id, what[0], label=what[1], explanation="secret")])
        elif kind == "call":
            writer.write(
                [call(run_id, what, event_id=new_id(), project_id="p" if what % 2 else None)]
            )
        elif kind == "erase":
            writer.erase([run_id])
        else:
            writer.rewrite(run_id, _without_explanation)
    writer.close()
    connection = sqlite3.connect(path)
    stored = connection.execute(
        "SELECT id, run_id, name, project_id, run_started, run_project FROM evaluations ORDER BY id"
    ).fetchall()
    recounted = connection.execute(
        "SELECT e.id, e.run_id, e.name, e.project_id, r.started, r.project_id FROM events e"
        " JOIN runs r ON r.run_id = e.run_id WHERE e.event_type = 'evaluation' ORDER BY e.id"
    ).fetchall()
    connection.close()
    assert stored == recounted
    for where in ({}, {"since": at(0)}, {"until": at(3)}, {"project_id": "p"}):
        # Any run has a project, or none: what more is asked for sends it through the runs.
        by_run = groups(path, min_tokens=-1, **where)
        assert groups(path, **where) == by_run
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluations, "MANY", 1)
            assert groups(path, **where) == by_run


def _without_explanation(event: Event) -> Event:
    if isinstance(event, EvaluationEvent):
        event.explanation = "[REDACTED]"
    return event


def groups(store: Path, **where: Any) -> dict[str | None, EvaluationGroup]:
    with Reader(store) as reader:
        return {group.name: group for group in reader.evaluation_groups(RunFilter(**where))}


def test_they_are_added_up_by_name(store: Path) -> None:
    found = groups(store)
    assert list(found) == ["thumbs", "tone", "is json"], "the most frequent first"
    assert found["thumbs"] == EvaluationGroup(
        name="thumbs", evaluations=3, scored=3, score=2 / 3, lowest=0.0, highest=1.0,
        labels=[("up", 2), ("down", 1)],
    )  # fmt: skip
    tone = found["tone"]
    assert (tone.evaluations, tone.scored, tone.score, tone.labels) == (2, 1, -0.5, [("kind", 1)])
    assert (found["is json"].score, found["is json"].labels) == (None, [("failed", 1)])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0]])
@pytest.mark.parametrize("together", [True, False])
def test_a_rating_never_says_when_its_run_ended(
    tmp_path: Path, order: list[int], together: bool
) -> None:
    """Not even the first thing that comes of it, though people rate what they have read."""
    events = [call("a", 0), said("a", "thumbs", score=1.0), call("a", 2, event_id="later")]
    batches = [[events[n] for n in order]] if together else [[events[n]] for n in order]
    writer = Writer(tmp_path / "x.db")
    for batch in batches:
        writer.write(batch)
    writer.close()
    with Reader(tmp_path / "x.db") as reader:
        (found,) = reader.runs(2)
    assert (found.started, found.ended) == (at(0), at(2))


def test_of_the_runs_that_fit(store: Path) -> None:
    assert {name: g.evaluations for name, g in groups(store, project_id="p").items()} == {
        "thumbs": 2,
        "tone": 2,
    }
    assert groups(store, until=at(-1)) == {}
    assert groups(store, evaluation="tone")["thumbs"].evaluations == 1


@pytest.mark.parametrize(
    ("where", "runs"),
    [
        ({"evaluation": "thumbs"}, "abc"),
        ({"evaluation": "Thumbs"}, ""),
        ({"evaluation": "tone"}, "a"),
        ({"evaluation": "thumbs", "max_score": 0}, "b"),
        ({"evaluation": "thumbs", "min_score": 0.5}, "ac"),
        ({"evaluation": "thumbs", "evaluation_label": "up"}, "ac"),
        ({"evaluation": "thumbs", "min_score": 0.5, "project_id": "p"}, "a"),
        ({"max_score": -0.1}, "a"),
        ({"evaluation": "tone", "max_score": -0.1, "evaluation_label": "kind"}, ""),
        ({"evaluation": "' OR 1=1 --"}, ""),
    ],
)
def test_runs_are_chosen_by_what_was_said(store: Path, where: dict[str, Any], runs: str) -> None:
    with Reader(store) as reader:
        found = reader.runs(10, where=RunFilter(**where))
        assert sorted(run.run_id for run in found) == [*runs]
        assert reader.count_runs(RunFilter(**where)) == len(runs)
        assert sum(group.calls for group in reader.cost("model", RunFilter(**where))) == len(runs)


def test_of_very_many_labels_some_are_named(tmp_path: Path) -> None:
    events = [said(f"r{n}", "topic", label=f"l{n % 40}") for n in range(400)]
    store = write_store(tmp_path / "x.db", events)
    assert len(groups(store)["topic"].labels) == MAX_LABELS


def test_odd_values_keep_nothing_from_being_read(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "x.db"
    copy.write_bytes(store.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute(
            "UPDATE evaluations SET score = 'high', label = x'ff', name = 7 WHERE run_id = 'a'"
        )
        connection.execute("UPDATE evaluations SET name = NULL WHERE run_id = 'c'")
    connection.close()
    found = groups(copy)
    assert found["7"].evaluations == 3 and found["7"].score is None
    assert found[None].evaluations == 2


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "in two"])
def test_a_rating_that_comes_late_makes_its_run_no_longer(tmp_path: Path, apart: bool) -> None:
    """Its run would look as long as the gap, and be kept as if it had ended then."""
    path = tmp_path / "x.db"
    events = [call("r", 0, latency_ms=1000.0), said("r", "thumbs", score=1.0)]
    writer = Writer(path)
    for batch in [[one] for one in events] if apart else [events]:
        writer.write(batch)
    writer.write([said("only rated", "thumbs", score=1.0)])
    writer.close()
    with Reader(path) as reader:
        runs = {one.run_id: one for one in reader.runs()}
    assert (runs["r"].started, runs["r"].ended) == (at(0), at(1))
    assert (runs["only rated"].started, runs["only rated"].ended) == (at(60), at(60))
