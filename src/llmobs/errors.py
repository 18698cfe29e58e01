"""
Every exception of llmobs.

.. code-block:: text

    LLMObsError
    ├── ConfigurationError (ValueError)      a setting is wrong; names it and the way out
    │   └── MissingExtraError (ImportError)  an optional package is not installed
    ├── StoreError                           the SQLite store cannot be used
    │   ├── StoreNotFoundError
    │   ├── StoreCorruptError
    │   └── StoreVersionError                written by a newer llmobs
    ├── SinkError                            a sink did not take a batch
    │   ├── SinkUnavailableError             try again (retriable)
    │   │   └── SinkMisconfiguredError       a wrong URL: say so, try again rarely
    │   ├── SinkUnauthorizedError            wrong key: stop, say so, try again rarely
    │   ├── SinkTooLargeError                split the batch
    │   └── SinkRejectedError                refused for good: the batch, or the events it names
    └── DeliveryError                        `send()` could not deliver an event
        └── DeliveryTimeoutError (TimeoutError)
"""

from collections.abc import Mapping
from typing import ClassVar

from llmobs.recorded.printable import one_line, redacted

__all__ = [
    "ConfigurationError",
    "DeliveryError",
    "DeliveryTimeoutError",
    "LLMObsError",
    "MissingExtraError",
    "SinkError",
    "SinkMisconfiguredError",
    "SinkRejectedError",
    "SinkTooLargeError",
    "SinkUnauthorizedError",
    "SinkUnavailableError",
    "StoreCorruptError",
    "StoreError",
    "StoreNotFoundError",
    "StoreVersionError",
]


class LLMObsError(Exception):
    """
    Base of all errors raised by llmobs.

    Args:
        message: What happened. It may hold words of a server, a broker or a file, and ends in logs
            and terminals: so it is redacted and made one printable line here, for all of them.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(redacted(str(message))))


class ConfigurationError(LLMObsError, ValueError):
    """A setting is missing or wrong; the message names the setting and what would be right."""


class MissingExtraError(ConfigurationError, ImportError):
    """
    An optional package is needed and not installed.

    Args:
        package: The distribution that is missing.
        extra: The extra of llmobs that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the package {package!r} is not installed; run: pip install 'llmobs[{extra}]'"
        )
        self.package = package
        self.extra = extra


class StoreError(LLMObsError):
    """The SQLite store cannot be used."""


class StoreNotFoundError(StoreError):
    """There is no store at this path yet."""


class StoreCorruptError(StoreError):
    """The file is not a SQLite database, or a damaged one."""


class StoreVersionError(StoreError):
    """The store was written by a newer llmobs than this one."""


class SinkError(LLMObsError):
    """
    A sink did not take a batch.

    Args:
        message: What happened, without secrets.
        retry_after: Seconds the sink asked us to wait before the next attempt, if it did.
    """

    retriable: ClassVar[bool] = False
    """Whether sending the same batch again can succeed."""
    reason: ClassVar[str] = "rejected"
    """The drop reason counted when the events of the batch are given up."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SinkUnavailableError(SinkError):
    """The sink is away, slow or overloaded (connection errors, timeouts, 408, 429, 5xx)."""

    retriable = True
    reason = "unavailable"


class SinkMisconfiguredError(SinkUnavailableError):
    """
    Something answers there, and it is not what this sink is for: a wrong URL. Retried rarely: only
    its owner can mend this.
    """


class SinkUnauthorizedError(SinkError):
    """The sink refuses our key. Retried rarely: only its owner can mend this."""

    retriable = True
    reason = "unauthorized"


class SinkTooLargeError(SinkError):
    """
    The batch is too large for the sink. It is split; an event too large alone is shortened.

    Args:
        message: What the sink said.
        limit: Bytes that the sink takes, if that is known.
    """

    reason = "too_large"

    def __init__(self, message: str, *, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class SinkRejectedError(SinkError):
    """
    The sink refuses the batch, or some of its events, for good.

    Args:
        message: What the sink said.
        events: Refused event ids with the sink's words for each; empty means the whole batch.
        delivered: Whether the sink kept the events it did not name (else they are sent again).
    """

    def __init__(
        self, message: str, *, events: Mapping[str, str] | None = None, delivered: bool = False
    ) -> None:
        super().__init__(message)
        self.events: Mapping[str, str] = {
            event_id: one_line(redacted(words)) for event_id, words in (events or {}).items()
        }
        self.delivered = delivered


class DeliveryError(LLMObsError):
    """An event handed to ``send()`` was not delivered; ``reason`` is the drop reason counted."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeliveryTimeoutError(DeliveryError, TimeoutError):
    """``send()`` did not see its event delivered in time; the event stays queued."""
