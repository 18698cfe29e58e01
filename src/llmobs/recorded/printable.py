"""Other people's words, fit for a log and a terminal: they may hold commands to it, and line ends."""

__all__ = ["one_line", "printable"]


def printable(text: str) -> str:
    """Return *text* with a space for each character that does not print (controls, line ends, …)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str) -> str:
    """Return *text* as one line: only what prints, no more than one space in a row."""
    return " ".join(printable(text).split())
