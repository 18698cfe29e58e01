"""
What differs between two texts, word by word.

Comparing is quadratic for texts made to be hard to compare; so what two texts begin and end with alike
is set aside first, lines are compared before words, and what is still long is told as wholly another.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, Literal

import msgspec

__all__ = ["Change", "differences"]

LINES: Final = 500
"""Lines on either side that are compared with each other."""
WORDS: Final = 1_500
"""Words on either side of one stretch of lines that are compared with each other."""
_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
_WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")

Kind = Literal["same", "removed", "added"]


class Change(msgspec.Struct, frozen=True):
    """A stretch of text that both have, or one of them alone."""

    kind: Kind
    """``removed``: only the left one has it; ``added``: only the right one."""
    text: str


def differences(left: str, right: str) -> list[Change]:
    """
    Return what both texts are made of, in order.

    Without what is added it is *left*, without what is removed it is *right*.
    """
    return list(_joined(_by_line(_LINES.findall(left), _LINES.findall(right))))


def _by_line(left: Sequence[str], right: Sequence[str]) -> Iterator[Change]:
    head, tail = _alike(left, right)
    yield from _told("same", left[:head])
    mine, theirs = left[head : len(left) - tail], right[head : len(right) - tail]
    if max(len(mine), len(theirs)) > LINES:
        yield from _told("removed", mine)
        yield from _told("added", theirs)
    else:
        for how, a, b, c, d in SequenceMatcher(None, mine, theirs).get_opcodes():
            if how == "equal":
                yield from _told("same", mine[a:b])
            else:
                yield from _by_word("".join(mine[a:b]), "".join(theirs[c:d]))
    yield from _told("same", left[len(left) - tail :])


def _by_word(left: str, right: str) -> Iterator[Change]:
    mine, theirs = _WORDS.findall(left), _WORDS.findall(right)
    head, tail = _alike(mine, theirs)
    yield from _told("same", mine[:head])
    first, second = mine[head : len(mine) - tail], theirs[head : len(theirs) - tail]
    if max(len(first), len(second)) > WORDS:
        yield from _told("removed", first)
        yield from _told("added", second)
    else:
        for how, a, b, c, d in SequenceMatcher(None, first, second).get_opcodes():
            if how == "equal":
                yield from _told("same", first[a:b])
            else:
                yield from _told("removed", first[a:b])
                yield from _told("added", second[c:d])
    yield from _told("same", mine[len(mine) - tail :])


def _alike(left: Sequence[str], right: Sequence[str]) -> tuple[int, int]:
    """Return how many members both begin with, and how many of the others both end with."""
    most = min(len(left), len(right))
    head = 0
    while head < most and left[head] == right[head]:
        head += 1
    tail = 0
    while tail < most - head and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    return head, tail


def _told(kind: Kind, parts: Sequence[str]) -> Iterator[Change]:
    if parts:
        yield Change(kind, "".join(parts))


def _joined(changes: Iterator[Change]) -> Iterator[Change]:
    """Yield *changes*, spaces between two of them as part of both: first what is removed, then what is added."""
    texts: dict[Kind, list[str]] = {"removed": [], "added": []}
    same: list[str] = []
    for change in changes:
        if change.kind == "same":
            same.append(change.text)
            continue
        if same and (not any(texts.values()) or any(each.strip() for each in same)):
            yield from _flushed(texts)
            yield Change("same", "".join(same))
        else:
            texts["removed"] += same
            texts["added"] += same
        same.clear()
        texts[change.kind].append(change.text)
    yield from _flushed(texts)
    if same:
        yield Change("same", "".join(same))


def _flushed(texts: dict[Kind, list[str]]) -> Iterator[Change]:
    for kind, parts in texts.items():
        if parts:
            yield Change(kind, "".join(parts))
            parts.clear()
