"""A key writes to its project alone: not even into a run whose id it knows."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from llmobs.events import Event
from llmobs.server.collector import Collector
from llmobs.server.keys import KeyFile
from llmobs.settings import Settings
from llmobs.store.engine import writer_of
from llmobs.store.reader import Reader
from tests.support.serving import Serving
from tests.support.stores import call, run, write_store

DATA = Path(__file__).parents[1] / "data"


def take(store: Path, *batches: tuple[str | None, Sequence[Event]], at_once: bool = False) -> None:
    collector = Collector(writer_of(store, durable=True), Settings())

    async def main() -> None:
        await collector.open()
        async with anyio.create_task_group() as group:
            for project, events in batches:

                async def one(
                    project: str | None = project, events: Sequence[Event] = events
                ) -> None:
                    assert await collector.store(events, project=project) == {}

                if at_once:
                    group.start_soon(one)
                else:
                    await one()
        await collector.aclose()

    anyio.run(main)


def found(store: Path) -> dict[str, tuple[str | None, set[str]]]:
    """Runs: whose, and the events in them."""
    with Reader(store) as reader:
        events = [stored.decode() for stored in reader.events()]
        return {
            one.run_id: (
                one.project_id,
                {e.event_id for e in events if e and e.run_id == one.run_id},
            )
            for one in reader.runs(100)
        }


@pytest.mark.parametrize("at_once", [False, True])
def test_two_projects_name_one_run(tmp_path: Path, at_once: bool) -> None:
    first = [call("r", event_id="a1"), run("r", event_id="a2", project_id="b")]
    second = [call("r", event_id="b1", project_id="a"), run("r", event_id="b2")]
    take(tmp_path / "s.db", ("a", first), ("b", second), at_once=at_once)
    runs = found(tmp_path / "s.db")
    assert sorted(runs.values(), key=str) == [("a", {"a1", "a2"}), ("b", {"b1", "b2"})]
    assert "r" in runs
    with Reader(tmp_path / "s.db") as reader:
        apart = [e.decode() for e in reader.events() if e.run_id != "r"]
        assert {getattr(e, "client_run_id", "r") for e in apart} == {"r"}, "by which it is found"


def test_what_is_sent_again_is_there_already(tmp_path: Path) -> None:
    first = ("a", [call("r", event_id="a1")])
    second = ("b", [call("r", event_id="b1"), run("r", event_id="b2")])
    again = ("b", [call("r", event_id="b1"), run("r", event_id="b2"), call("r", event_id="b3")])
    take(tmp_path / "s.db", first, second)
    take(tmp_path / "s.db", again, again)
    assert sorted(found(tmp_path / "s.db").values(), key=str) == [
        ("a", {"a1"}),
        ("b", {"b1", "b2", "b3"}),
    ]


def test_a_run_without_a_project_is_nobodys_to_write_into(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.db", [call("r", event_id="own")])
    take(store, ("a", [call("r", event_id="a1"), call("mine", event_id="a2")]))
    runs = found(store)
    assert runs["r"] == (None, {"own"})
    assert runs["mine"] == ("a", {"a2"})
    assert len(runs) == 3


def test_who_needs_no_key_says_whose_it_is(tmp_path: Path) -> None:
    both = [call("r", event_id="a1", project_id="a"), call("r", event_id="b1", project_id="b")]
    take(tmp_path / "s.db", (None, both), (None, [call("r", event_id="c1")]))
    assert found(tmp_path / "s.db") == {"r": ("a", {"a1", "b1", "c1"})}


@pytest.mark.parametrize("begins", ["with a call", "with a span that is no event"])
def test_spans_of_one_trace(tmp_path: Path, begins: str) -> None:
    """Over OTLP, a run is a trace, and ids are made of it; it is whose span came first."""
    store = tmp_path / "llmobs.db"
    trace = "ab" * 16

    def span(number: int, parent: int, **attributes: str) -> dict[str, object]:
        return {
            "traceId": trace, "spanId": f"{number:016x}", "parentSpanId": f"{parent:016x}" if parent else "",
            "name": f"span {number}", "kind": 2, "startTimeUnixNano": "1764000000000000000",
            "endTimeUnixNano": "1764000001000000000",
            "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
        }  # fmt: skip

    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    request, answer = span(1, 0), span(2, 1, **chat)
    others = ("b", [span(3, 2), span(4, 3, **chat)])
    sent = [("a", [request, answer]), others]
    if begins != "with a call":
        sent = [("a", [request]), others, ("a", [answer])]
    keys = {project: KeyFile(store).add(project=project)[1] for project in "ab"}
    with Serving(store, "--host", "0.0.0.0") as server:
        for _ in range(2):
            for project, spans in sent:
                body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
                post = urllib.request.Request(
                    f"{server.url}/v1/traces", body,
                    {"content-type": "application/json", "x-api-key": keys[project]},
                )  # fmt: skip
                with urllib.request.urlopen(post, timeout=30) as found:
                    assert found.status == 200
    with Reader(store) as reader:
        runs = {one.project_id: one for one in reader.runs(10)}
    assert set(runs) == {"a", "b"}
    assert runs["a"].run_id == trace
    assert [(one.calls, one.name) for _, one in sorted(runs.items())] == [
        (1, "span 1"),
        (1, "span 3"),
    ]


def test_watchllms_wire(tmp_path: Path) -> None:
    """It tells the project itself; the key says whether that is so."""
    store = tmp_path / "llmobs.db"
    keys = {project: KeyFile(store).add(project=project)[1] for project in "ab"}
    template = json.loads((DATA / "watchllm_batch_minimal.json").read_text())["events"][0]
    with Serving(store, "--host", "0.0.0.0") as server:
        for project, key in keys.items():
            event = {
                **template,
                "event_id": str(uuid.uuid4()),
                "project_id": project,
                "run_id": "r",
            }
            request = urllib.request.Request(
                f"{server.url}/v1/events/batch", json.dumps({"events": [event]}).encode(),
                {"authorization": f"Bearer {key}"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert json.load(answer)["success"] is True
    assert sorted(project for project, _ in found(store).values() if project) == ["a", "b"]


def test_what_a_key_sees(tmp_path: Path) -> None:
    """Its project alone: in lists, and by the id of what it may not see."""
    store = write_store(
        tmp_path / "llmobs.db",
        [
            call(f"run-of-{project}", event_id=f"event-of-{project}", project_id=project, prompt=f"said in {project}",
                 model=f"model-of-{project}", user_id=f"user-of-{project}")
            for project in ("ours", "theirs")
        ],
    )  # fmt: skip
    key = KeyFile(store).add(project="ours", may=["read"])[1]
    with Serving(store, "--host", "0.0.0.0") as server:
        for path, status in {
            "/": 200, "/runs": 200, "/runs?project=theirs": 200, "/runs/run-of-ours": 200, "/runs/run-of-theirs": 404,
            "/events/event-of-theirs": 404, "/metrics": 403,
        }.items():  # fmt: skip
            request = urllib.request.Request(f"{server.url}{path}", headers={"x-api-key": key})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found, text = answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    found, text = error.code, error.read().decode()
            assert found == status, path
            for what in ("said in theirs", "model-of-theirs", "user-of-theirs"):
                assert what not in text, (path, what)
            if path in ("/runs/run-of-ours",):
                assert "model-of-ours" in text


def test_one_project_goes_on_with_its_runs(tmp_path: Path) -> None:
    for number in range(3):
        take(tmp_path / "s.db", ("a", [call("r", event_id=f"a{number}")]))
    assert found(tmp_path / "s.db") == {"r": ("a", {"a0", "a1", "a2"})}
