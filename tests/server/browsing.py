"""A browser, as far as a server can tell: cookies kept and sent as told, redirects not followed by itself."""

import http.client
import re
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"


class Seen(NamedTuple):
    """An answer."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str | None:
        """The value of a header that may stand there once."""
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) < 2, found
        return found[0] if found else None

    @property
    def location(self) -> str | None:
        """Where it leads."""
        return self.header("location")

    @property
    def cookies(self) -> dict[str, Any]:
        """The cookies it sets, with their attributes."""
        found: SimpleCookie = SimpleCookie()
        for key, value in self.headers:
            if key.lower() == "set-cookie":
                found.load(value)
        return dict(found)

    def forms(self) -> list["Form"]:
        """The forms on the page."""
        return _Forms(self.text).found

    def form(self, action: str) -> "Form":
        """The one form that goes there."""
        (form,) = [form for form in self.forms() if form.action == action]
        return form


class Form(NamedTuple):
    """A form on a page."""

    method: str
    action: str
    fields: dict[str, str]


class Browser:
    """
    One, with cookies of its own.

    Args:
        port: Of the server, on this machine.
        headers: That come with every request.
    """

    def __init__(self, port: int, **headers: str) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def get(self, path: str, **headers: str) -> Seen:
        """Look at a page."""
        return self.ask("GET", path, None, **headers)

    def post(self, form: Form, **fields: str) -> Seen:
        """Send a form, with some fields filled in."""
        body = urlencode({**form.fields, **fields}).encode()
        own = self._headers.get("host", f"127.0.0.1:{self.port}")
        scheme = self._headers.get("x-forwarded-proto", "http")
        return self.ask(
            form.method.upper(), form.action, body, content_type=FORM, origin=f"{scheme}://{own}"
        )

    def ask(self, method: str, path: str, body: bytes | None, **headers: str) -> Seen:
        """Send anything."""
        sent = {"accept": "text/html,application/xhtml+xml", **self._headers}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies and "cookie" not in sent:
            sent["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            seen = Seen(answer.status, answer.getheaders(), answer.read().decode())
        finally:
            connection.close()
        for name, morsel in seen.cookies.items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return seen

    def log_in(self, key: str, target: str = "/") -> Seen:
        """Go to the login as a visitor does, and send the key."""
        form = self.get(f"/login?{urlencode({'next': target})}").form("/login")
        return self.post(form, key=key)


class _Forms(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("method", "get"), given.get("action", ""), {}))
        elif tag == "input" and given.get("type") == "hidden" and self.found:
            self.found[-1].fields[given["name"]] = given["value"]


def key_id(key: str) -> str:
    """The part of a key that is no secret."""
    found = re.fullmatch(r"llmobs_([a-z0-9]{10})_\w+", key)
    assert found is not None
    return found[1]
