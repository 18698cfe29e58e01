"""
What differs between two texts, word by word.

Comparing is quadratic for texts made to be hard to compare; so what two texts begin and end with alike
is set aside first, lines are compared before words, and what is still long is told as wholly another.
"""

import re
from collections.abc import Callable, Iterator, Sequence
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
    """The words."""


def differences(left: str, right: str) -> list[Change]:
    """
    Return what both texts are made of, in order.

    Without what is added it is *left*, without what is removed it is *right*.
    """
    return list(_joined(_by_line(left, right)))


def _by_line(left: str, right: str) -> Iterator[Change]:
    return _by_part(_LINES.findall(left), _LINES.findall(right), LINES, _by_word)


def _by_word(left: str, right: str) -> Iterator[Change]:
    return _by_part(_WORDS.findall(left), _WORDS.findall(right), WORDS, _replaced)


def _replaced(left: str, right: str) -> Iterator[Change]:
    yield from _unless_empty("removed", left)
    yield from _unless_empty("added", right)


def _by_part(
    left: Sequence[str],
    right: Sequence[str],
    most: int,
    within: Callable[[str, str], Iterator[Change]],
) -> Iterator[Change]:
    """Compare part by part, if there are no more than *most*, and what is in parts that differ by *within*."""
    head, tail = _alike(left, right)
    yield from _unless_empty("same", "".join(left[:head]))
    mine, theirs = left[head : len(left) - tail], right[head : len(right) - tail]
    if max(len(mine), len(theirs)) > most:
        yield from _replaced("".join(mine), "".join(theirs))
    else:
        for how, a, b, c, d in SequenceMatcher(None, mine, theirs).get_opcodes():
            if how == "equal":
                yield from _unless_empty("same", "".join(mine[a:b]))
            else:
                yield from within("".join(mine[a:b]), "".join(theirs[c:d]))
    yield from _unless_empty("same", "".join(left[len(left) - tail :]))


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


def _unless_empty(kind: Kind, text: str) -> Iterator[Change]:
    if text:
        yield Change(kind, text)


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
