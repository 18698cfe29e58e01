"""Other people's words, fit for a log and a terminal: they may hold commands to it, line ends and secrets."""

from collections.abc import Callable
from typing import Final

__all__ = ["brief", "one_line", "printable", "quoted", "redact_with", "redacted"]

_LOOKED_AT: Final = 8_192
"""Characters that are redacted to show a few hundred of them: no secret that is known to be one is longer."""


def printable(text: str) -> str:
    """Return *text* with a space for each character that does not print (controls, line ends, …)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str) -> str:
    """Return *text* as one line: only what prints, no more than one space in a row."""
    return " ".join(printable(text).split())


def redacted(text: str) -> str:
    """
    Return *text* as a log line or an error may hold it: redacted by the built-in rules, and by those of
    every client there is.
    """
    try:
        return _redact(text)
    except Exception:  # noqa: BLE001 - it fails closed; and a process that ends cannot import any more
        return "[REDACTION_FAILED]"


def brief(text: str, limit: int) -> str:
    """
    Return *text* as one redacted line of at most *limit* characters.

    Redacted first: half a secret is none that redaction finds.
    """
    line = one_line(redacted(text[: limit + _LOOKED_AT]))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def quoted(value: object, limit: int = 80) -> str:
    """Return how *value*, which was wrong, is shown to whom it belongs: its ``repr``, as `brief`. Never raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - code of others, in a log line of ours
        text = f"<{type(value).__name__}>"
    return brief(text, limit)


def redact_with(function: Callable[[str], str]) -> None:
    """Let `redacted` call *function*. Redaction stands on a higher floor: the roof introduces it."""
    global _redact
    _redact = function


_redact: Callable[[str], str] = str
