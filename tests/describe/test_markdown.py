"""Texts as they are read: nothing is lost, nothing that only looks like JSON is touched, no text takes long."""

import time
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs.describe.markdown import (
    MAX_COLUMNS,
    MAX_DEPTH,
    MAX_PASSAGES,
    Passage,
    passages,
)
from llmobs.describe.prose import pieces, spans


def text(words: str) -> Passage:
    return Passage("text", words)


def items(*parts: tuple[Passage, ...]) -> tuple[Passage, ...]:
    return tuple(Passage("item", parts=each) for each in parts)


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
    assert passages("```\na\n```\n" * 1_000)[-1].text.startswith("```\na")


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


def test_headings_lists_quotes_tables_and_rules() -> None:
    assert passages("# One ##\nwords\n\n### a#b\n***") == [
        Passage("heading", "One", number=1), text("words"),
        Passage("heading", "a#b", number=3), Passage("rule"),
    ]  # fmt: skip
    assert passages("So:\n- a\n- b\n  goes on\n  1. in\n\n  also\n* c\n\nend") == [
        text("So:"),
        Passage("list", parts=items(
            (text("a"),),
            (text("b\ngoes on"), Passage("numbers", number=1, parts=items((text("in"),))), text("also")),
            (text("c"),),
        )),
        text("end"),
    ]  # fmt: skip
    assert passages("7. a\n\n   ```\n   code\n   ```\n8) b") == [
        Passage("numbers", number=7, parts=items((text("a"), Passage("code", "code")), (text("b"),)))
    ]  # fmt: skip
    assert passages("> a\n> - b\nc") == [
        Passage("quote", parts=(text("a"), Passage("list", parts=items((text("b"),))))), text("c")
    ]  # fmt: skip
    assert passages("| a | b |\n|:--|--:|\n| 1 | 2 | 3 |\n| x \\| y |\nend") == [
        Passage("table", rows=(("a", "b"), ("1", "2 | 3"), ("x | y", ""))), text("end")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "x = 1\n# a comment\ny = 2", "in\n2026. Then", "#hashtag", "-5 degrees", "a | b\nc | d", "1.5 l",
        "a - b", "|" * (MAX_COLUMNS + 2) + "\n" + "|-" * (MAX_COLUMNS + 1) + "|", "**bold**", "> "[:0] + "a > b",
        "- ", "#", "[a](http://b) <b>c</b> ![d](e)",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_a_paragraph(said: str) -> None:
    assert passages(said) == [text(said)]


def test_lists_in_lists_end_somewhere() -> None:
    deep = passages("> " * 300 + "so deep")
    for _ in range(MAX_DEPTH):
        (quote,) = deep
        assert quote.kind == "quote"
        deep = [*quote.parts]
    assert deep == [text("> " * (300 - MAX_DEPTH) + "so deep")]


def words_of(found: Iterable[Passage]) -> Iterator[str]:
    for each in found:
        yield from each.text.split()
        yield from (word for row in each.rows for cell in row for word in cell.split())
        yield from words_of(each.parts)


lines = st.lists(
    st.tuples(
        st.sampled_from(["", " ", "    ", "- ", "  - ", "1. ", "> ", "# ", "```", "| ", "|-|", "***", "> - "]),
        st.integers(0, 30),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=200)
@given(lines)
def test_no_word_is_lost_or_moved(begun: list[tuple[str, int]]) -> None:
    said = [f"{sign}w{n}x{number}" for n, (sign, number) in enumerate(begun)]
    wanted = [line.lstrip(" -1.>#`|*") for line in said]
    found = [word.strip("`|*>#- ") for word in words_of(passages("\n".join(said)))]
    kept = [word for word in found if word in wanted]
    # After a fence may stand the language of its code, which is not shown.
    hidden = {word for word, line in zip(wanted, said, strict=True) if "```" in line}
    assert kept == [word for word in wanted if word in kept]
    assert {*wanted} - {*kept} <= hidden


@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * 300_000 + "`", "`" * 300_000, "\n" * 300_000, "\n \t" * 100_000, "```\n" * 100_000,
        "".join("`" * n + "\n" for n in range(3, 700)), "[A_" * 100_000, "... 1" * 60_000, "[" * 300_000,
        "~~~a\n" * 60_000, "[REDACTED_" + "A" * 300_000, "- " * 150_000, "> " * 150_000, "- a\n" * 75_000,
        "| " * 150_000 + "\n" + "|-" * 150_000, "# " + " " * 300_000 + "#", "*" * 300_000, "`a" * 150_000,
        "**a" * 100_000,
    ],
    ids=range(19),
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    """CPU time: what others do on the machine does not count."""
    began = time.process_time()
    for each in passages(text):
        for piece in pieces(each.text):
            spans(piece.text)
    assert time.process_time() - began < 2.0
