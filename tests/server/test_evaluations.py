"""``POST /v1/evaluations`` of a real collector: from services, and from pages of other origins."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llmobs.cli.app import llmobs
from llmobs.errors import ConfigurationError
from llmobs.server.keys import KeyFile
from llmobs.server.origins import Origins
from llmobs.store.reader import Reader
from llmobs.store.records import Evaluation, RunFilter
from tests.server.browsing import Browser, Seen
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import call, run, write_store

PATH = "/v1/evaluations"
SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """For others, and for pages of two origins."""
    store = tmp_path_factory.mktemp("evaluations") / "llmobs.db"
    events: list[Any] = []
    for project in ("shop", "bank"):
        events += [
            call(f"of-{project}", project_id=project, event_id=f"call-of-{project}"),
            run(f"of-{project}", project_id=project),
        ]
    write_store(store, events)
    KeyFile(store).add(project="none")
    origins = ("--allow-origin", SHOP, "--allow-origin", "http://localhost:3000")
    options = ("--host", "0.0.0.0", "--trust-proxy", "127.0.0.1", "--access-log", "json", *origins)
    with Serving(store, *options, env={"LLMOBS_REDACT_PII": "true"}) as found:
        yield found


@pytest.fixture(scope="module")
def shop(server: Serving) -> str:
    """As it stands in a page."""
    return server.key(project="shop", may=["evaluate"])


def send(server: Serving, told: Any, key: str, **headers: str) -> Seen:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    given = {"accept": "*/*", "content_type": "application/json", "authorization": f"Bearer {key}"}
    return Browser(server.port).ask("POST", PATH, body, **{**given, **headers})


def said_of(server: Serving, run_id: str) -> list[Evaluation]:
    with Reader(server.store) as reader:
        return reader.evaluations(RunFilter(run_id=run_id))


def error_of(seen: Seen) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(seen.text)["error"]
    return found


class TestTelling:
    def test_everything_that_can_be_said(self, server: Serving, shop: str) -> None:
        told = {
            "run_id": "r1", "event_id": "e1", "name": "helpful", "score": 0.5, "label": "good",
            "explanation": "it was", "source": "user", "id": "once",
        }  # fmt: skip
        seen = send(server, told, shop)
        assert seen.status == 200, seen.text
        answer = json.loads(seen.text)
        assert (answer["success"], answer["stored"], answer["refused"]) == (True, 1, [])
        (found,) = said_of(server, "r1")
        assert found.event_id == answer["ids"][0]
        assert (found.name, found.score, found.label) == ("helpful", 0.5, "good")
        assert (found.explanation, found.source, found.subject) == ("it was", "user", "e1")
        with Reader(server.store) as reader:
            (summary,) = reader.runs(1, where=RunFilter(run_id="r1"))
        assert summary.project_id == "shop"

    def test_it_is_seen_where_runs_are(self, server: Serving, shop: str) -> None:
        send(server, {"run_id": "of-shop", "name": "tone", "label": "friendly"}, shop)
        shown = CliRunner().invoke(llmobs, ["show", "of-shop", "--store", str(server.store)])
        assert "tone" in shown.output and "friendly" in shown.output
        browser = Browser(server.port)
        browser.log_in(server.key(project="shop", may=["read"]))
        assert "friendly" in browser.get("/runs/of-shop").text

    def test_what_is_sent_again_under_its_id_is_there_already(
        self, server: Serving, shop: str
    ) -> None:
        told = {"run_id": "again", "name": "n", "score": 1, "id": "my-own"}
        ids = [json.loads(send(server, told, shop).text)["ids"] for _ in range(2)]
        assert ids[0] == ids[1]
        assert len(said_of(server, "again")) == 1
        # Another project may call its own the same.
        bank = server.key(project="bank", may=["evaluate"])
        send(server, {**told, "run_id": "another"}, bank)
        assert len(said_of(server, "another")) == 1
        for _ in range(2):
            send(server, {"run_id": "again", "name": "n", "score": 1}, shop)
        assert len(said_of(server, "again")) == 3, "without an id each is one of its own"

    def test_an_event_says_which_run(self, server: Serving, shop: str) -> None:
        told = {"event_id": "call-of-shop", "name": "by event", "score": 1}
        assert send(server, told, shop).status == 200
        (found,) = [one for one in said_of(server, "of-shop") if one.name == "by event"]
        assert found.subject == "call-of-shop"

    def test_an_event_of_another_project_is_none(self, server: Serving, shop: str) -> None:
        """As is one that nobody has heard of: which there are is not told."""
        answers = [
            send(server, {"event_id": event, "name": "n", "score": 1}, shop)
            for event in ("call-of-bank", "call-of-nobody")
        ]
        assert {answer.status for answer in answers} == {404}
        assert answers[0].text == answers[1].text
        assert error_of(answers[0])["field"] == "event_id"

    def test_a_run_of_another_project_is_not_written_to(self, server: Serving, shop: str) -> None:
        before = said_of(server, "of-bank")
        assert send(server, {"run_id": "of-bank", "name": "n", "score": 1}, shop).status == 200
        assert said_of(server, "of-bank") == before

    def test_who_may_write_to_all_says_nothing_of_whose_it_is(self, server: Serving) -> None:
        everybody = server.key(may=["evaluate"])
        send(server, {"run_id": "of-bank", "name": "by all", "score": 1}, everybody)
        (found,) = [one for one in said_of(server, "of-bank") if one.name == "by all"]
        browser = Browser(server.port)
        browser.log_in(server.key(project="bank", may=["read"]))
        assert browser.get(f"/events/{found.event_id}").status == 200

    def test_secrets_go(self, server: Serving, shop: str) -> None:
        told = {"run_id": "secrets", "name": "n", "explanation": "write to jane.doe@example.com"}
        assert send(server, told, shop).status == 200
        (found,) = said_of(server, "secrets")
        assert "jane.doe" not in (found.explanation or "")
        with Reader(server.store) as reader:
            assert all("jane.doe" not in stored.body for stored in reader.events())

    def test_texts_that_browsers_send(self, server: Serving, shop: str) -> None:
        """Half of a character, where a comment was cut; what is no number; anything at all."""
        body = rb'{"run_id": "odd", "name": "n", "explanation": "\ud83d <script>\u202e\u0000", "score": NaN}'
        assert send(server, body, shop).status == 200
        (found,) = said_of(server, "odd")
        assert "<script>" in (found.explanation or "") and found.score is None


class TestVerdicts:
    @pytest.mark.parametrize(
        ("told", "field"),
        [
            ({"name": "n", "score": 1}, "run_id"),
            ({"run_id": "r", "score": 1}, "name"),
            ({"run_id": "r", "name": "  ", "score": 1}, "name"),
            ({"run_id": "r", "name": "n" * 201, "score": 1}, "name"),
            ({"run_id": "r" * 201, "name": "n", "score": 1}, "run_id"),
            ({"run_id": 7, "name": "n", "score": 1}, "run_id"),
            ({"run_id": "r", "name": "n"}, "score"),
            ({"run_id": "r", "name": "n", "score": "1"}, "score"),
            ({"run_id": "r", "name": "n", "score": True}, "score"),
            ({"run_id": "r", "name": "n", "score": 1e300}, "score"),
            ({"run_id": "r", "name": "n", "label": 5}, "label"),
            ({"run_id": "r", "name": "n", "explanation": "x" * 10_001}, "explanation"),
            ({"run_id": "r", "name": "n", "score": 1, "source": "me"}, "source"),
            ({"run_id": "r", "name": "n", "score": 1, "id": ""}, "id"),
            ({"run_id": "r", "name": "n", "score": 1, "rating": 1}, "rating"),
        ],
    )
    def test_what_is_wrong_is_named(
        self, server: Serving, shop: str, told: dict[str, Any], field: str
    ) -> None:
        answer = send(server, told, shop)
        assert answer.status == 400
        assert error_of(answer)["field"] == field
        listed = send(server, [told, {"run_id": "listed", "name": "n", "score": 1}], shop)
        assert listed.status == 200
        found = json.loads(listed.text)
        assert (found["success"], found["stored"]) == (False, 1)
        (verdict,) = found["refused"]
        assert (verdict["index"], verdict["field"]) == (0, field)
        assert found["ids"][0] is None and found["ids"][1]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400), (b"1", 400), (b'"x"', 400), (b"{", 400), (b"\xff", 400), (b"null", 400),
            (b"[" * 5_000, 400), (b'{"run_id":' + b"[" * 5_000, 400), (b"[1, null, []]", 200),
            (b"[]", 200), (b"[" + b",".join([b"{}"] * 1_001) + b"]", 413), (b"[" + b" " * 5_000_000, 413),
        ],
    )  # fmt: skip
    def test_bodies_that_are_none(
        self, server: Serving, shop: str, body: bytes, status: int
    ) -> None:
        answer = send(server, body, shop)
        assert answer.status == status
        if status == 200:
            assert json.loads(answer.text)["stored"] == 0

    def test_a_thousand_at_once(self, server: Serving, shop: str) -> None:
        told = [{"run_id": "many", "name": "n", "score": n, "id": str(n)} for n in range(1_000)]
        assert json.loads(send(server, told, shop).text)["stored"] == 1_000
        assert len(said_of(server, "many")) == 1_000

    def test_what_the_store_does_not_take_is_refused_as_what_cannot_be_read(
        self, tmp_path: Path
    ) -> None:
        """Alone by its status, among others by its verdict."""
        with Serving(write_store(tmp_path / "x.db", [run("r")])) as server:
            with closing(sqlite3.connect(server.store)) as connection:
                connection.execute(
                    "CREATE TRIGGER no BEFORE INSERT ON events WHEN new.name = 'cursed' "
                    "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
                )
            cursed = {"run_id": "r", "name": "cursed", "score": 1}
            alone = send(server, cursed, "any")
            assert alone.status == 400 and "not this one" in error_of(alone)["message"]
            among = send(server, [cursed, {**cursed, "name": "blessed"}], "any")
            assert among.status == 200, among.text
            answer = json.loads(among.text)
            assert (answer["success"], answer["stored"]) == (False, 1)
            assert answer["ids"][0] is None and answer["refused"][0]["index"] == 0
            assert [one.name for one in said_of(server, "r")] == ["blessed"]

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_what_a_form_can_send_is_not_taken(self, server: Serving, shop: str, kind: str) -> None:
        answer = send(server, {"run_id": "r", "name": "n", "score": 1}, shop, content_type=kind)
        assert (answer.status, error_of(answer)["field"]) == (415, "content-type")

    def test_who_may_not(self, server: Serving) -> None:
        told = {"run_id": "r", "name": "n", "score": 1}
        answer = send(server, told, server.key(project="shop", may=["read"]))
        assert answer.status == 403
        assert send(server, told, server.key(project="shop", may=["ingest"])).status == 200
        assert send(server, told, f"llmobs_{'a' * 10}_{'b' * 40}").status == 401


class TestPages:
    TOLD = {"run_id": "from-page", "name": "thumbs", "score": 1, "source": "user"}

    def preflight(self, server: Serving, path: str = PATH, origin: str = SHOP) -> Seen:
        return Browser(server.port).ask(
            "OPTIONS", path, None, accept="*/*", origin=origin,
            access_control_request_method="POST",
            access_control_request_headers="authorization,content-type",
        )  # fmt: skip

    @pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
    def test_a_page_of_an_allowed_origin(self, server: Serving, shop: str, origin: str) -> None:
        asked = self.preflight(server, origin=origin)
        assert asked.status == 204
        allowed = (asked.header("access-control-allow-headers") or "").split(", ")
        assert {"authorization", "content-type"} <= {*allowed}
        assert asked.header("access-control-allow-methods") == "POST"
        answer = send(server, self.TOLD, shop, origin=origin, sec_fetch_mode="cors")
        assert answer.status == 200
        for each in (asked, answer):
            assert each.header("access-control-allow-origin") == origin
            assert each.header("access-control-allow-credentials") is None
            assert each.header("vary") == "Origin"

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example", "http://shop.example", "https://shop.example:8443", "null", "",
            "https://shop.example.evil.example", "https://shop.example, https://evil.example",
            "https://a.shop.example", "*", "https://shop.example/",
        ],
    )  # fmt: skip
    def test_no_other_page(self, server: Serving, shop: str, origin: str) -> None:
        for answer in (
            self.preflight(server, origin=origin),
            send(server, self.TOLD, shop, origin=origin),
        ):
            assert answer.status == 403
            assert not any(name.lower().startswith("access-control") for name, _ in answer.headers)

    def test_nothing_else_of_the_collector(self, server: Serving) -> None:
        everything = server.key(may=["all"])
        paths = (
            "/", "/runs", "/metrics", "/v1/events/batch", "/v1/traces", "/login", "/logout", "/feedback",
            "/api/public/scores", "/v1/evaluations/", "/v1/evaluations/../traces", "//v1/evaluations",
            "/V1/evaluations", "/evaluations", "/mcp", "/api/v1/runs", "/static/viewer.css",
        )  # fmt: skip
        browser = Browser(server.port)
        for path in paths:
            for method in ("GET", "POST", "OPTIONS"):
                answer = browser.ask(method, path, b"{}", origin=SHOP, x_api_key=everything)
                assert answer.status == 403, (method, path)
                assert answer.header("access-control-allow-origin") is None
        for method in ("GET", "PUT", "DELETE", "HEAD", "PATCH"):
            answer = browser.ask(method, PATH, None, origin=SHOP, x_api_key=everything)
            assert answer.status == 403, method

    def test_a_page_is_told_what_was_wrong(self, server: Serving, shop: str) -> None:
        answer = send(server, {"run_id": "r"}, shop, origin=SHOP)
        assert (answer.status, error_of(answer)["field"]) == (400, "name")
        assert answer.header("access-control-allow-origin") == SHOP
        answer = send(server, self.TOLD, f"llmobs_{'a' * 10}_{'b' * 40}", origin=SHOP)
        assert answer.status == 401
        assert answer.header("access-control-allow-origin") == SHOP

    @pytest.mark.parametrize("may", [["ingest"], ["evaluate", "read"], ["all"]])
    def test_a_key_that_may_more_has_no_place_in_a_page(
        self, server: Serving, may: list[str]
    ) -> None:
        answer = send(server, self.TOLD, server.key(project="shop", may=may), origin=SHOP)
        assert answer.status == 403
        assert "--may evaluate" in error_of(answer)["message"]

    def test_a_session_is_no_key_for_a_page(self, server: Serving) -> None:
        """A page of the same site, or of another port, would have its cookie sent along."""
        browser = Browser(server.port)
        browser.log_in(server.key(project="shop", may=["all"]))
        body = json.dumps(self.TOLD).encode()
        answer = browser.ask(
            "POST", PATH, body, content_type="application/json", origin=SHOP, accept="*/*"
        )
        assert answer.status == 401

    def test_one_visitor_does_not_send_without_end(self, server: Serving, shop: str) -> None:
        """Everybody who sees the page has the key: an address is what there is to bound."""

        def answers(address: str, count: int) -> list[Seen]:
            return [
                send(server, self.TOLD, shop, origin=SHOP, x_forwarded_for=address)
                for _ in range(count)
            ]

        last = answers("203.0.113.1", 40)[-1]
        assert last.status == 429 and int(last.header("retry-after") or 0) >= 1
        assert last.header("access-control-expose-headers") == "retry-after"
        assert answers("203.0.113.2", 1)[0].status == 200


def test_on_this_machine_a_page_that_is_named_needs_no_key(tmp_path: Path) -> None:
    page = "http://localhost:3000"
    with Serving(tmp_path / "llmobs.db", "--allow-origin", page, "--access-log", "off") as server:
        body = json.dumps(TestPages.TOLD).encode()
        browser = Browser(server.port)
        # Until the store is made, what asks for it is told to come again.
        eventually(lambda: browser.ask("GET", "/ready", None).status == 200, what="it is ready")
        for origin, status in ((page, 200), ("http://localhost:3001", 403)):
            answer = browser.ask("POST", PATH, body, content_type="application/json", origin=origin)
            assert answer.status == status


@pytest.mark.parametrize(
    "text",
    [
        "*", "shop.example", "https://", "https://shop.example/", "https://shop.example/page", "null",
        "ftp://shop.example", "https://*.shop.example", "https://a@shop.example", "", "https://a b",
    ],
)  # fmt: skip
def test_an_origin_that_is_none_is_said_at_once(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--allow-origin.*https://shop\.example"):
        Origins([text])


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("HTTPS://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_origins_are_what_browsers_write(text: str, origin: str) -> None:
    assert Origins([text]).allows(origin, {"path": PATH, "method": "POST"})
