"""Logging in to a real collector with a browser; and what those try who have no key."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from llmobs.events import PromptCallEvent, RunEvent
from llmobs.server.keys import KeyFile
from tests.server.browsing import FORM, Browser, Form, Seen
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import call, run, write_store

NAME = "watch.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One for others, too, behind a proxy on this machine, with runs of two projects."""
    store = tmp_path_factory.mktemp("login") / "llmobs.db"
    events: list[PromptCallEvent | RunEvent] = []
    for project in ("shop", "bank"):
        events += [
            call(f"run-of-{project}", project_id=project, event_id=f"call-of-{project}"),
            run(f"run-of-{project}", project_id=project),
        ]
    write_store(store, events)
    KeyFile(store).add(project="none-of-these")
    options = ("--host", "0.0.0.0", "--allow-host", NAME, "--trust-proxy", "127.0.0.1")
    with Serving(store, *options, "--access-log", "json") as found:
        yield found


@pytest.fixture(scope="module")
def shop(server: Serving) -> str:
    return server.key(project="shop", may=["read"])


@pytest.fixture
def browser(server: Serving) -> Browser:
    return Browser(server.port)


def session_of(browser: Browser) -> str:
    (name,) = [name for name in browser.cookies if "session" in name]
    return name


def is_login(seen: Seen) -> bool:
    return seen.status == 303 and (seen.location or "").startswith("/login")


class TestLoggingIn:
    def test_a_visitor_is_led_to_the_login_and_on_to_where_they_wanted(
        self, browser: Browser, shop: str
    ) -> None:
        led = browser.get("/runs?name=a%20b&status=failed")
        assert led.status == 303
        assert led.location == f"/login?next={quote('/runs?name=a%20b&status=failed', safe='')}"
        page = browser.get(led.location)
        assert page.status == 200
        went = browser.post(page.form("/login"), key=f" {shop}\n")
        assert (went.status, went.location) == (303, "/runs?name=a%20b&status=failed")
        assert browser.get("/runs").status == 200

    def test_the_cookie_says_nothing_and_goes_nowhere_else(
        self, browser: Browser, shop: str
    ) -> None:
        went = browser.log_in(shop)
        (cookie,) = [c for name, c in went.cookies.items() if "session" in name]
        assert cookie["httponly"] and cookie["samesite"] == "Strict" and cookie["path"] == "/"
        assert not cookie["secure"] and not cookie["domain"], "this was plain HTTP"
        assert 0 < int(cookie["max-age"]) <= 7 * 24 * 3600
        for part in shop.split("_"):
            assert part not in cookie.value

    def test_over_tls_no_other_host_can_set_it(self, server: Serving, shop: str) -> None:
        browser = Browser(server.port, host=NAME, x_forwarded_proto="https")
        went = browser.log_in(shop)
        assert went.status == 303
        (name,) = [name for name in went.cookies if "session" in name]
        cookie = went.cookies[name]
        assert name.startswith("__Host-") and cookie["secure"]
        assert cookie["path"] == "/" and not cookie["domain"]
        assert browser.get("/runs").status == 200
        plain = {name.removeprefix("__Host-"): value for name, value in browser.cookies.items()}
        browser.cookies = plain
        assert is_login(browser.get("/runs")), "what plain HTTP has set is not believed over TLS"

    def test_a_stranger_is_not_believed_about_the_scheme(self, tmp_path: Path) -> None:
        store = write_store(tmp_path / "llmobs.db", [call("r")])
        key = KeyFile(store).add(project="p", may=["read"])[1]
        with Serving(store, "--host", "0.0.0.0", "--access-log", "off") as server:
            went = Browser(server.port, x_forwarded_proto="https").log_in(key)
            # The page's origin says https, and the name is ours: that is where the proxy is forgotten.
            assert went.status == 303
            assert not any(name.startswith("__Host-") for name in went.cookies)

    @pytest.mark.parametrize(
        "target",
        [
            "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/",
            "/\t/evil.example", "/\r\nset-cookie: a=b", "javascript:alert(1)", "evil.example",
            "/%0d%0aset-cookie:a=b/../\x00", "/" + "a" * 3_000, "/ü", " //evil.example", "",
        ],
    )  # fmt: skip
    def test_where_to_go_then_is_here(self, browser: Browser, shop: str, target: str) -> None:
        went = browser.log_in(shop, target)
        assert (went.status, went.location) == (303, "/")
        assert {name.lower() for name, _ in went.headers}.isdisjoint({"a", "evil"})
        # Nor if the form says so.
        page = Browser(browser.port)
        form = page.get("/login").form("/login")
        assert page.post(form, key=shop, next=target).location == "/"

    def test_who_is_in_need_not_log_in(self, browser: Browser, shop: str) -> None:
        browser.log_in(shop)
        assert browser.get("/login?next=/users").location == "/users"
        assert browser.get("/login?next=//evil.example").location == "/"

    def test_programs_are_told_in_json(self, server: Serving) -> None:
        answer = Browser(server.port).get("/runs", accept="*/*")
        assert answer.status == 401
        assert (answer.header("www-authenticate") or "").startswith("Basic")
        # A script of a page would have its browser ask for a password.
        answer = Browser(server.port).get("/runs", accept="*/*", sec_fetch_mode="cors")
        assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")

    def test_a_link_from_elsewhere_brings_no_cookie_and_still_leads_in(
        self, browser: Browser, shop: str
    ) -> None:
        browser.log_in(shop)
        kept = browser.cookies
        browser.cookies = {}  # as SameSite=Strict wants it
        led = browser.get("/runs", sec_fetch_site="cross-site")
        assert led.location == "/login?next=%2Fruns"
        page = browser.get(led.location, sec_fetch_site="cross-site")
        assert 'content="0; url=/login?next=%2Fruns"' in page.text
        assert page.forms() == []
        browser.cookies = kept  # of our own page
        assert browser.get(led.location, sec_fetch_site="same-origin").location == "/runs"


