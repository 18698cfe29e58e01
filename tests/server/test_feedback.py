"""Thumbs and comments in the viewer of a real collector."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmobs.events import EvaluationEvent
from llmobs.server.keys import KeyFile
from llmobs.store.reader import Reader
from llmobs.store.records import Evaluation, RunFilter
from tests.server.browsing import FORM, Browser
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import call, run, write_store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    store = tmp_path_factory.mktemp("feedback") / "llmobs.db"
    events: list[Any] = []
    for project in ("shop", "bank"):
        for number in range(4):
            run_id = f"{project}/{number} ü"
            events += [
                call(run_id, project_id=project, event_id=f"call-{run_id}"),
                run(run_id, project_id=project),
            ]
    write_store(store, events)
    KeyFile(store).add(project="none")
    with Serving(store, "--host", "0.0.0.0", "--access-log", "off") as found:
        yield found


def logged_in(server: Serving, project: str | None = "shop", *may: str) -> Browser:
    browser = Browser(server.port)
    browser.log_in(server.key(project=project, may=list(may) or ["read", "evaluate"]))
    return browser


def said(server: Serving, run_id: str) -> list[Evaluation]:
    with Reader(server.store) as reader:
        return reader.evaluations(RunFilter(run_id=run_id))


def test_a_run_is_rated_and_shows_it(server: Serving) -> None:
    browser = logged_in(server)
    page = "/runs/shop/0%20%C3%BC"
    went = browser.post(browser.get(page).form("/feedback"), rating="down", comment=" too <b>long ")
    assert (went.status, went.location) == (303, f"{page}#evaluations")
    (found,) = said(server, "shop/0 ü")
    assert (found.name, found.score, found.label) == ("thumbs", 0.0, "down")
    assert (found.explanation, found.source, found.subject) == ("too <b>long", "user", None)
    seen = browser.get(page).text
    assert "too &lt;b&gt;long" in seen and "by <bdi>user" in seen
    with Reader(server.store) as reader:
        stored = reader.event(found.event_id)
    event = stored and stored.decode()
    assert isinstance(event, EvaluationEvent) and event.project_id == "shop"


def test_something_in_it_is_rated(server: Serving) -> None:
    browser = logged_in(server)
    page = browser.get("/runs/shop/1%20%C3%BC").text
    assert "/events/call-shop/1%20%C3%BC#evaluations" in page
    event = "/events/call-shop/1%20%C3%BC"
    went = browser.post(browser.get(event).form("/feedback"), rating="up")
    assert went.location == f"{event}#evaluations"
    (found,) = said(server, "shop/1 ü")
    assert (found.subject, found.score, found.label) == ("call-shop/1 ü", 1.0, "up")
    assert "by <bdi>user" in browser.get(event).text
    assert "thumbs</bdi> 1 <bdi>up" in browser.get("/runs/shop/1%20%C3%BC").text


def test_a_comment_alone_and_a_change_of_mind(server: Serving) -> None:
    browser = logged_in(server)
    form = browser.get("/runs/shop/2%20%C3%BC").form("/feedback")
    for _ in range(2):  # the button was pressed twice
        assert browser.post(form, rating="", comment="hm").status == 303
    assert browser.post(form, rating="up").status == 303
    assert browser.post(form, rating="down").status == 303
    names = [(one.name, one.label, one.score) for one in said(server, "shop/2 ü")]
    assert names == [("comment", None, None), ("thumbs", "up", 1.0), ("thumbs", "down", 0.0)]


def test_averages_lead_to_the_runs(server: Serving) -> None:
    browser = logged_in(server, "bank")
    for number, rating in enumerate(("up", "down", "up")):
        page = browser.get(f"/runs/bank/{number}%20%C3%BC")
        assert browser.post(page.form("/feedback"), rating=rating).status == 303
    overview = browser.get("/?period=all").text
    assert "<h2>Evaluations</h2>" in overview and "0.667" in overview
    (worst,) = {
        link.partition('"')[0].replace("&amp;", "&")
        for link in overview.split('href="')
        if "score_to=0" in link.partition('"')[0]
    }
    runs = browser.get(worst).text
    assert "bank/1%20%C3%BC" in runs and "bank/0%20%C3%BC" not in runs
    assert "bank/2" in browser.get("/runs?period=all&evaluation=thumbs&label=up").text
    assert "No run fits" in browser.get("/runs?period=all&evaluation=tone").text
    assert browser.get("/runs?score=high").status == 400
    # Nothing of this is another project's.
    assert "0.667" not in logged_in(server, "shop").get("/?period=all").text


class TestWhoIsRefused:
    BODY = b"run=shop/3+%C3%BC&rating=up"

    def test_a_key_that_may_only_read_sees_no_form(self, server: Serving) -> None:
        reader = logged_in(server, "shop", "read")
        page = reader.get("/runs/shop/3%20%C3%BC")
        assert [form.action for form in page.forms() if form.method == "post"] == ["/logout"]
        token = page.form("/logout").fields["token"].encode()
        answer = reader.ask("POST", "/feedback", self.BODY + b"&token=" + token, content_type=FORM)
        assert answer.status == 403 and "llmobs keys add" in answer.text
        assert said(server, "shop/3 ü") == []

    def test_another_projects_run_is_not_there(self, server: Serving) -> None:
        browser = logged_in(server)
        form = browser.get("/runs/shop/3%20%C3%BC").form("/feedback")
        for fields in (
            {"run": "bank/3 ü"}, {"event": "call-bank/3 ü"}, {"run": "nowhere"}, {"run": ""},
            {"run": "bank"}, {"event": "x" * 9_000}, {"run": "shop/3 ü", "event": "call-bank/3 ü"},
        ):  # fmt: skip
            answer = browser.post(form, **fields, rating="up")
            assert answer.status == 404, fields
        assert said(server, "bank/3 ü") == said(server, "shop/3 ü") == []

    @pytest.mark.parametrize(
        ("kind", "body", "origin"),
        [
            (FORM, BODY, None),
            (FORM, BODY + b"&token=0", None),
            (FORM, BODY, "https://evil.example"),
            ("text/plain", BODY, None),
            ("text/plain", BODY, "null"),
            ("application/json", b"{}", None),
        ],
    )
    def test_forms_that_are_not_ours(
        self, server: Serving, kind: str, body: bytes, origin: str | None
    ) -> None:
        browser = logged_in(server)
        headers = {"origin": origin} if origin else {}
        answer = browser.ask("POST", "/feedback", body, content_type=kind, **headers)
        assert answer.status in (403, 415)
        assert said(server, "shop/3 ü") == []

    @pytest.mark.parametrize(
        "fields", [{}, {"comment": "  "}, {"rating": "best"}, {"comment": "x" * 10_001}]
    )
    def test_what_says_nothing_or_too_much(self, server: Serving, fields: dict[str, str]) -> None:
        browser = logged_in(server)
        answer = browser.post(browser.get("/runs/shop/3%20%C3%BC").form("/feedback"), **fields)
        assert answer.status == 400 and "This was not taken" in answer.text
        assert said(server, "shop/3 ü") == []

    def test_where_to_go_then_is_here(self, server: Serving) -> None:
        browser = logged_in(server, "bank")
        form = browser.get("/runs/bank/3%20%C3%BC").form("/feedback")
        for target in ("//evil.example", "https://evil.example", "/\\evil", "/a\r\nb: c"):
            went = browser.post(form, rating="up", next=target)
            assert (went.status, went.location) == (303, "/#evaluations")

    def test_a_revoked_key(self, server: Serving) -> None:
        key = server.key(project="shop", may=["all"])
        browser = Browser(server.port)
        browser.log_in(key)
        form = browser.get("/runs/shop/3%20%C3%BC").form("/feedback")
        KeyFile(server.store).revoke(key)

        def is_out() -> bool:
            return browser.post(form, rating="up").location == "/login"

        assert eventually(is_out, timeout=3)


def test_on_this_machine_nobody_logs_in_and_strangers_pages_send_nothing(tmp_path: Path) -> None:
    store = write_store(tmp_path / "llmobs.db", [call("r"), run("r")])
    with Serving(store, "--access-log", "off") as server:
        browser = Browser(server.port)
        form = browser.get("/runs/r").form("/feedback")
        body = f"run=r&rating=up&token={form.fields['token']}".encode()
        for origin in ("https://evil.example", "null"):
            assert (
                browser.ask("POST", "/feedback", body, content_type=FORM, origin=origin).status
                == 403
            )
        assert browser.ask("POST", "/feedback", b"run=r&rating=up", content_type=FORM).status == 403
        assert browser.post(form, rating="up").status == 303
        assert len(said(server, "r")) == 1
