"""What an error is to whoever sent the request: a status, words, and when to come again."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.server.bodies import RefusedError
from llmobs.server.room import BusyError
from llmobs.viewer.feedback import FormError

__all__ = ["AWAY_SECONDS", "refusal_of"]

AWAY_SECONDS: Final = 5.0
"""When somebody who found no store may come again."""


def refusal_of(error: Exception) -> RefusedError:
    """Return the refusal that *error* amounts to; what is no error of ours is a 500 that says nothing."""
    if isinstance(error, RefusedError):
        # What it came through holds the body, and whoever answers holds it: neither would go before
        # the next collection of garbage, and who sends bombs is quicker.
        return error.with_traceback(None)
    if isinstance(error, FormError):
        return RefusedError(error.status, str(error), error.field)
    if isinstance(error, BusyError):
        return RefusedError(429, str(error), retry_after=error.retry_after)
    if isinstance(error, (StoreError, SinkUnavailableError)):
        # A file's name is nobody's business but the log's.
        return RefusedError(503, "the store cannot be used now", retry_after=AWAY_SECONDS)
    if isinstance(error, HTTPException):
        return RefusedError(error.status_code, error.detail)
    if isinstance(error, ClientDisconnect):
        return RefusedError(400, "the body ended early", "body")
    return RefusedError(500, "an error of the collector's own; its log says more")
