"""What stands within a paragraph: what is emphasised, code, and what llmobs did."""

import pytest

from llmobs.describe.prose import Piece, Span, pieces, spans


def test_emphasis_and_code() -> None:
    assert pieces("a **b *c* `d`** *e f* `g*` ``h`i`` end") == [
        Piece("", "a **b "), Piece("em", "c"), Piece("", " "), Piece("code", "d"), Piece("", "** "),
        Piece("em", "e f"), Piece("", " "), Piece("code", "g*"), Piece("", " ``h`i`` end"),
    ]  # fmt: skip
    assert pieces("**`a` b**: c") == [Piece("strong", "`a` b"), Piece("", ": c")]
    assert pieces("") == [Piece("", "")]


@pytest.mark.parametrize(
    "said", ["2 * 3 * 4", "__init__", "a*b*c", "** a **", "\\*a\\*", "*a\nb*", "`", "****", "*"]
)
def test_what_only_looks_like_it_stays(said: str) -> None:
    assert pieces(said) == [Piece("", said)]


def test_what_llmobs_did_to_a_text_is_told_apart() -> None:
    assert spans("a [REDACTED_EMAIL] b<12 characters left out>") == [
        Span("", "a "), Span("redacted", "[REDACTED_EMAIL]"), Span("", " b"),
        Span("cut", "<12 characters left out>"),
    ]  # fmt: skip
    assert spans("[EMAIL_5d41402abc4b][REDACTION_FAILED]") == [
        Span("redacted", "[EMAIL_5d41402abc4b]"), Span("redacted", "[REDACTION_FAILED]"),
    ]  # fmt: skip
    assert spans("") == [Span("", "")]
    assert [each.kind for each in spans("[REDACTED] [A_1x] x[1]")] == [""]
