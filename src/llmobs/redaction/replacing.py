"""What is put in place of a match: a word for its kind, a number, a hash, its last digits, nothing."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final, Literal, get_args

from llmobs.redaction.kinds import placeholder
from llmobs.runtime.forks import ForkLock

__all__ = ["ACTIONS", "FAILED", "Action", "Replace", "replacer"]

FAILED: Final = "[REDACTION_FAILED]"
"""What stands in place of a value that could not be redacted."""

Action = Literal["plain", "numbered", "hashed", "last4", "drop"]
"""
``plain``: ``[REDACTED_EMAIL]``; ``numbered``: ``[EMAIL_1]``, the same value the same number within a
process; ``hashed``: ``[EMAIL_5d41402abc4b]``, the same value the same hash wherever the key is the
same; ``last4``: of cards, accounts and phone numbers ``[REDACTED_CC_1111]``, else ``plain``;
``drop``: nothing.
"""
ACTIONS: Final = get_args(Action)
Replace = Callable[[str, str, str], str]
"""Returns what stands in place of a match, given its kind, its rule and its text."""

_REMEMBERED: Final = 10_000
"""Values that have a number at a time; beyond, the one numbered first is forgotten."""
_WITH_LAST_DIGITS: Final = frozenset({"card", "iban", "phone"})


def replacer(action: Action, key: str = "") -> Replace:
    """
    Return what replaces matches.

    Args:
        action: What to put in their place.
        key: The secret of ``hashed``: whoever knows it can try out values.
    """
    if action == "numbered":
        return _Numbered()
    if action == "hashed":
        return _Hashed(key)
    if action == "last4":
        return _last4
    return _drop if action == "drop" else _plain


def _plain(kind: str, rule: str, value: str) -> str:
    return placeholder(kind, rule)


def _drop(kind: str, rule: str, value: str) -> str:
    return ""


def _last4(kind: str, rule: str, value: str) -> str:
    plain = placeholder(kind, rule)
    return f"{plain[:-1]}_{value[-4:]}]" if kind in _WITH_LAST_DIGITS else plain


def _label(kind: str, rule: str) -> str:
    return placeholder(kind, rule).removeprefix("[REDACTED_").strip("[]")


def _digest(key: bytes, value: str) -> bytes:
    return hmac.digest(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256)


class _Numbered:
    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._last: dict[str, int] = {}
        self._lock = (
            ForkLock()
        )  # what is said, and what others redact, is redacted in other threads

    def __call__(self, kind: str, rule: str, value: str) -> str:
        label = _label(kind, rule)
        known = _digest(label.encode(), value)  # the value itself is not kept
        with self._lock:
            number = self._numbers.get(known)
            if number is None:
                number = self._last[label] = self._last.get(label, 0) + 1
                if len(self._numbers) >= _REMEMBERED:
                    del self._numbers[next(iter(self._numbers))]
                self._numbers[known] = number
        return f"[{label}_{number}]"


class _Hashed:
    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def __call__(self, kind: str, rule: str, value: str) -> str:
        return f"[{_label(kind, rule)}_{_digest(self._key, value).hex()[:12]}]"
