"""Other people's words, fit for a log and a terminal: they may hold commands to it, line ends and secrets."""

from collections.abc import Callable

__all__ = ["one_line", "printable", "redact_with", "redacted"]


def printable(text: str) -> str:
    """Return *text* with a space for each character that does not print (controls, line ends, …)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str) -> str:
    """Return *text* as one line: only what prints, no more than one space in a row."""
    return " ".join(printable(text).split())


def redacted(text: str) -> str:
    """Return *text* as a log line or an error may hold it: redacted by the built-in rules."""
    try:
        return _redact(text)
    except Exception:  # noqa: BLE001 - it fails closed; and a process that ends cannot import any more
        return "[REDACTION_FAILED]"


def redact_with(function: Callable[[str], str]) -> None:
    """Let `redacted` call *function*. Redaction stands on a higher floor: the roof introduces it."""
    global _redact
    _redact = function


_redact: Callable[[str], str] = str
