"""Hostile characters made visible, figures made short. All times are UTC."""

import re
from collections.abc import Callable
from datetime import datetime
from math import isfinite
from typing import Final

__all__ = [
    "count",
    "escaped",
    "duration",
    "moment",
    "money",
    "one_line",
    "several",
    "short_id",
    "sum_of",
    "visible",
]

# Controls (C0 but line feed, DEL, C1: some terminals obey those too), line separators, marks and
# overrides of writing direction, letters and spaces that cannot be seen, tags, surrogates. Joiners
# are part of scripts and of emoji; beside ASCII they only hide.
_HOSTILE: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_SPACES: Final = re.compile(r"\s+")
_SHOWN_ID: Final = 8


def visible(text: str) -> str:
    r"""Return *text* with characters that command a terminal written out, as ``\x1b``; lines stay."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return escaped(text, lambda code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def escaped(text: str, write: Callable[[int], str]) -> str:
    """Return *text* with what *write* makes of each character that commands, misleads or hides."""
    return _HOSTILE.sub(lambda match: write(ord(match[0])), text)


def one_line(text: str, limit: int = 400) -> str:
    """Return the beginning of *text*, visible, as one line of at most *limit* characters."""
    # Only what can be shown is looked at: a prompt may have 20 MB.
    line = visible(_SPACES.sub(" ", text[: 4 * limit]).strip())
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"


def short_id(run_id: str) -> str:
    """Return enough of a run id to find it again: the end of a long one, after ``…``."""
    run_id = one_line(run_id)
    return run_id if len(run_id) <= _SHOWN_ID + 1 else f"…{run_id[-_SHOWN_ID:]}"


def moment(time: datetime) -> str:
    """Return a time as ``2026-11-21 14:03:22``."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def duration(milliseconds: float | None) -> str:
    """Return a duration as ``420 ms``, ``1.24 s``, ``2m 05s`` or ``3h 07m``; a dash for none."""
    if milliseconds is None or not isfinite(milliseconds):
        return "-"
    if round(milliseconds) < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    return f"{minutes // 60}h {minutes % 60:02}m"


def count(number: int | None) -> str:
    """Return a number as ``9,999``, ``12.3k`` or ``4.56M``; a question mark where it is not known."""
    if number is None:
        return "?"
    if abs(number) < 10_000:
        return f"{number:,}"
    if abs(number) < 999_950:
        return f"{number / 1000:.1f}k"
    return f"{number / 1_000_000:.2f}M"


def several(number: int, noun: str) -> str:
    """Return ``1 run`` or ``1,204 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sum_of(number: int, unknown: int) -> str:
    """Return a sum as `count` does, to which *unknown* more numbers belong that nobody knows."""
    if not unknown:
        return count(number)
    return f"≥{count(number)}" if number else "?"


def money(usd: float | None, unpriced: int = 0) -> str:
    """
    Return US dollars, with more digits for less money; a dash if nothing was to be paid for.

    Args:
        usd: The known costs; None if none is known.
        unpriced: Calls whose cost is not known: the sum is then marked as at least this much.
    """
    if usd is None:
        return "unknown" if unpriced else "-"
    digits = 6 if abs(usd) < 0.01 else 4 if abs(usd) < 1 else 2
    return f"{'≥' if unpriced else ''}${usd:,.{digits}f}"
