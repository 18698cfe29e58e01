"""Two runs beside each other, or the calls of two models, releases or prompts."""

from collections.abc import Sequence
from typing import Final

import msgspec

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.compare import By, Comparison, Figure, Side, compare
from llmobs.describe.differences import Change
from llmobs.describe.words import count, duration, money, one_line, sum_of, visible
from llmobs.store.engine import ReadsStore
from llmobs.viewer.page import Page, Site, render

__all__ = ["compare_page"]

WAYS: Final[Sequence[tuple[By, str]]] = (
    ("run", "Runs"), ("model", "Models"), ("release", "Releases"), ("prompt", "Prompts"),
)  # fmt: skip
AROUND: Final = 160
"""Characters of what is the same that are shown beside what is not."""


class Row(msgspec.Struct, frozen=True):
    """One figure of both sides, as it is said."""

    name: str
    left: str
    right: str
    differs: bool
    left_link: str = ""
    right_link: str = ""
    """To the runs behind it."""


class Stretch(msgspec.Struct, frozen=True):
    """A piece of two texts."""

    kind: str
    text: str
    left_out: int = 0
    """Characters in its middle that both have and that are not shown."""
    rest: str = ""
    """What comes after these."""


def compare_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return two things beside each other, and forms that choose them."""
    found = compare(store, asked)
    path = f"{site.base}/compare"
    return render(
        "compare.html",
        site,
        asked=asked,
        path=path,
        found=found,
        ways=WAYS,
        periods=PERIODS,
        given=asked.given,
        rows=_rows(found, asked, site),
        said=_said,
        shortened=shortened,
    )


def _rows(found: Comparison, asked: Asked, site: Site) -> list[Row]:
    if found.runs is not None:
        return [
            Row(each.name, _said(each, each.left), _said(each, each.right), each.differs)
            for each in found.runs.figures
            if (each.left, each.right) != (None, None)
        ]
    if found.left is None or found.right is None:
        return []
    both = [_figures(side) for side in (found.left, found.right)]
    names = dict.fromkeys((*both[0], *both[1]))
    links = [
        asked.link(f"{site.base}/runs", by=None, left=None, right=None, **{found.by: side.key})
        for side in (found.left, found.right)
    ]
    return [
        Row(name, left, right, left != right, *links)
        for name in names
        for left, right in [(both[0].get(name, "-"), both[1].get(name, "-"))]
    ]


def _said(figure: Figure, value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return one_line(value, 200)
    match figure.unit:
        case "ms":
            return duration(value)
        case "usd":
            return money(value)
        case "count":
            return count(int(value))
    return f"{value:g}"


def _figures(side: Side) -> dict[str, str]:
    calls = side.calls
    if calls is None:
        return {"calls": "0"}
    rate = calls.failed / calls.calls if calls.calls else 0.0
    priced = calls.calls - calls.unpriced
    per_call = calls.cost_usd / priced if calls.cost_usd is not None and priced > 0 else None
    said = {
        "calls": count(calls.calls),
        "failed": f"{count(calls.failed)} ({rate:.1%})",
        "latency, median": duration(calls.latency_p50_ms),
        "latency, 95th percentile": duration(calls.latency_p95_ms),
        "first token, median": duration(calls.time_to_first_token_p50_ms),
        "first token, 95th percentile": duration(calls.time_to_first_token_p95_ms),
        "tokens in": sum_of(calls.tokens_input, calls.uncounted),
        "tokens out": sum_of(calls.tokens_output, calls.uncounted),
        "cost": money(calls.cost_usd, calls.unpriced),
        "cost of a call with a price": money(per_call),
    }
    for each in side.evaluations:
        words = [f"{label} {times:,} times" for label, times in each.labels]
        if each.score is not None:
            words.insert(0, f"{each.score:.3g} on average of {each.scored:,}")
        said[f"evaluation: {each.name or 'unnamed'}"] = one_line(", ".join(words), 200)
    return said


def shortened(changes: Sequence[Change]) -> list[Stretch]:
    """Return *changes* visible, with the middle of what both have left out where that is long."""
    made = []
    for change in changes:
        text = change.text
        left_out = len(text) - 2 * AROUND
        if change.kind != "same" or left_out <= 0:
            made.append(Stretch(change.kind, visible(text)))
        else:
            made.append(Stretch("same", visible(text[:AROUND]), left_out, visible(text[-AROUND:])))
    return made
