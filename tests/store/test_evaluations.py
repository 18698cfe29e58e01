"""Evaluations in the store: added up by name, and runs chosen by them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from llmobs.events import AssertionFailedEvent, EvaluationEvent
from llmobs.recorded.ids import new_id
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


def groups(store: Path, **where: Any) -> dict[str | None, EvaluationGroup]:
    with Reader(store) as reader:
        return {group.name: group for group in reader.evaluation_groups(RunFilter(**where))}


def test_they_are_added_up_by_name(store: Path) -> None:
    found = groups(store)
    assert list(found) == ["thumbs", "tone", "is json"], "the most frequent first"
    assert found["thumbs"] == EvaluationGroup(
        name="thumbs", evaluations=3, scored=3, score=pytest.approx(2 / 3), lowest=0.0, highest=1.0,
        labels=[("up", 2), ("down", 1)],
    )  # fmt: skip
    tone = found["tone"]
    assert (tone.evaluations, tone.scored, tone.score, tone.labels) == (2, 1, -0.5, [("kind", 1)])
    assert (found["is json"].score, found["is json"].labels) == (None, [("failed", 1)])


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
