"""
Tells whether a text may hold anything sensitive, in a small part of the time that a search takes.

That is the work of automata (`llmobs.redaction.automata`) for all kinds at once. They say whether, and
not where; so where something may be, `llmobs.redaction.scan` searches.

There are two tiers. Of prose nearly all is told by the first: patterns that begin or end with a few
characters or words, which are found as fast as memory is read. The second is one automaton that knows
how each key begins and each name is written; it reads code, JSON and logs, which are full of what looks
like them.

The patterns are made of the finders' own tables, and match wherever one of them finds anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from llmobs.redaction.automata import automaton
from llmobs.redaction.names import LAST_WORDS, SECRET_NAMES, WHOLE_WORDS
from llmobs.redaction.numbers import IBAN_COUNTRIES
from llmobs.redaction.rules import CLASSES, TOKEN_RULES

__all__ = ["AHEAD", "BEHIND", "Hint", "hint_in", "may_have_hint"]

BEHIND: Final = 128
"""Characters before a window in which a hint of what is in it may begin: a long name."""
AHEAD: Final = 64
"""And behind it, where one may end."""
_LONG: Final = 8
"""Characters of a key that are enough of a hint behind the way it begins."""
_OF_KEYS: Final = "[0-9A-Za-z_.~+/=-]"
_JOINTS: Final = frozenset("-_.~")
_UNKNOWN: Final = r"\?"
"""What stands for a character that is not ASCII: the automata read no others."""


def _literally(text: str) -> str:
    return "".join(re.escape(char) if char.isascii() else _UNKNOWN for char in text)


def _shortest(words: Iterable[str]) -> list[str]:
    """Return *words* but for those that end with another one."""
    unlike = dict.fromkeys(words)
    return [w for w in unlike if not any(w != v and w.endswith(v) for v in unlike)]


# --- keys ---------------------------------------------------------------------------------------


def _keys() -> Iterable[str]:
    """Yield what keys begin with, and some of what follows."""
    prefixes: dict[tuple[str, int], list[str]] = {}
    for rule in TOKEN_RULES:
        prefixes.setdefault((rule.chars, min(rule.least, _LONG)), []).append(rule.prefix)
    for (chars, least), texts in prefixes.items():
        yield rf"(?:{'|'.join(map(re.escape, texts))}){CLASSES[chars]}{{{least}}}"
    yield r"eyJ[0-9A-Za-z_.-]{8}"
    yield r"B(?i-u:earer) [0-9A-Za-z._~+/= -]{6}|B(?i-u:asic) [0-9A-Za-z+/_ -]{8}"
    yield "-[- ]BEGIN |PuTTY-User-Key-File-"
    yield r"[0-9a-f]{2}-us[0-9]|[0-9]:A[0-9A-Za-z_-]{8}|dapi[0-9a-f]{8}|SCW[0-9A-Z]{8}"
    yield r"\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{8}|pat[0-9A-Za-z]{14}\."
    yield r"\.(?:slack\.com/[sw]|com/api/webhooks/|office\.com/webhook)"
    yield r"[0-9]Q~[0-9A-Za-z_~.-]{8}|sha256~[0-9A-Za-z_-]{8}"


def _signs_of_keys() -> Iterable[str]:
    """Yield what is in all of these, and little else."""
    yield rf"[-_~]{_OF_KEYS}{{8}}"
    yield rf"\.{_OF_KEYS}{{8}}"
    words = [rule.prefix for rule in TOKEN_RULES if not _JOINTS.intersection(rule.prefix)]
    yield rf"(?:{'|'.join(words)}){_OF_KEYS}{{8}}"
    yield r"(?:eyJ|SCW|dapi)[0-9A-Za-z]{8}|B(?i-u:earer|asic) |BEGIN |:A[0-9A-Za-z_-]{8}|-us[0-9]"


# --- names, and at signs written in another way -------------------------------------------------

_ESCAPE: Final = r"(?:\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}|&#[0-9xX][0-9A-Fa-f]{0,6};)"
_BETWEEN: Final = r"[\])]?\\*[\"'`]?[ \t]*(?: (?i-u:value))?"
"""What may stand between a name and its sign."""
_LOOSE: Final = "(?i-u:token|auth)"
_ARGUMENTS: Final = r" -(?:[uPa] |p.)|--user "


def _ends_of(names: Iterable[str]) -> str:
    """Return what matches how *names* end: the last word, and the letter before, if any; blanks may join them."""
    letters: dict[str, set[str]] = {}
    for name in names:
        if last := [word for word in LAST_WORDS if name.endswith(word)]:
            word = min(last, key=len)
            before = _literally(name.removesuffix(word)[-1:])
            letters.setdefault(_literally(word), set()).add(before)
    return "|".join(
        word if "" in before else f"[{''.join(sorted(before))}][-_. ]*{word}"
        for word, before in sorted(letters.items())
    )


_SECRET: Final = f"(?i-u:{_ends_of((*SECRET_NAMES, *WHOLE_WORDS))})"


def _names() -> Iterable[str]:
    """Yield names with what stands between them and their values."""
    yield rf"{_SECRET}{_BETWEEN}[:=>]|--[0-9A-Za-z_-]*{_SECRET} "
    yield rf"{_LOOSE}{_BETWEEN}(?:[:=>]{{1,2}}[ \t]*[bruf]*\\*[\"'`]?{_OF_KEYS}{{16}}|:[ \t]+[|>])"
    yield rf"[?&]{_LOOSE}="
    # Any letter of a name may be escaped.
    last = "|".join(map(_literally, _shortest(LAST_WORDS)))
    yield rf"{_ESCAPE}[0-9A-Za-z_.~?-]*(?: [0-9A-Za-z_?]*(?i-u:{last}))?{_BETWEEN}[:=>]"
    yield rf"assword is|{_ARGUMENTS}"
    yield r"\[at\]|%(?:25)*40|\\u(?:0040|[fF][fF]20|[fF][eE]6[bB])|&(?:#0*64|#[xX]0*40|commat);"


def _signs_of_names() -> Iterable[str]:
    """Yield what is in those of them that are more than a name and a sign, and little else."""
    yield rf"assword is|{_ARGUMENTS}|--[A-Za-z]"
    yield r"%[2-7]|\\u|&#|&commat|\[at\]"


def _up_to_signs(names: str) -> Iterable[str]:
    """
    Yield *names* with what follows, up to each of the signs.

    As nothing rare begins these patterns, an automaton looks for what ends them and reads back from
    there: for that it has to be one character, and no set of them.
    """
    for sign in ":=>":
        yield rf"[a-z]?(?:{names}){_BETWEEN}{sign}"


# --- numbers ------------------------------------------------------------------------------------


def _numbers() -> Iterable[str]:
    """Yield what social security numbers and account numbers begin with."""
    yield r"[0-9]{3}(?:-[0-9]{2}-| [0-9]{2} )[0-9]{4}|(?i-u:ssn|soci).{0,48}[0-9]{9}"
    yield (
        rf"(?:^|[^0-9A-Za-z]|\\[bfnrt]|\\u[0-9A-Fa-f]{{4}})(?i-u:{'|'.join(IBAN_COUNTRIES)})[0-9]{{2}}"
        r"(?:[0-9A-Za-z]{11}|(?:[ -][0-9A-Za-z]{4}){2})"
    )


_CARDS: Final = (
    r"[2-689][0-9]{3}(?:[0-9]{8}|[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]|[ -][0-9]{6}[ -][0-9]{4}"
    r"|(?:\.[0-9]{4}){3})|1800[0-9]{11}"
)
"""Payment cards. Beside all the others, their digits would make too many states."""
_DIGITS: Final = (
    r"[0-9]{2}(?:[0-9A-Za-z]{7}|(?:[ -][0-9A-Za-z]{4}){2}|[0-9]{0,2}[ .-][0-9]{2,6}[ .-][0-9])"
)
"""What is in all numbers, and little else."""


# --- all of them --------------------------------------------------------------------------------


_FIRST: Final = tuple(
    map(automaton, (*_signs_of_keys(), *_signs_of_names(), *_up_to_signs(f"{_SECRET}|{_LOOSE}")))
)
_OF_OTHERS: Final = tuple(map(automaton, _up_to_signs(_UNKNOWN)))
_of_digits: Final = automaton(_DIGITS)
_of_cards: Final = automaton(_CARDS)
_of_all_else: Final = automaton(*_keys(), *_names(), *_numbers())


Hint = Literal["a number", "anything"]
"""What there may be, but for what an "@" hints at; a number is a card's, an account's or a person's."""


def may_have_hint(text: str) -> Hint | None:
    """Return the most that `hint_in` may tell of *text*: in prose, this is quickly said."""
    readable = _readable(text)
    for is_in in _FIRST if isinstance(readable, str) else (*_FIRST, *_OF_OTHERS):
        if is_in(readable):
            return "anything"
    return "a number" if _of_digits(readable) else None


def hint_in(text: str) -> Hint | None:
    """
    Return what there may be in *text*, if anything.

    What is made to take long takes a microsecond a character.
    """
    readable = _readable(text)
    if _of_all_else(readable):
        return "anything"
    return "a number" if _of_cards(readable) else None


def _readable(text: str) -> str | bytes:
    return text if text.isascii() else text.encode("ascii", "replace")
