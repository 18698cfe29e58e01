"""
A text that a model read or wrote, as what it is made of: paragraphs, headings, lists, tables, quotes, code, JSON.

This is the part of Markdown that models write, as far as nothing can go wrong with it: links, pictures and
HTML stay the characters they are, so that no text leads anywhere or passes for the page's own. A library
that knows all of it would be two more packages for a server that has few, and many times as slow.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from llmobs.describe.prose import json_in_lines

__all__ = ["MAX_COLUMNS", "MAX_DEPTH", "MAX_PASSAGES", "Passage", "passages"]

MAX_PASSAGES: Final = 400
"""Of a text, rows of tables and items of lists among them."""
MAX_DEPTH: Final = 6
"""Of lists and quotes within each other; deeper ones are paragraphs."""
MAX_COLUMNS: Final = 20
"""Of a table; what has more is no table."""


class Passage(NamedTuple):
    """A paragraph, or something that stands by itself."""

    kind: Literal[
        "text", "heading", "code", "json", "list", "numbers", "item", "quote", "table", "rule"
    ]
    text: str = ""
    """Of a paragraph, a heading, code, JSON."""
    language: str = ""
    """Of code, if it is named."""
    number: int = 0
    """Of a heading: how deep, from 1. Of a list with numbers: its first one."""
    parts: tuple["Passage", ...] = ()
    """Items of a list; what is in one, or in a quote."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Of a table, its head first, all of one length."""


_FENCE: Final = re.compile(r" {0,3}(`{3,}+|~{3,}+)[ \t]*+([^\s`]{0,40}+)[^`]*+$")
_HEADING: Final = re.compile(r" {0,3}(#{1,6}+)[ \t]++(?=\S)")
_RULE: Final = re.compile(r" {0,3}([-*_])(?: *+\1){2,}+ *+$")
_QUOTE: Final = re.compile(r" {0,3}> ?")
_ITEM: Final = re.compile(r"( {0,3})(?:[-*+•]|(\d{1,9})[.)]) {1,4}(?=\S)")
_COLUMNS: Final = re.compile(r" {0,3}\|? *+:?-++:? *+(?:\| *+:?-++:? *+)*+\|? *+$")
_BAR: Final = re.compile(r"(?<!\\)\|")


def passages(text: str) -> list[Passage]:
    """
    Return what *text* is made of, in order; of its words nothing is lost.

    After `MAX_PASSAGES` all that follows is one: a browser shows no more of them.
    """
    if (found := json_in_lines(text)) is not None:
        return [Passage("json", found)]
    return _Reading().read(text.split("\n"), 0)


class _Reading:
    """Of one text. Each line is looked at once per depth."""

    def __init__(self) -> None:
        self._left = MAX_PASSAGES

    def read(self, lines: Sequence[str], depth: int) -> list[Passage]:
        made: list[Passage] = []
        at = 0
        while at < len(lines):
            if not lines[at].strip():
                at += 1
                continue
            if self._left <= 0:
                made.append(Passage("text", "\n".join(lines[at:]).rstrip()))
                break
            self._left -= 1
            passage, at = self._next(lines, at, depth)
            made.append(passage)
        return made

    def _next(self, lines: Sequence[str], at: int, depth: int) -> tuple[Passage, int]:
        """Return the passage that begins at a line, and the line after it."""
        line = lines[at]
        if fence := _FENCE.match(line):
            return _code(lines, at, fence)
        # Only where a passage begins: in the middle of one it is a comment of code without fences.
        if heading := _HEADING.match(line):
            return Passage("heading", _title(line[heading.end() :]), number=len(heading[1])), at + 1
        if _RULE.match(line):
            return Passage("rule"), at + 1
        if _is_table(lines, at):
            return self._table(lines, at)
        if depth < MAX_DEPTH and _QUOTE.match(line):
            return self._quote(lines, at, depth)
        if depth < MAX_DEPTH and _ITEM.match(line):
            return self._list(lines, at, depth)
        end = at + 1
        while end < len(lines) and lines[end].strip() and not _begins(lines, end, depth):
            end += 1
        return Passage("text", "\n".join(lines[at:end])), end

    def _quote(self, lines: Sequence[str], at: int, depth: int) -> tuple[Passage, int]:
        own: list[str] = []
        while at < len(lines) and (mark := _QUOTE.match(lines[at])):
            own.append(lines[at][mark.end() :])
            at += 1
        return Passage("quote", parts=tuple(self.read(own, depth + 1))), at

    def _list(self, lines: Sequence[str], at: int, depth: int) -> tuple[Passage, int]:
        first = _ITEM.match(lines[at])
        assert first is not None
        items: list[Passage] = []
        begin: re.Match[str] | None = first
        while begin is not None and self._left > 0:
            own, at = _item(lines, at, begin, depth)
            self._left -= 1
            items.append(Passage("item", parts=tuple(self.read(own, depth + 1))))
            begin, at = _another(lines, at, first)
        if first[2] is None:
            return Passage("list", parts=tuple(items)), at
        return Passage("numbers", number=int(first[2]), parts=tuple(items)), at

    def _table(self, lines: Sequence[str], at: int) -> tuple[Passage, int]:
        head = _cells(lines[at])
        rows = [head]
        at += 2
        while at < len(lines) and "|" in lines[at] and self._left > 0:
            cells = _cells(lines[at])
            if len(cells) > len(head):  # nothing is lost
                cells = [*cells[: len(head) - 1], " | ".join(cells[len(head) - 1 :])]
            rows.append(cells + [""] * (len(head) - len(cells)))
            self._left -= 1
            at += 1
        return Passage("table", rows=tuple(map(tuple, rows))), at


