"""Texts as they are read: nothing is lost, nothing that only looks like JSON is touched, no text takes long."""

import time

import pytest

from llmobs.describe.prose import MAX_PASSAGES, Passage, Span, passages, spans


def test_paragraphs_and_code_are_told_apart() -> None:
    text = "One\ntwo\n\n\nthree\n```py x\na\n\nb\n```\nfour\n~~~\nopen"
    assert passages(text) == [
        Passage("text", "One\ntwo"), Passage("text", "three"), Passage("code", "a\n\nb", "py"),
        Passage("text", "four"), Passage("code", "open"),
    ]  # fmt: skip
    assert passages("") == []
    assert passages("````\n```\nin\n```\n````") == [Passage("code", "```\nin\n```")]


def test_of_very_many_passages_the_last_ones_are_one() -> None:
    text = "".join(f"p{n}\n\n" for n in range(1_000))
    found = passages(text)
    assert len(found) == MAX_PASSAGES + 1
    assert found[-1].text == text[text.index(f"p{MAX_PASSAGES}") :].strip("\n")
    assert len(passages("a\n\n" * MAX_PASSAGES)) == MAX_PASSAGES
    assert passages("```\na\n```\n" * 300)[-1].text.startswith("```\na")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'), (" [] ", "[]"), ("{not json}", None),
        ('"words"', None), ("[1] and more [2]", None), ("{" * 5_000 + "}" * 5_000, None),
    ],
)  # fmt: skip
def test_json_is_told_in_lines(text: str, told: str | None) -> None:
    (found,) = passages(text)
    assert found == (Passage("text", text) if told is None else Passage("json", told))


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


@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * 300_000 + "`", "`" * 300_000, "\n" * 300_000, "\n \t" * 100_000, "```\n" * 100_000,
        "".join("`" * n + "\n" for n in range(3, 700)), "[A_" * 100_000, "... 1" * 60_000, "[" * 300_000,
        "~~~a\n" * 60_000, "[REDACTED_" + "A" * 300_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    """CPU time: what others do on the machine does not count."""
    began = time.process_time()
    for each in passages(text):
        spans(each.text)
    assert time.process_time() - began < 2.0
