"""How much is found and left alone: ``python -m benchmarks.redaction.figures [--all] [--misses]``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.redaction.corpus import Case, corpus, is_held_out, number_rich
from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS
from llmobs.redaction.scan import Span, find

__all__ = ["Figures", "measure", "measure_all"]

Find = Callable[[str], Iterable[Span]]


@dataclass
class Figures:
    """What a finder found in a corpus."""

    found: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)
    missed: list[Case] = field(default_factory=list)
    wrong: list[tuple[Case, str, str]] = field(default_factory=list)
    """False hits: the case, the rule and what it took."""

    def recall(self, kind: str) -> float:
        return self.found[kind] / self.labelled[kind] if self.labelled[kind] else 1.0

    def precision(self, kind: str) -> float:
        return self.right[kind] / self.spans[kind] if self.spans[kind] else 1.0


def measure(cases: Iterable[Case], find: Find) -> Figures:
    """Return what *find* makes of *cases*: a value is found if no character of it is left."""
    figures = Figures()
    for case in cases:
        begin = case.text.find(case.value) if case.kind else -1
        end = begin + len(case.value)
        covered: set[int] = set()
        for span in find(case.text):
            figures.spans[span.kind] += 1
            if case.kind and span.start < end and span.end > begin:
                figures.right[span.kind] += 1
                covered.update(range(max(span.start, begin), min(span.end, end)))
            else:
                figures.wrong.append((case, span.rule, case.text[span.start : span.end]))
        if case.kind:
            figures.labelled[case.kind] += 1
            if len(covered) == end - begin:
                figures.found[case.kind] += 1
            else:
                figures.missed.append(case)
    return figures


def measure_all(cases: Iterable[Case]) -> Figures:
    """Return what our finder makes of *cases*: of the kinds on by default together, of the others by itself."""
    cases = list(cases)
    figures = measure((c for c in cases if c.kind is None or c.kind in DEFAULT_KINDS), find)
    for kind in KINDS.keys() - DEFAULT_KINDS:
        # Some look-alikes are of a kind that nobody looks for by default.
        its = (c for c in cases if c.kind in (kind, None) and c.source != "look-alike")
        part = measure(its, partial(find, kinds=[kind]))
        for counter in ("found", "labelled", "right", "spans"):
            getattr(figures, counter).update(getattr(part, counter))
        figures.missed += part.missed
        figures.wrong += part.wrong
    return figures


def main() -> None:
    """Print the figures of the part for tuning, or with ``--all`` of everything."""
    cases = [case for case in corpus() if "--all" in sys.argv or not is_held_out(case)]
    figures = measure_all(cases)
    print(f"{len(cases)} strings")
    for kind in figures.labelled:
        recall, precision = figures.recall(kind), figures.precision(kind)
        print(f"{kind:8} recall {recall:.4f} of {figures.labelled[kind]}, ", end="")
        print(f"precision {precision:.4f} of {figures.spans[kind]}")
    text = number_rich(2_000_000)
    print(f"false hits per MB of numbers: {len(find(text)) / 2}")
    if "--misses" in sys.argv:
        for case in figures.missed:
            print("missed", case.source, repr(case.value[:80]), "in", repr(case.text[:200]))
        for case, rule, taken in figures.wrong:
            print("wrong", rule, repr(taken[:90]), "in", case.source, repr(case.text[:100]))
        for span in find(text)[:5]:
            print("numbers", span, text[span.start - 20 : span.end + 20])


if __name__ == "__main__":
    main()
