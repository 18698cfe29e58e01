"""
What llmobs says of itself (log lines, messages of its exceptions, ``repr``), redacted.

It belongs to the process and not to one client: so whatever any client of the process looks for goes,
and beyond it what the built-in rules find, whatever a client switches off or lets pass.
"""

from __future__ import annotations

import weakref

from llmobs.redaction.redactor import Redactor, redact_text
from llmobs.runtime.forks import ForkLock

__all__ = ["follow", "redact_said"]

_lock = ForkLock()
_followed: tuple[weakref.ref[Redactor], ...] = ()


def follow(redactor: Redactor) -> None:
    """Redact what is said by the rules of *redactor*, too, as long as anybody has it."""
    global _followed
    with _lock:
        alive = (ref for ref in _followed if ref() not in (None, redactor))
        _followed = (*alive, weakref.ref(redactor))


def redact_said(text: str) -> str:
    """Return *text* as anybody may read it."""
    for ref in _followed:
        if (redactor := ref()) is not None:
            text = redactor.value(text)
    return redact_text(text)
