"""What passes at a glance is what a closer look leaves alone, whatever it is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.redaction.corpus import Case, corpus
from benchmarks.redaction.throughput import adversarial
from llmobs.redaction.redactor import Redactor
from llmobs.redaction.rules_of_users import UserRules
from llmobs.redaction.scan import finding, glance_at
from llmobs.runtime.time_slices import finish


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return corpus(seed=43, scale=0.1)


@pytest.fixture(scope="module")
def texts(cases: list[Case]) -> list[str]:
    """Those of the corpus, cut and put together in any way: what is found is also found at the seams."""
    rng = random.Random(43)
    whole = [case.text for case in cases]
    cut = [text[: rng.randint(0, len(text))] for text in whole]
    glued = ["".join(rng.choices(cut, k=3)) for _ in whole]
    return [*whole, *cut, *glued, *adversarial(2_000).values()]


@pytest.mark.parametrize("chunk", [7, 64])
def test_in_a_text_without_an_anchor_nothing_is_found_in_windows_either(
    texts: list[str], chunk: int
) -> None:
    passing = [text for text in texts if not glance_at(text)]
    assert [text for text in passing if finish(finding(text, chunk=chunk))] == []
    assert len(passing) > len(texts) / 10


def test_most_innocent_texts_pass_at_a_glance(cases: list[Case]) -> None:
    innocent = [case.text for case in cases if case.kind is None]
    assert sum(not glance_at(text) for text in innocent) > len(innocent) / 5


def _value(rng: random.Random, texts: list[str], depth: int = 0) -> Any:
    kind = rng.choice("dltsssn") if depth < 4 else "s"
    if kind == "s":
        return rng.choice((rng.choice(texts), "user", "text", "eu-west", "Cookie", "key-"))
    if kind == "n":
        return rng.choice((1, 2.5, None, True, b"ann@example.com", 4111111111111111))
    items = [_value(rng, texts, depth + 1) for _ in range(rng.randint(0, 4))]
    if kind == "d":
        names = ("role", "text", "content", "password", "token", "parts", "ann@example.com", 5)
        return {rng.choice(names): item for item in items}
    return tuple(items) if kind == "t" else items


@pytest.mark.parametrize("integers", [False, True])
def test_what_passes_at_a_glance_is_left_alone(texts: list[str], integers: bool) -> None:
    rng = random.Random(47)
    rules = UserRules(integers=integers)
    glancing = Redactor(rules=rules)
    short = [text for text in texts if len(text) < 200]
    passed = 0
    for _ in range(2_000):
        value = [_value(rng, short)]
        looking = Redactor(rules=rules)
        expected = finish(looking.closely(value))
        assert glancing.value(value) == expected
        if glancing.passes(value):
            passed += 1
            assert expected is value
    assert passed > 100


def test_pieces_that_were_each_found_clean_before_are_still_read_as_one_text() -> None:
    redactor = Redactor()
    for piece in ("ann.lee@", "example.com", ["a ann.lee@"], ["example.com"]):
        assert redactor.value(piece) == piece
    assert redactor.value(["ann.lee@", "example.com"]) == ["[REDACTED_EMAIL]", ""]


def test_what_is_too_long_or_too_deep_for_a_glance_is_redacted_all_the_same() -> None:
    redactor = Redactor()
    value: Any = "ann@example.com"
    for _ in range(40):
        assert not redactor.passes(value)
        value = [value]
    assert "[REDACTED_EMAIL]" in str(redactor.value(value))
    long = "a plain word " * 4_000
    assert not redactor.passes(long)
    assert redactor.value(long) is long
    assert redactor.value([long, "ann@example.com"]) == [long, "[REDACTED_EMAIL]"]


def test_a_rule_of_the_user_s_own_is_asked_each_time() -> None:
    asked = []
    redactor = Redactor(extra=lambda text: asked.append(text) or text)  # type: ignore[func-returns-value]
    assert redactor.value("eu-west") == redactor.value("eu-west")
    assert asked == ["eu-west", "eu-west"]
    patterns = Redactor(rules=UserRules(kinds=frozenset(), names=("badge",)))
    assert patterns.value({"badge": "K-1"}) == {"badge": "K-1"}
    assert not patterns.passes("badge=K-1")
