"""The JSON API: what it answers, what it refuses, and that its document tells both."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import jsonschema
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from llmobs.answers.questions import QUESTIONS
from llmobs.events import EvaluationEvent, Event
from llmobs.server.access import Access
from llmobs.server.api import ROOT, routes
from llmobs.server.app import create_app
from llmobs.server.collector import Collector
from llmobs.settings import Settings
from llmobs.store.engine import writer_of
from tests.sinks.examples import RUN, every_kind
from tests.support.stores import at, call, run, write_store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: Any) -> Any:
    """uvicorn's; the collector's too."""
    return request.param


LINES = ["two\nlines", "ends\n", "a/b\r\nc"]


@pytest.fixture
def of_lines(tmp_path: Path) -> Path:
    return write_store(tmp_path / "llmobs.db", [run(each) for each in LINES])


async def test_ids_of_several_lines_are_asked_for(of_lines: Path) -> None:
    async with api(of_lines) as client:
        for each in LINES:
            answer = await client.get(f"/runs/{quote(each, safe='')}")
            assert answer.json()["run"]["run_id"] == each, answer.text


@asynccontextmanager
async def api(store: Path, access: Access | None = None) -> AsyncIterator[httpx.AsyncClient]:
    collector = Collector(writer_of(store, durable=True), Settings())
    app: ASGIApp = create_app(collector, routes=routes(store))

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if access is not None:
            scope.setdefault("state", {})["access"] = access
        await app(scope, receive, send)

    transport = httpx.ASGITransport(app=outer, raise_app_exceptions=False)
    base = f"http://watch.example{ROOT}"
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of event, odd ids, and lists longer than a page."""
    many: list[Event] = [
        run(f"many-{n:03}", n // 7, user_id=f"u{n}", session_id=f"s{n}") for n in range(120)
    ]
    odd = [
        call("a/b c?", event_id="e/1"),
        run("a/b c?", parent_run_id=RUN),
        run("..", name="\udc80"),
    ]
    path = tmp_path_factory.mktemp("api") / "x.db"
    return write_store(path, [*every_kind(), *odd, *many])


def answers_of(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The path and the schema of each answer."""
    for path, item in document["paths"].items():
        content = item["get"]["responses"]["200"]["content"]
        yield path, {**content["application/json"]["schema"], "components": document["components"]}


async def test_every_answer_is_what_the_document_says(store: Path) -> None:
    names = {"run_id": [RUN, "a%2Fb%20c%3F"], "event_id": ["e%2F1"]}
    async with api(store) as client:
        document = (await client.get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1") and document["servers"] == [{"url": ROOT}]
        asked = 0
        for path, schema in answers_of(document):
            name = path.partition("{")[2].rstrip("}")
            for value in names.get(name, [""]):
                found = await client.get(path.replace(f"{{{name}}}", value))
                assert found.status_code == 200, found.text
                jsonschema.validate(found.json(), schema)
                asked += 1
    assert asked == len(QUESTIONS) + 1


async def test_every_kind_of_event_is_answered_as_it_is_described(store: Path) -> None:
    async with api(store) as client:
        schemas = dict(answers_of((await client.get("/openapi.json")).json()))
        events = (await client.get(f"/runs/{RUN}")).json()["events"]
        assert len({event["event_type"] for event in events}) == len(every_kind())
        for event in events:
            found = (await client.get(f"/events/{event['event_id']}")).json()
            assert found["event"] == event
            jsonschema.validate(found, schemas["/events/{event_id}"])


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """A run in which two events were rated."""
    events = [
        call("r", event_id="a"), call("r", 1, event_id="b"), run("r"),
        *(
            EvaluationEvent(
                event_id=f"of-{subject}-{score}", run_id="r", timestamp=at(5), name="thumbs",
                parent_id=subject, score=score,
            )
            for subject, score in [("a", 1.0), ("b", 0.5), (None, 0.25), ("a", 0.0)]
        ),
    ]  # fmt: skip
    return write_store(tmp_path / "llmobs.db", events)


async def test_an_event_is_answered_with_what_was_said_of_it(rated: Path) -> None:
    async with api(rated) as client:
        schema = dict(answers_of((await client.get("/openapi.json")).json()))["/events/{event_id}"]
        for event_id, scores in {"a": [1.0, 0.0], "b": [0.5], "of-b-0.5": []}.items():
            found = (await client.get(f"/events/{event_id}")).json()
            assert [each["score"] for each in found["evaluations"]] == scores
            jsonschema.validate(found, schema)


async def test_every_field_of_every_answer_is_described(store: Path) -> None:
    """In words for who knows nothing of our code."""
    async with api(store) as client:
        document = (await client.get("/openapi.json")).json()
    fields = {
        f"{name}.{field}": schema.get("description", "")
        for name, kind in document["components"]["schemas"].items()
        for field, schema in kind.get("properties", {}).items()
    }
    assert len(fields) > 300
    assert [field for field, words in fields.items() if len(words) < 5] == []
    assert [field for field, words in fields.items() if re.search(r"None|`[A-Z]\w*`", words)] == []
    assert "success, error" in fields["PromptCallEvent.status"]
    schemas = document["components"]["schemas"]
    assert schemas["RunSummary"]["properties"]["started"]["format"] == "date-time"


@pytest.mark.parametrize(
    ("path", "key"), [("/runs", "run_id"), ("/users", "id"), ("/sessions", "id")]
)
async def test_cursors_lead_through_everything_once(store: Path, path: str, key: str) -> None:
    seen: list[str] = []
    cursor: str | None = None
    async with api(store) as client:
        while True:
            given = {"limit": 17, **({"cursor": cursor} if cursor else {})}
            page = (await client.get(path, params=given)).json()
            seen += [one[key] for one in page[path[1:]]]
            if (cursor := page["next_cursor"]) is None:
                break
        whole = (await client.get(path, params={"limit": 500})).json()
    assert len(seen) == len(set(seen)) > 100
    assert seen == [one[key] for one in whole[path[1:]]]


async def test_any_stretch_of_time_can_be_asked_about(store: Path) -> None:
    """The first and the last year that there is, and what ends before it begins."""
    ends = ("0001-01-01T00:00:00+14:00", "1969-01-01", "2026-11-22", "9999-12-31T23:59:59-14:00")
    async with api(store) as client:
        for question in QUESTIONS:
            if "since" in question.takes:
                for since, until in product(ends, repeat=2):
                    found = await client.get(question.path, params={"since": since, "until": until})
                    assert found.status_code == 200, (question.path, since, until)


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/runs?cost=much", 400, "cost"), ("/runs?limit=0", 400, "limit"), ("/runs?limit=501", 400, "limit"),
        ("/runs?cursor=x", 400, "cursor"), ("/runs?since=yesterday", 400, "since"), ("/runs?colour=red", 400, "colour"),
        ("/runs?user=a&user=b", 400, "user"), ("/runs?user=", 400, "user"), ("/overview?period=2y", 400, "period"),
        ("/events/none", 404, "event_id"), ("/runs/none", 404, "run_id"), ("/runs/many", 404, "run_id"),
        ("/none", 404, None), ("/events/none?user=a", 400, "user"),
    ],
)  # fmt: skip
async def test_a_question_without_an_answer_says_why(
    store: Path, path: str, status: int, field: str | None
) -> None:
    async with api(store) as client:
        found = await client.get(path)
        refusal = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert found.status_code == status
    error = found.json()["error"]
    assert error["field"] == field and error["message"]
    assert set(error) == set(refusal["ErrorWords"]["properties"])
    assert str(store.parent) not in found.text


async def test_who_may_not_read_is_told_nothing(store: Path) -> None:
    async with api(store, Access(may=frozenset({"ingest"}))) as client:
        for path in ("/openapi.json", *(question.path for question in QUESTIONS)):
            assert (await client.get(path)).status_code == 403


async def test_a_key_of_one_project_is_told_of_that_one(store: Path) -> None:
    async with api(store, Access(project="shop")) as client:
        found = (await client.get("/runs?project=another")).json()
        assert [one["run_id"] for one in found["runs"]] == [RUN]
        assert (await client.get("/runs/many-001")).status_code == 404


async def test_a_path_says_how_it_is_asked(store: Path) -> None:
    async with api(store) as client:
        found = await client.post("/runs")
    assert found.status_code == 405 and set(found.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_damaged_store_is_said_without_its_path(tmp_path: Path) -> None:
    (store := tmp_path / "x.db").write_bytes(b"no store at all" * 1000)
    async with api(store) as client:
        found = await client.get("/runs")
    assert found.status_code == 503 and str(tmp_path) not in found.text
    assert json.loads(found.text)["error"]["message"]
