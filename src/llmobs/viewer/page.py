"""What a page is made of: a template, what it says, and what browsers are told beside it."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from llmobs.answers.asked import MAX_LENGTH
from llmobs.describe import markdown, prose, words
from llmobs.recorded.ids import new_id

__all__ = ["HEADERS", "STATIC", "Page", "Site", "in_address", "render", "static_file", "trouble"]

PACKAGE: Final = "llmobs.viewer"

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Addresses hold ids of persons. With no-referrer browsers would not say where our own forms come from.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Of every page."""

STATIC: Final[Mapping[str, str]] = {
    "viewer.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "live.js": "text/javascript; charset=utf-8",
}
"""Files that pages load, and their types."""


class Site(msgspec.Struct, frozen=True):
    """Where the pages are."""

    base: str = ""
    """What their paths begin with; empty at the root of a host."""
    origin: str = "http://127.0.0.1:4318"
    """What visitors call the host."""
    api: str = ""
    """What the paths of the JSON API begin with; empty where there is none."""
    pages: Sequence[tuple[str, str]] = ()
    """Paths and names of those that every page leads to."""
    form_token: str = ""
    """What forms hold that change something; empty where there are to be none."""
    form_field: str = "token"
    """What they call it."""
    may_rate: bool = False
    """Whether who looks may say how good something was."""
    is_session: bool = False
    """Whether who looks has logged in, and so can log out."""
    streams: bool = True
    """Whether the server can answer bit by bit; else the live page asks again and again."""


class Page(msgspec.Struct, frozen=True):
    """An answer."""

    html: str
    """What it says, in its type."""
    status: int = 200
    type: str = "text/html; charset=utf-8"


@cache
def static_file(name: str) -> bytes:
    """Return one of the files in `STATIC`."""
    return (files(PACKAGE) / "static" / name).read_bytes()


@cache
def _version(name: str) -> str:
    """Return what the address of a file ends with, so that it can be kept for ever."""
    return blake2b(static_file(name), digest_size=6).hexdigest()


def anchor(event_id: str) -> str:
    """Return what an event is called within a page; its id may be any text."""
    if _is_plain(event_id):
        return f"e-{event_id}"
    return f"e-{blake2b(event_id.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def in_address(id: str) -> str:
    """Return an id as a part of an address; the beginning of one that fits into none, which finds a run, too."""
    return quote(id[:MAX_LENGTH].encode("utf-8", "replace"))


_is_plain = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "anchor": anchor,
        "count": words.count,
        "duration": words.duration,
        "line": words.one_line,
        "moment": words.moment,
        "money": words.money,
        "passages": markdown.passages,
        "pieces": prose.pieces,
        "short": words.short_id,
        "spans": prose.spans,
        "urlencode": in_address,
        "visible": words.visible,
    }
    made.globals |= {
        "new_id": new_id,
        "sum_of": words.sum_of,
        "several": words.several,
        "version": _version,
    }
    return made


def render(template: str, site: Site, *, status: int = 200, **values: Any) -> Page:
    """
    Return a page.

    Args:
        template: Its file.
        site: Where it is.
        status: Of HTTP.
        values: What the template says.
    """
    made = _environment().get_template(template)
    known = {
        "site": site,
        "base": site.base,
        "origin": site.origin,
        "api": site.api,
        "pages": site.pages,
    }
    return Page(made.render(**known, **values), status)


def trouble(
    site: Site, status: int, title: str, words: str, links: Sequence[tuple[str, str]] = ()
) -> Page:
    """
    Return a page that says what is in the way.

    Args:
        site: Where it is.
        status: Of HTTP.
        title: What it is, in short.
        words: What it is, and the way out.
        links: Where to go instead: addresses, and what they are called.
    """
    return render("trouble.html", site, status=status, title=title, words=words, links=links)