def _code(lines: Sequence[str], at: int, fence: re.Match[str]) -> tuple[Passage, int]:
    closing = re.compile(rf" {{0,3}}{fence[1]}{fence[1][0]}*+[ \t]*+$")
    end = next((n for n in range(at + 1, len(lines)) if closing.match(lines[n])), len(lines))
    return Passage("code", "\n".join(lines[at + 1 : end]), fence[2]), end + 1


def _title(text: str) -> str:
    """Return a heading without the signs that close it."""
    text = text.rstrip()
    open_ = text.rstrip("#")
    return open_.rstrip() if open_.endswith((" ", "\t")) else text


def _begins(lines: Sequence[str], at: int, depth: int) -> bool:
    """Whether something begins in the middle of a paragraph."""
    line = lines[at]
    if _FENCE.match(line) or _RULE.match(line) or _is_table(lines, at):
        return True
    if depth >= MAX_DEPTH:
        return False
    item = _ITEM.match(line)
    # Other numbers are rather the end of a sentence: "in\n2026. Then".
    return bool(_QUOTE.match(line) or (item and item[2] in (None, "1")))


def _item(lines: Sequence[str], at: int, begin: re.Match[str], depth: int) -> tuple[list[str], int]:
    """Return the lines of the item that begins there, without what they are indented by; and the line after."""
    indent, inside = len(begin[1]), begin.end()
    own = [lines[at][inside:]]
    at += 1
    while at < len(lines):
        line = lines[at]
        lead = len(line) - len(line.lstrip(" "))
        if not line.strip():
            own.append("")
        elif lead >= indent + 2:
            own.append(line[min(lead, inside) :])
        elif own[-1] and not _ITEM.match(line) and not _begins(lines, at, depth):
            own.append(line)
        else:
            break
        at += 1
    return own, at


def _another(
    lines: Sequence[str], at: int, first: re.Match[str]
) -> tuple[re.Match[str] | None, int]:
    """Return where the next item of a list begins; None if the list has ended."""
    if at >= len(lines) or _RULE.match(lines[at]):
        return None, at
    found = _ITEM.match(lines[at])
    return (found if found and (found[2] is None) == (first[2] is None) else None), at


def _is_table(lines: Sequence[str], at: int) -> bool:
    if at + 1 >= len(lines) or "|" not in lines[at] or "|" not in lines[at + 1]:
        return False
    if not _COLUMNS.match(lines[at + 1]):
        return False
    columns = len(_cells(lines[at]))
    return columns <= MAX_COLUMNS and columns == len(_cells(lines[at + 1]))


def _cells(line: str) -> list[str]:
    bare = line.strip().removeprefix("|")
    if bare.endswith("|") and not bare.endswith("\\|"):
        bare = bare[:-1]
    return [cell.strip().replace("\\|", "|") for cell in _BAR.split(bare)]
