"""The page of search: what was found, marked and harmless, page by page."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from llmobs.store.engine import open_reader
from llmobs.viewer.page import Page, Site
from llmobs.viewer.pages import PAGES, draw
from tests.support.stores import at, call, index_texts, run, write_store
from tests.viewer.reading import Read

HOSTILE = "<script>alert(1)</script> \"'> <b>parcel</b> \u202egnp.exe </mark><img src=x onerror=y>"


def page(store: Path, query: Mapping[str, str], path: str = "/search") -> Page:
    (listed,) = (each for each in PAGES if each.path == path)
    return draw(listed, lambda: open_reader(store), query, Site(), project=None, names={})


def marked(made: Page) -> list[str]:
    return [part.partition("</mark>")[0] for part in made.html.split('<mark class="hit">')[1:]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events = [
        call("hostile", 0, event_id="h", prompt=HOSTILE, response=""),
        *(call(f"r{n}", 1 + n, prompt=f"blue parcel {n}", user_id="ann" if n % 2 else "bob") for n in range(50)),
        run("hostile", 0, name="<i>"),
    ]  # fmt: skip
    return index_texts(write_store(tmp_path_factory.mktemp("found") / "x.db", events))


def test_hits_are_marked_and_lead_to_their_runs(store: Path) -> None:
    made = page(store, {"text": '"blue parcel" 49'})
    read = Read(made)
    read.check_harmless()
    assert marked(made) == ["blue parcel", "49"]
    assert "/runs/r49" in read.links
    assert page(store, {"text": '"blue parcel" 49'}, "/runs").html == made.html


def test_hostile_text_is_shown_as_what_it_is(store: Path) -> None:
    for text in (
        "alert",
        "gnp.exe",
        "onerror",
        '"</b>',
        "<img src=x onerror=y>",
        "<mark>parcel</mark> b",
    ):
        made = page(store, {"text": text})
        read = Read(made)
        read.check_harmless()
        assert "<script" not in made.html and "<img" not in made.html and "\u202e" not in made.html
        assert marked(made) or text == "<mark>parcel</mark> b", text
    assert marked(page(store, {"text": "gnp.exe"})) == ["gnp.exe"]


def test_every_hit_is_on_one_page_and_filters_hold(store: Path) -> None:
    query: dict[str, str] = {"text": "parcel", "user": "ann", "limit": "10"}
    found: list[str] = []
    older: str | None = ""
    while older is not None:
        read = Read(page(store, query))
        found += [link for link in read.links if link.startswith("/runs/")]
        older = read.link("next")
        if older:
            from urllib.parse import parse_qsl

            query = dict(parse_qsl(older.partition("?")[2]))
            assert query["user"] == "ann" and query["text"] == "parcel"
    assert found == [f"/runs/r{n}" for n in range(49, 0, -2)]


def test_it_says_what_is_not_found_yet_and_what_cannot_be_asked(
    store: Path, tmp_path: Path
) -> None:
    new = write_store(tmp_path / "x.db", [call("r", prompt="parcel")])
    assert "0 % of what is stored is indexed" in page(new, {"text": "parcel"}).html
    assert "is indexed" not in page(store, {"text": "parcel"}).html
    assert "Nothing like this" in page(store, {"text": "nowhere"}).html
    assert page(store, {"text": "parcel", "cursor": "x"}).status == 400
    assert page(store, {"text": "p" * 1001}).status == 400
    since = {"text": "parcel", "since": at(48).isoformat()}
    assert len(marked(page(store, since))) == 3
