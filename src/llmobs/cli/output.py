"""The way out: consoles that interpret nothing, JSON that no terminal obeys, complaints."""

import os
import sys
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from llmobs.describe.words import escaped, visible

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "UNCUT",
    "ExitCode",
    "abandon_stdout",
    "complain",
    "console",
    "notes",
    "tame_json",
    "write_json",
    "write_line",
]


class ExitCode(IntEnum):
    """What the command says to scripts; 0 is success, 2 a wrong command line."""

    FAILED = 1
    """The store is damaged, from a newer llmobs, or cannot be read; a file cannot be written."""
    NO_STORE = 3
    """There is no store yet."""
    NO_SUCH_RUN = 4
    """No run has this id, or several have."""
    FOUND = 5
    """`llmobs scan` found something, and it is still there."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


UNCUT: Final = 100_000
"""Columns of what is no terminal: who reads a pipe wants lines as long as they are."""


def console(*, stderr: bool = False) -> "Console":
    """
    Return a console on standard output: no markup, no emoji codes, colours on terminals only.

    ``COLUMNS`` says how wide it is; else the terminal does, and into a pipe nothing is cut.
    """
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise  # to the one place that deals with it

    out = Quiet(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = UNCUT
    return out


def notes() -> "Console":
    """Return a console on standard error, for what is not the answer: progress, remarks."""
    return console(stderr=True)


def complain(message: str, *details: str) -> None:
    """Say on standard error what went wrong, details on lines of their own."""
    lines = [f"llmobs: {visible(message)}", *(f"  {visible(line)}" for line in details)]
    sys.stderr.write("\n".join(lines) + "\n")


def write_json(value: Any, *, indent: bool = True) -> None:
    """Write *value* as JSON on standard output: indented, or on one line."""
    import msgspec

    from llmobs.codec import encode

    data = encode(value)
    write_line((msgspec.json.format(data, indent=2) if indent else data).decode())


def write_line(json: str) -> None:
    """Write JSON text on standard output, with characters that command a terminal escaped."""
    sys.stdout.write(tame_json(json) + "\n")


def tame_json(json: str) -> str:
    """Return the same JSON value with characters that command or hide as ``\\u`` escapes."""
    # They stand inside of strings only: outside, JSON has nothing but ASCII.
    return escaped(json, _as_json)


def _as_json(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def abandon_stdout() -> None:
    """Let the interpreter's last flush of standard output go nowhere instead of complaining."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
