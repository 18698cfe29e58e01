"""Each figure of the overview leads to exactly the runs behind it: as many as it says."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from llmobs.answers.runs import runs as ask_runs
from llmobs.events import ErrorInfo, Event
from llmobs.store.engine import ReadsStore
from llmobs.viewer.charts import Chart, Plot, Series
from llmobs.viewer.overview import overview_page
from tests.support.stores import call, run
from tests.viewer.test_pages import SITE, asked, read, stored

WHEN = "?since=2026-11-21T11:30:30&until=2026-11-21T15:40"


def events() -> Iterator[Event]:
    """Runs of all kinds within the time, before it and after it."""
    for n, seconds in enumerate(range(-9_000, 16_000, 450)):
        run_id = f"r{n:02}"
        bad = n % 7 == 0
        values = {"release": f"1.{n % 3}", "user_id": f"u{n % 4}"}
        if n % 5:
            yield call(
                run_id, seconds, model=("tea", "tea-mini", "chai")[n % 3], latency_ms=100.0 + n,
                tokens_input=n, tokens_output=1, cost_usd=0.25,
                time_to_first_token_ms=9.0 if n % 2 else None,
                status="error" if bad else "success", error=ErrorInfo("off") if bad else None, **values,
            )  # fmt: skip
        yield run(
            run_id, seconds, name=("GET /a", "GET /a/b", "POST /A")[n % 3],
            status="error" if n % 11 == 0 else "success", **values,
        )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReadsStore]:
    with stored(tmp_path, list(events())) as reader:
        yield reader


def behind(store: ReadsStore, link: str) -> int:
    found = ask_runs(store, asked(f"{unescape(link)}&limit=500"))
    assert found.next_cursor is None
    return len(found.runs)


FIGURE = re.compile(
    r'<a class="figure" href="([^"]+)"><span>(.*?)</span><strong>([\d,]+)</strong></a>'
    r'<a class="before" href="([^"]+)">before: ([\d,]+)</a>'
)


def test_figures_count_what_is_behind_them_now_and_before(store: ReadsStore) -> None:
    html = overview_page(store, asked(WHEN), SITE).html
    counted = {}
    for link, title, value, earlier, before in FIGURE.findall(html):
        counted[title] = (int(value), int(before))
        if title != "Tokens":  # of which a run has many; and each run of this store has one call
            assert behind(store, link) == int(value), title
            assert behind(store, earlier) == int(before), title
    assert counted.keys() == {"Runs", "Failed", "Calls of models", "Calls that failed", "Tokens"}
    assert all(value > before > 0 for value, before in counted.values())


def test_tables_count_what_is_behind_them(store: ReadsStore) -> None:
    html = overview_page(store, asked(WHEN), SITE).html
    rows = re.findall(r"<tr>\s*<td>(.*?)</tr>", html, re.DOTALL)
    names = [re.sub(r"<[^>]*>", "", row.split("</td>")[0]) for row in rows]
    models, routes, releases, users = names[:3], names[3:6], names[6:9], names[9:]
    assert sorted(models) == ["chai", "tea", "tea-mini"]
    assert sorted(routes) == ["GET /a", "GET /a/b", "POST /A"]
    assert sorted(releases) == ["1.0", "1.1", "1.2"]
    assert sorted(users) == ["u0", "u1", "u2", "u3"]
    for row in rows:
        cells = re.findall(r'<a href="([^"]+)">([\d,]+)</a></td>', row)
        assert len(cells) >= 4
        for link, count in cells[:2]:  # calls or runs, and those that failed
            assert behind(store, link) == int(count), row


def test_bars_count_what_is_behind_them(store: ReadsStore) -> None:
    """Also the first and the last one, which the time that is asked for cuts off."""
    given = asked(WHEN)
    html = overview_page(store, given, SITE).html
    charts = html.split('<figure class="chart"')[1:]
    assert len(charts) == 5
    bars = re.findall(r'<a href="([^"]+)"><title>[^:]*(?:\d\d:\d\d)?: ([\d,]+) runs', charts[0])
    assert sum(int(count) for _, count in bars) == behind(store, given.link("/runs")) > 20
    for link, count in bars:
        assert behind(store, link) == int(count)
    failed = re.findall(
        r'<a href="([^"]+)"><title>[^<]*?: ([\d,]+) of [\d,]+ runs? failed', charts[1]
    )
    assert len(failed) > 3
    for link, count in failed:
        assert behind(store, link) == int(count)
    for chart in charts[1:]:
        for link in re.findall(r'<a href="([^"]+)"><title>', chart):
            assert behind(store, link) > 0


def test_each_chart_can_be_passed_by_keyboard(store: ReadsStore) -> None:
    """Its bars are links, and so as many stops."""
    html = overview_page(store, asked(WHEN), SITE).html
    past = re.findall(r'<a class="skip" href="#(chart-\d+)">', html)
    assert len(past) == html.count('<figure class="chart"')
    places = [html.index(f'id="{each}"') for each in past]
    assert places == sorted(places) and all(
        html.index(f'href="#{each}"') < place for each, place in zip(past, places, strict=True)
    )


def test_charts_have_axes_units_and_legends(store: ReadsStore) -> None:
    html = overview_page(store, asked(WHEN), SITE).html
    charts = html.split('<figure class="chart"')[1:]
    titles = [
        re.sub(r"\s*<[^>]*>\s*", "|", re.findall(r"(?s)<figcaption>(.*?)<a class", chart)[0])
        for chart in charts
    ]
    assert [title.strip("|").split("||") for title in titles] == [
        ["Runs|failed", "others"],
        ["Runs that failed|runs"],
        ["Latency of calls|seconds", "p95", "median", "first token p95",
         "first token median"],
        ["Tokens|in", "out"],
        ["Cost|US dollars"],
    ]  # fmt: skip
    for chart in charts:
        assert chart.count('<line class="grid"') == 3 and chart.count('class="axis time') >= 4
        assert re.search(r'role="group" aria-label="[^"]+, [^"]+, over time"', chart)
    assert charts[2].count("<polyline") == 4 and charts[2].count("<circle") > 12
    assert all("<polyline" not in chart for n, chart in enumerate(charts) if n != 2)
    said = re.findall(r"<title>[^<]*</title>", charts[2])
    assert any(
        re.search(r"median \d+ ms, 95th percentile \d+ ms; first token", each) for each in said
    )


def test_what_nothing_is_known_of_parts_a_line() -> None:
    """And what stands alone is a point."""
    hours = [datetime(2026, 11, 21, hour, tzinfo=UTC) for hour in range(6)]
    values = dict(zip(hours[:2] + hours[3:4] + hours[5:], (2.0, 4.0, 1.0, 3.0), strict=True))
    plot = Plot("t", "u", "lines", [Series("s", "p50", values)], lambda at: "")
    chart = Chart.of(plot, hours, timedelta(hours=1), asked(""), "/runs")
    assert chart.lines == [("p50", "50.0,60.0 150.0,0.0")] and chart.tops[-1] == (0.0, "4")
    assert [column.middle for column in chart.columns] == [50.0, 150.0, 350.0, 550.0]


def test_bars_stand_on_each_other() -> None:
    begin = datetime(2026, 11, 21, 9, tzinfo=UTC)
    series = [Series("a", "bad", {begin: 25.0}), Series("b", "value", {begin: 75.0})]
    plot = Plot("t", "u", "bars", series, lambda at: "words")
    (column,) = Chart.of(plot, [begin], timedelta(hours=1), asked(""), "/runs").columns
    assert [(p.look, p.y, p.height) for p in column.pieces] == [("bad", 90, 30), ("value", 0, 90)]
    assert column.words.endswith(": words")


def test_any_time_can_be_asked_for_and_is_kept(store: ReadsStore) -> None:
    page = read(overview_page(store, asked(WHEN + "&model=tea"), SITE))
    fields = {a["name"]: a["value"] for tag, a in page.elements if tag == "input"}
    assert fields == {"model": "tea", "since": "2026-11-21T11:30", "until": "2026-11-21T15:40"}
    assert "/llmobs/?since=2026-11-21T11%3A30%3A30&until=2026-11-21T15%3A40" in page.links
    assert "tea-mini" not in page.text


def test_a_route_is_one_and_a_name_is_part_of_many(store: ReadsStore) -> None:
    def names(query: str) -> set[str | None]:
        return {each.name for each in ask_runs(store, asked(f"{query}&limit=500")).runs}

    assert names("?route=GET /a") == {"GET /a"}
    assert names("?name=get /a") == {"GET /a", "GET /a/b"}
    assert names("?route=get /a") == set()
