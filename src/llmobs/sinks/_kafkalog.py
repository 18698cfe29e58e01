"""
What aiokafka logs about our connections: heard here instead of on the host's console.

While a cluster is away it logs several lines a second; and why a connection failed (a refused
password, a wrong certificate) it tells its log and nobody else. Lines from the host's own use of
aiokafka pass untouched: only those from our thread are ours.
"""

import logging
import threading
from typing import Final

__all__ = ["Overheard", "listen"]

_LOGGERS: Final = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)
_MAX_CHARS: Final = 300

logger = logging.getLogger("llmobs")


class Overheard:
    """The last trouble that aiokafka logged."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.message: str | None = None
        self.error: BaseException | None = None

    def note(self, record: logging.LogRecord) -> None:
        """Keep what *record* says, if it is a warning or worse."""
        if record.levelno < logging.WARNING:
            return  # among these, whole requests: a login's holds the password
        self.message = record.getMessage()[:_MAX_CHARS]
        arguments = record.args if isinstance(record.args, tuple) else ()
        for value in (*arguments, *(record.exc_info or ())):
            if isinstance(value, BaseException):
                self.error = value
        logger.debug("llmobs: kafka: %s", self.message)


class _Ear(logging.Filter):
    """Takes the lines of our threads out of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        overheard = _listening.get(threading.get_ident())
        if overheard is None:
            return True
        overheard.note(record)
        return False


_listening: dict[int, Overheard] = {}
_ear = _Ear()


def listen(thread: int, overheard: Overheard | None) -> None:
    """Hand what aiokafka logs in *thread* to *overheard*; None: the thread has ended."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_ear)  # adds it once
    if overheard is None:
        _listening.pop(thread, None)
    else:
        _listening[thread] = overheard
