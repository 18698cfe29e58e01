"""Two things beside each other: what differs is told, what is the same is not in the way."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from llmobs.answers.asked import AddressError
from llmobs.answers.compare import compare
from llmobs.events import ErrorInfo, EvaluationEvent, Event, ToolCallEvent
from llmobs.viewer.compare import compare_page
from llmobs.viewer.runs import runs_page
from tests.support.stores import at, call, run
from tests.viewer.test_pages import HOSTILE, SITE, asked, read, stored

SINCE = "since=2026-11-21T11:00&until=2026-11-21T13:00"


def agent(run_id: str, words: str, **more: Any) -> list[Event]:
    own = {"release": more.pop("release", None)}
    return [
        call(
            run_id, event_id=f"{run_id}-1", prompt=f"Find {words} quiet hotels", response="Searching",
            tokens_input=10, tokens_output=5, cost_usd=0.25, latency_ms=100.0, **own, **more,
        ),
        ToolCallEvent(
            event_id=f"{run_id}-2", run_id=run_id, timestamp=at(1), tool_name="search",
            input={"count": words, "city": "Lisbon"}, output=["Memmo Alfama"],
        ),
        call(run_id, 2, event_id=f"{run_id}-3", prompt="And now?", response="Here they are", **own),
        run(run_id, user_id="ada", status="success", **own),
    ]  # fmt: skip


def test_two_runs_are_compared_word_by_word(tmp_path: Path) -> None:
    events = [*agent("left", "three", model="gpt-4o"), *agent("right", "five", model="gpt-4.1")]
    with stored(tmp_path, events) as store:
        found = compare(store, asked("?left=left&right=right")).runs
        page = read(compare_page(store, asked("?left=left&right=right"), SITE))
    assert found is not None
    differing = {each.name: (each.left, each.right) for each in found.figures if each.differs}
    assert differing == {"models": ("gpt-4o", "gpt-4.1, gpt-4o")}
    first, tool, last = found.steps
    assert (first.differs, tool.differs, last.differs) == (True, True, False)
    assert [(c.kind, c.text) for c in first.texts[0].changes] == [
        ("same", "Find "), ("removed", "three"), ("added", "five"), ("same", " quiet hotels"),
    ]  # fmt: skip
    removed = [words for words in page.text.split("\n") if "three" in words]
    assert removed and "/llmobs/events/left-1" in page.links and "/llmobs/runs/right" in page.links


def test_what_one_run_has_alone_is_said(tmp_path: Path) -> None:
    left = agent("left", "three")
    right = [event for event in agent("right", "three") if not isinstance(event, ToolCallEvent)]
    failed = call(
        "right", 3, event_id="right-4", status="error", error=ErrorInfo("off", "OffError")
    )
    with stored(tmp_path, [*left, *right, failed]) as store:
        found = compare(store, asked("?left=left&right=right")).runs
        page = read(compare_page(store, asked("?left=left&right=right"), SITE))
    assert found is not None
    assert [(step.left, step.right) for step in found.steps] == [
        ("left-1", "right-1"), ("left-2", None), ("left-3", "right-3"), (None, "right-4"),
    ]  # fmt: skip
    for words in ("only in the left one", "only in the right one", "OffError: off"):
        assert words in page.text


@pytest.mark.parametrize("by", ["model", "release", "prompt"])
def test_calls_of_two_kinds_are_compared(tmp_path: Path, by: str) -> None:
    field = {"model": "model", "release": "release", "prompt": "prompt_template_id"}[by]
    events: list[Event] = []
    for n in range(10):
        kind = "new" if n < 3 else "old"
        values = {field: kind, "cost_usd": 0.5, "latency_ms": 100.0 if n < 3 else 400.0}
        failed = {"status": "error", "error": ErrorInfo("off")} if n == 5 else {}
        if n in (1, 2, 6):
            events.append(
                EvaluationEvent(
                    event_id=f"v{n}", run_id=f"r{n}", timestamp=at(n), name="taste", score=n / 4,
                    label="fine",
                )
            )  # fmt: skip
        events += [
            call(f"r{n}", n, **values, **failed),
            run(f"r{n}", n, release=values.get("release")),
        ]
    address = f"?by={by}&left=new&right=old&{SINCE}"
    with stored(tmp_path, events) as store:
        found = compare(store, asked(address))
        page = read(compare_page(store, asked(address), SITE))
        assert found.left and found.right and found.left.calls and found.right.calls
        for side, count in ((found.left, 3), (found.right, 7)):
            assert side.calls and side.calls.calls == count
            link = next(
                each for each in page.links if "/runs?" in each and f"{by}={side.key}" in each
            )
            assert f"{count} runs" in read(runs_page(store, asked(link), SITE)).text
    assert sorted(found.choices) == ["new", "old"]
    words = " ".join(page.text.split())
    assert "evaluation: taste0.375 on average of 2, fine 2 times1.5 on average of 1" in words
    assert "1 (14.3%)" in words and "$3.50" in words
    assert found.right.calls.latency_p50_ms == pytest.approx(400, rel=0.03)


def test_there_is_something_to_choose_from(tmp_path: Path) -> None:
    with stored(tmp_path, [call("r", model="gpt-4o")]) as store:
        models = read(compare_page(store, asked(f"?by=model&{SINCE}"), SITE))
        runs = read(compare_page(store, asked(), SITE))
        none = read(compare_page(store, asked(f"?by=prompt&{SINCE}"), SITE))
        with pytest.raises(AddressError, match="by: one of run, model"):
            compare(store, asked("?by=moon"))
    options = [a["value"] for tag, a in models.elements if tag == "option"]
    assert options.count("gpt-4o") == 2
    assert [a["name"] for tag, a in runs.elements if tag == "input"] == ["left", "right"]
    assert "prompt_template_id" in none.text


def test_from_the_list_of_runs_two_are_chosen_without_a_script(tmp_path: Path) -> None:
    with stored(tmp_path, [run("a"), run("b")]) as store:
        page = read(runs_page(store, asked(), SITE))
    radios = [(a["name"], a["value"]) for tag, a in page.elements if a.get("type") == "radio"]
    assert sorted(radios) == [(s, r) for s in ("left", "right") for r in ("a", "b")]
    assert {"get"} == {a["method"] for tag, a in page.elements if tag == "form"}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_on_both_sides_does_nothing(tmp_path: Path, hostile: str) -> None:
    hostile = hostile.replace("\ud800", "\x7f")  # no address holds half a character
    events = [
        *(replace(each, tags=()) for each in agent("left", hostile, release=hostile, model=hostile)),
        *agent("right", hostile * 2, release=f"{hostile}2", model=f"{hostile}2"),
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        for by in ("run", "model", "release"):
            sides = ("left", "right") if by == "run" else (hostile, f"{hostile}2")
            given = {"by": by, "left": sides[0], "right": sides[1], "period": "all"}
            wanted = replace(asked(), given=given)
            page = read(compare_page(store, wanted, SITE))
            assert not set("\x00\x1b\u202e\u2066\ud800") & set(page.text)


def test_long_runs_and_texts_are_compared_as_far_as_a_page_goes(tmp_path: Path) -> None:
    events = [
        call(f"{side}", n, event_id=f"{side}{n:04}", prompt=f"{side} {n} " + "word " * 5_000)
        for side in ("left", "right") for n in range(150)
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        found = compare(store, asked("?left=left&right=right")).runs
        page = read(compare_page(store, asked("?left=left&right=right"), SITE))
    assert found is not None and found.more and len(found.steps) == 100
    assert "more were not compared" in page.text and "there are more" in page.text
    assert timedelta(0) == found.left.started - found.right.started
