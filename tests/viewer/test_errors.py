"""The page of errors: every cause, what it touched, and exactly the runs behind it."""

import re
from pathlib import Path

import pytest

from llmobs.answers.failures import errors
from llmobs.events import AssertionFailedEvent, ErrorInfo, Event
from llmobs.viewer.errors import errors_page
from llmobs.viewer.page import Page
from llmobs.viewer.run import run_page
from llmobs.viewer.runs import runs_page
from tests.support.stores import at, call, run
from tests.viewer.reading import Read
from tests.viewer.test_pages import SITE, asked, read, stored

STACK = 'Traceback (most recent call last):\n  File "/srv/shop.py", line 12, in pay\n    raise\n'


def failing(count: int, kinds: int) -> list[Event]:
    events: list[Event] = []
    for n in range(count):
        error = ErrorInfo(f"no answer after {n} s", type=f"Kind{n % kinds}Error", stack=STACK)
        events += [
            call(f"r{n}", n, status="error", error=error, model=f"model-{n % 2}"),
            run(f"r{n}", n, name=f"POST /{n % 3}", status="error"),
        ]
    return events


def test_causes_are_shown_with_what_they_touched(tmp_path: Path) -> None:
    with stored(tmp_path, failing(6, 1)) as store:
        page = read(errors_page(store, asked(), SITE))
    text = " ".join(page.text.split())
    for words in ("Kind0Error", "no answer after 5 s", "/srv/shop.py in pay", "6 times in 6 runs",
                  "2026-11-21 12:00:00 to 2026-11-21 12:00:05", "model-1", "POST /2"):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("query", ["", "?since=2026-11-21T12:00:10", "?until=2026-11-21T12:00:15"])
def test_as_many_runs_are_behind_each_link_as_it_says(tmp_path: Path, query: str) -> None:
    with stored(tmp_path, failing(40, 7)) as store:
        page = errors_page(store, asked(query), SITE)
        links = re.findall(r'<a href="([^"]*/runs\?[^"]*)">([\d,]+) runs?</a>', page.html)
        for link, count in links:
            shown = read(runs_page(store, asked(link.replace("&amp;", "&")), SITE))
            assert f"{count} run" in shown.text
            runs = {each for each in shown.links if re.search(r"/runs/r\d+$", each)}
            assert len(runs) == int(count)
    assert len(links) > 7


def test_every_cause_is_on_one_page_and_only_one(tmp_path: Path) -> None:
    seen: list[str] = []
    with stored(tmp_path, failing(120, 60)) as store:
        address: str | None = "/llmobs/errors"
        while address is not None:
            page = read(errors_page(store, asked(address), SITE))
            seen += re.findall(r"\bKind\d+Error", page.text)
            address = page.link("next")
    assert sorted(seen) == sorted(f"Kind{n}Error" for n in range(60))


def test_where_nothing_failed_the_page_says_so(tmp_path: Path) -> None:
    with stored(tmp_path, [call("r")]) as store:
        page = read(errors_page(store, asked(period="7d"), SITE))
        none: Page = errors_page(store, asked(), SITE)
    assert "Nothing failed" in page.text and "/llmobs/errors?period=all" in page.links
    assert "Nothing failed." in Read(none).text


def test_what_failed_leads_to_all_that_failed_like_it(tmp_path: Path) -> None:
    check = AssertionFailedEvent(
        event_id="v", run_id="r1", timestamp=at(1), assertion_name="is_json"
    )
    with stored(tmp_path, [*failing(4, 2), check]) as store:
        page = read(run_page(store, asked(), SITE, run_id="r1"))
        links = [link for link in page.links if "/errors?" in link]
        causes = [errors(store, asked(link)).errors for link in links]
    assert [[(each.subject, each.runs) for each in cause] for cause in causes] == [
        [("model-1", 2)], [("is_json", 1)],
    ]  # fmt: skip
