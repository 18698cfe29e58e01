"""Where no hint is, nothing is found: the quick look and the search agree, whatever the text."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from benchmarks.redaction.corpus import Case, corpus
from benchmarks.redaction.throughput import adversarial, prose
from llmobs.redaction import scan
from llmobs.redaction.hints import BEHIND, hint_in, may_have_hint
from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS
from llmobs.redaction.names import SECRET_NAMES
from llmobs.redaction.plain import plain
from llmobs.redaction.spans import Reach, Span
from llmobs.runtime.time_slices import finish

BETWEEN = (
    ":",
    "=",
    ": ",
    " = ",
    '": "',
    '\\": \\"',
    "'] = '",
    '" value="',
    " => ",
    "\t:  ",
    "`: `",
)


def searched(text: str) -> list[Span]:
    """Return what a search of all of *text* finds, without a look for hints."""
    text = plain(text)
    sight = scan._sight(text, 0, len(text), DEFAULT_KINDS)
    return scan.merged(finish(scan.find_spans(text, sight, Reach(), DEFAULT_KINDS)))


@pytest.fixture(scope="module")
def innocent() -> str:
    text = prose(20_000, 7, secrets=False)
    assert searched(text) == []
    return text


def among(innocent: str, text: str, rng: random.Random) -> str:
    """Return *text* among so much else that hints are looked for, and at any place of a window."""
    before, behind = rng.choice((0, 300, 2_030, 8_180)), rng.choice((300, 2_000))
    before = max(0, before - rng.randint(0, len(text) + BEHIND))
    return f"{innocent[:before]} {text} {innocent[:behind]}"


def differing(innocent: str, texts: list[str]) -> list[str]:
    """Return those of *texts*, by themselves and among others, in which not the same is found."""
    rng = random.Random(5)
    all_texts = [*texts, *(among(innocent, text, rng) for text in texts)]
    return [text for text in all_texts if scan.find(text) != searched(text)]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return corpus(seed=44, scale=0.3)


def test_what_is_found_does_not_depend_on_hints(cases: list[Case], innocent: str) -> None:
    texts = [case.text for case in cases]
    assert differing(innocent, texts) == []


def test_nor_where_texts_are_cut_and_joined(cases: list[Case], innocent: str) -> None:
    rng = random.Random(6)
    cut = [case.text[rng.randint(0, 20) :][: rng.randint(10, 200)] for case in cases]
    glued = ["".join(rng.choices(cut, k=rng.randint(1, 4))) for _ in cut]
    assert differing(innocent, glued) == []
    assert differing(innocent, list(adversarial(3_000).values())) == []


def test_names_are_known_however_they_are_written(innocent: str) -> None:
    rng = random.Random(8)
    texts = []
    for name in SECRET_NAMES:
        for between in BETWEEN:
            spelt = rng.choice((str, str.upper, str.title))(name)
            joined = (
                "".join(c + rng.choice(("", "", "", "-", "_", ".")) for c in spelt[:-1]) + spelt[-1]
            )
            at = rng.randrange(len(name))
            escaped = name[:at] + f"\\u{ord(name[at]):04x}" + name[at + 1 :]
            texts += [f"{form}{between}qX7rT2wZ9kL4mN8v" for form in (spelt, joined, escaped)]
        texts += [f"run --{name} qX7rT2wZ9kL4mN8v", f"?a=b&{name}=qX7rT2wZ9k"]
    assert differing(innocent, texts) == []
    found = [text for text in texts if searched(text)]
    assert len(found) > len(texts) / 3


def test_numbers_are_known_beside_what_is_no_secret(innocent: str) -> None:
    """Where digits are all that hints at anything, only numbers and at signs are looked for."""
    rng = random.Random(9)
    numbers = [KINDS[kind].example(n) for kind in ("card", "ssn", "iban") for n in range(40)]
    grouped = [" ".join(number[at : at + 4] for at in range(0, 99, 4)) for number in numbers]
    texts = [
        rng.choice(("", "my SSN is ", "ann@example.com ", "é"))
        + number
        + rng.choice(("", ".", "\n"))
        for number in (*numbers, *grouped)
    ]
    assert differing(innocent, texts) == []
    hints = {may_have_hint(among(innocent, text, rng)) for text in numbers}
    assert hints == {"a number"}
    assert sum(bool(searched(text)) for text in texts) > len(texts) / 2


def test_most_of_what_is_recorded_has_no_hint(innocent: str) -> None:
    """Else it would be of no use: prose has none at the first look, code and JSON few at the second."""
    assert not may_have_hint(innocent)
    code = "".join(path.read_text() for path in Path(re.__file__).parent.glob("*.py"))
    pieces = [code[at : at + 2_048] for at in range(0, len(code), 2_048)]
    assert sum(hint_in(piece) is not None for piece in pieces) < len(pieces) / 3
