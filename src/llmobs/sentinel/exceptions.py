"""
The exceptions of the LLM Sentinel document.

Two shadow builtins, as the document has them; they are also these builtins, so that an ``except``
of either kind works.
"""

import builtins

__all__ = [
    "ConfigurationError",
    "ConnectionError",
    "SendError",
    "SentinelError",
    "TimeoutError",
    "ValidationError",
]


class SentinelError(Exception):
    """
    Base of all errors raised here.

    Args:
        message: What happened, and what to do about it.
        cause: The error behind it, if there is one.
    """

    def __init__(self, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause

    def __str__(self) -> str:
        return self.message if self.cause is None else f"{self.message} (caused by: {self.cause})"


class ConnectionError(SentinelError, builtins.ConnectionError):
    """No connection to Kafka."""


class ValidationError(SentinelError, ValueError):
    """An event is not one that Sentinel's server would take; names the field. Nothing was sent."""


class SendError(SentinelError):
    """An event was not delivered."""


class ConfigurationError(SentinelError):
    """A setting is wrong; names it."""


class TimeoutError(SentinelError, builtins.TimeoutError):
    """Not done in time. An event that was being sent stays queued and may still arrive."""
