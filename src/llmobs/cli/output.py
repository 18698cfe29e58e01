"""The way out: consoles that interpret nothing, JSON that no terminal obeys, complaints."""

import os
import re
import sys
from enum import IntEnum
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from llmobs.cli.text import visible
from llmobs.codec import encode

__all__ = ["ExitCode", "abandon_stdout", "complain", "console", "notes", "write_json", "write_line"]


class ExitCode(IntEnum):
    """What the command says to scripts; 0 is success, 2 a wrong command line."""

    FAILED = 1
    """The store is damaged, from a newer llmobs, or cannot be read; a file cannot be written."""
    NO_STORE = 3
    """There is no store yet."""
    NO_SUCH_RUN = 4
    """No run has this id, or several have."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # to the one place that deals with it


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output: no markup, no emoji codes, colours on terminals only."""
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def notes() -> Console:
    """Return a console on standard error, for what is not the answer: progress, remarks."""
    return console(stderr=True)


def complain(message: str, *details: str) -> None:
    """Say on standard error what went wrong, details on lines of their own."""
    lines = [f"llmobs: {visible(message)}", *(f"  {visible(line)}" for line in details)]
    notes().print(Text("\n".join(lines)), soft_wrap=True)


# JSON escapes C0 controls by itself; these are legal in its strings, and some terminals obey them.
_LEGAL_BUT_HOSTILE: Final = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def write_json(value: Any, *, indent: bool = True) -> None:
    """Write *value* as JSON on standard output: indented, or on one line."""
    data = encode(value)
    write_line((msgspec.json.format(data, indent=2) if indent else data).decode())


def write_line(json: str) -> None:
    """Write JSON text on standard output, with characters that command a terminal escaped."""
    sys.stdout.write(tame_json(json) + "\n")


def tame_json(json: str) -> str:
    """Return the same JSON value with characters that command a terminal as ``\\u`` escapes."""
    return _LEGAL_BUT_HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", json)


def abandon_stdout() -> None:
    """Let the interpreter's last flush of standard output go nowhere instead of complaining."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