class TestWhoIsRefused:
    @pytest.mark.parametrize(
        "key", ["", "secret", f"llmobs_{'a' * 10}_{'b' * 40}", "\ud83d", "ü" * 999]
    )
    def test_a_wrong_key(self, browser: Browser, key: str) -> None:
        form = browser.get("/login?next=/users").form("/login")
        answer = browser.post(form, key=key.encode("utf-8", "replace").decode())
        assert answer.status == 401
        assert "wrong, or was revoked" in answer.text
        assert key not in answer.text or not key
        assert answer.header("www-authenticate") is None
        assert answer.form("/login").fields["next"] == "/users"
        assert not any("session" in name for name in browser.cookies)

    @pytest.mark.parametrize("may", [["ingest"], ["evaluate"]])
    def test_a_key_that_may_not_read(
        self, server: Serving, browser: Browser, may: list[str]
    ) -> None:
        answer = browser.log_in(server.key(project="shop", may=may))
        assert answer.status == 403
        assert "llmobs keys add --may read" in answer.text
        assert not any("session" in name for name in browser.cookies)

    def test_a_revoked_key_ends_its_sessions(self, server: Serving, browser: Browser) -> None:
        key = server.key(project="shop", may=["read"])
        browser.log_in(key)
        assert browser.get("/runs").status == 200
        KeyFile(server.store).revoke(key)
        assert eventually(lambda: is_login(browser.get("/runs")), timeout=3)
        answer = browser.log_in(key)
        assert answer.status == 401

    def test_guessing_comes_to_an_end_and_holds_up_nobody_else(self, server: Serving) -> None:
        """Behind the proxy, each address for itself; whoever has a key gets in whatever others do."""
        guesser = Browser(server.port, x_forwarded_for="203.0.113.7")
        form = guesser.get("/login").form("/login")
        answers = [guesser.post(form, key=f"llmobs_{'a' * 10}_{n:040}") for n in range(25)]
        assert {answer.status for answer in answers[:20]} == {401}
        last = answers[-1]
        assert last.status == 429
        assert int(last.header("retry-after") or 0) >= 1
        assert "too many" in last.text and last.form("/login")
        other = Browser(server.port, x_forwarded_for="203.0.113.8")
        assert other.post(other.get("/login").form("/login"), key="x").status == 401
        right = server.key(project="shop", may=["read"])
        assert guesser.post(form, key=right).status == 303

    def test_looking_at_the_login_is_no_guess(self, server: Serving, shop: str) -> None:
        visitor = Browser(server.port, x_forwarded_for="203.0.113.9")
        assert {is_login(visitor.get("/runs")) for _ in range(30)} == {True}
        assert visitor.get("/login").status == 200
        for _ in range(30):  # as a browser asks for it
            assert visitor.get("/static/viewer.css", accept="text/css,*/*;q=0.1").status == 200

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("text/plain", b"token=a&key=b"),
            ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk'),
            ("application/json", b'{"key": "k"}'),
            (FORM, b"key=" + b"k" * 200_000),
            (FORM, b"&".join(b"f%d=1" % n for n in range(1_000))),
            (FORM, b"key=a&key=b"),
            (FORM, b"\xff\xfe=%ff%00"),
            (FORM, b""),
        ],
    )  # fmt: skip
    def test_what_is_no_form_of_ours(self, browser: Browser, kind: str, body: bytes) -> None:
        browser.get("/login")
        for path in ("/login", "/logout"):
            answer = browser.ask("POST", path, body, content_type=kind)
            assert answer.status in (303, 400, 403, 413, 415), path
            assert not any("session" in name for name in browser.cookies)

    def test_no_key_is_in_any_log(self, server: Serving, browser: Browser, shop: str) -> None:
        browser.log_in(shop)
        browser.get(f"/login?next=/{shop}")

        def logged() -> bool:
            return any(
                line["route"] == "/login" and line["method"] == "POST" and line["key"]
                for line in server.access_log()
            )

        eventually(logged)
        said = "".join(server.accesses + server.lines)
        assert shop not in said and shop.rpartition("_")[2] not in said
        assert browser.cookies[session_of(browser)] not in said


class TestSessions:
    def test_logging_out_ends_it_for_whoever_has_a_copy(self, browser: Browser, shop: str) -> None:
        browser.log_in(shop)
        copy = dict(browser.cookies)
        form = browser.get("/runs").form("/logout")
        assert is_login(browser.post(form))
        assert browser.cookies == {}
        browser.cookies = copy
        assert is_login(browser.get("/runs"))

    def test_a_session_that_somebody_else_put_there_is_not_taken_up(
        self, server: Serving, browser: Browser, shop: str
    ) -> None:
        browser.log_in(shop)
        name, mine = session_of(browser), browser.cookies[session_of(browser)]
        victim = Browser(server.port)
        for planted in ("chosen-by-a-stranger", mine):
            victim.cookies = {name: planted}
            if (
                planted == mine
            ):  # a session of the stranger's: it shows the stranger's project alone
                victim.post(victim.get("/runs").form("/logout"))
            victim.log_in(server.key(project="bank", may=["read"]))
            assert victim.cookies[name] != planted

    def test_two_cookies_of_the_name_are_none(self, browser: Browser, shop: str) -> None:
        """Another host of the domain has set one of them."""
        browser.log_in(shop)
        name = session_of(browser)
        tossed = f"{name}=tossed; {name}={browser.cookies[name]}"
        assert is_login(browser.get("/runs", cookie=tossed))
        twice = f"{name}={browser.cookies[name]}; other=1; {name}={browser.cookies[name]}"
        assert browser.get("/runs", cookie=twice).status == 200

    @pytest.mark.parametrize("value", ["", "x", '"', "a" * 9_000, "é", "; ;=;", "\x01"])
    def test_odd_cookies(self, browser: Browser, value: str) -> None:
        name = f"llmobs-session-{browser.port}"
        answer = browser.get("/runs", cookie=f"{name}={value}")
        assert is_login(answer) or answer.status == 400

    def test_a_session_sends_nothing_but_forms(self, server: Serving) -> None:
        """A cookie comes along whoever makes the browser ask."""
        browser = Browser(server.port, x_forwarded_for="203.0.113.10")
        browser.log_in(server.key(may=["all"]))
        assert browser.get("/metrics").status == 200
        for path in (
            "/v1/events/batch",
            "/v1/traces",
            "/v1/evaluations",
            "/api/public/scores",
            "/mcp",
        ):
            for kind in ("text/plain", FORM, "application/json"):
                answer = browser.ask("POST", path, b"{}", content_type=kind, accept="*/*")
                assert answer.status == 401, path

    def test_a_key_comes_before_a_session(
        self, server: Serving, browser: Browser, shop: str
    ) -> None:
        browser.log_in(shop)
        bank = server.key(project="bank", may=["read"])
        assert "run-of-bank" in browser.get("/runs", x_api_key=bank).text
        assert browser.get("/runs", x_api_key=bank[:-1] + "?").status == 200, (
            "no key of ours at all"
        )


class TestForms:
    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"]
    )
    def test_a_strangers_page_can_send_none(self, browser: Browser, shop: str, origin: str) -> None:
        browser.log_in(shop)
        fields = browser.get("/runs").form("/logout").fields
        body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
        answer = browser.ask("POST", "/logout", body, content_type=FORM, origin=origin)
        assert answer.status == 403
        assert browser.get("/runs").status == 200

    def test_the_token_is_of_one_session(
        self, server: Serving, browser: Browser, shop: str
    ) -> None:
        """Where a browser sends no Origin, this holds."""
        browser.log_in(shop)
        other = Browser(server.port)
        other.log_in(shop)
        theirs = other.get("/runs").form("/logout").fields["token"]
        for token in ("", "x", theirs, "\u00fc", "0" * 64):
            body = f"token={quote(token)}".encode()
            answer = browser.ask("POST", "/logout", body, content_type=FORM)
            assert answer.status == 403
            assert "go back" in answer.text
        assert browser.get("/runs").status == 200

    def test_nobody_is_logged_in_by_somebody_elses_form(
        self, server: Serving, browser: Browser, shop: str
    ) -> None:
        strangers = Browser(server.port)
        form = strangers.get("/login").form("/login")
        for cookies in ({}, {f"llmobs-visit-{server.port}": "a" * 22}):
            browser.cookies = dict(cookies)
            answer = browser.post(form, key=shop)
            assert answer.status == 403
            assert not any("session" in name for name in browser.cookies)

    def test_two_forms_in_two_tabs(self, browser: Browser, shop: str) -> None:
        first = browser.get("/login").form("/login")
        browser.get("/login")
        assert browser.post(first, key=shop).status == 303

    def test_getting_does_nothing(self, browser: Browser, shop: str) -> None:
        browser.log_in(shop)
        assert browser.get("/logout").status == 405
        assert browser.get("/runs").status == 200


class TestProjects:
    PAGES = ("/", "/runs", "/runs/run-of-{}", "/events/call-of-{}", "/users", "/sessions")

    def test_a_key_shows_its_project_alone(self, browser: Browser, shop: str) -> None:
        browser.log_in(shop)
        assert "run-of-shop" in browser.get("/runs?period=all").text
        assert browser.get("/runs/run-of-shop").status == 200
        for path in self.PAGES:
            for query in ("", "?period=all", "?project=bank", "?period=all&project=bank"):
                seen = browser.get(path.format("bank") + query)
                assert "run-of-bank" not in seen.text.replace("run-of-bank&#39;", ""), path
                assert seen.status == (404 if "{}" in path else 200), path

    def test_a_key_for_all_shows_all(self, server: Serving, browser: Browser) -> None:
        browser.log_in(server.key(may=["read"]))
        for project in ("shop", "bank"):
            assert browser.get(f"/runs/run-of-{project}").status == 200


def test_the_pages_of_this_machine_need_none(tmp_path: Path) -> None:
    store = write_store(tmp_path / "llmobs.db", [call("r")])
    with Serving(store, "--access-log", "off") as server:
        browser = Browser(server.port)
        assert browser.get("/runs").status == 200
        assert browser.get("/login?next=/runs").location == "/runs"
        # But for what a proxy passes on, which nobody spoke of.
        assert is_login(browser.get("/runs", x_forwarded_for="203.0.113.7"))
        form = Form("post", "/logout", {"token": "x"})
        assert browser.post(form).status == 403
