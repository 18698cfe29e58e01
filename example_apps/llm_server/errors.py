"""Errors in the exact shape of each provider, as status, headers and JSON body.

Shapes: the OpenAI API reference ("error codes"), Azure OpenAI's REST reference, and Anthropic's
"errors" page, where 529 means overloaded.
"""

from dataclasses import dataclass
from enum import Enum

from .conversation import Json


class Dialect(Enum):
    """Whose words a response is written in."""

    OPENAI = "openai"
    AZURE = "azure"
    ANTHROPIC = "anthropic"
    COHERE = "cohere"


@dataclass(frozen=True, slots=True)
class _Known:
    message: str
    openai_type: str
    anthropic_type: str
    code: str | None = None
    param: str | None = None


_INVALID = "invalid_request_error"
_KNOWN = {
    400: _Known(
        "This model's maximum context length is 128000 tokens. Please shorten the messages.",
        _INVALID,
        _INVALID,
        "context_length_exceeded",
        "messages",
    ),
    401: _Known("Incorrect API key provided.", _INVALID, "authentication_error", "invalid_api_key"),
    403: _Known("This key may not use this resource.", _INVALID, "permission_error"),
    404: _Known(
        "The requested resource does not exist.", _INVALID, "not_found_error", "model_not_found"
    ),
    408: _Known("The request timed out.", "timeout", "timeout_error"),
    409: _Known("The request conflicts with another one.", _INVALID, _INVALID),
    413: _Known("The request exceeds the maximum size.", _INVALID, "request_too_large"),
    422: _Known("The request could not be processed.", _INVALID, _INVALID),
    429: _Known(
        "Rate limit reached on requests per min (RPM): Limit 500, Used 500, Requested 1.",
        "requests",
        "rate_limit_error",
        "rate_limit_exceeded",
    ),
    500: _Known(
        "The server had an error while processing your request.", "server_error", "api_error"
    ),
    502: _Known("Bad gateway.", "server_error", "api_error"),
    503: _Known(
        "The engine is currently overloaded, please try again later.", "server_error", "api_error"
    ),
    504: _Known("The request timed out.", "server_error", "timeout_error"),
    529: _Known("Overloaded", "server_error", "overloaded_error"),
}
STATUSES = frozenset(_KNOWN)
"""The HTTP statuses that can be asked for as a fault."""


class WireError(Exception):
    """A request that is answered with an error of the provider's own shape.

    `message`, `param` and `code` default to the provider's usual words for `status`.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        known = _KNOWN[status]
        super().__init__(message or known.message)
        self.status = status
        self.message = message or known.message
        self.param = param if message else known.param
        self.code = code if message else known.code

    def body(self, dialect: Dialect, request_id: str) -> Json:
        """The JSON body, as `dialect` writes it."""
        known = _KNOWN[self.status]
        if dialect is Dialect.ANTHROPIC:
            error = {"type": known.anthropic_type, "message": self.message}
            return {"type": "error", "error": error, "request_id": request_id}
        if dialect is Dialect.COHERE:
            return {"id": request_id, "message": self.message}
        if dialect is Dialect.AZURE:
            return {"error": {"code": self.code or str(self.status), "message": self.message}}
        kind = known.openai_type
        return {
            "error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        }

    def headers(self, dialect: Dialect, retry_after: float) -> dict[str, str]:
        """What a client needs to retry well; `retry_after` is in seconds."""
        headers: dict[str, str] = {}
        if self.status == 429:
            headers["retry-after"] = f"{retry_after:g}"
        if dialect is Dialect.ANTHROPIC:
            headers["x-should-retry"] = (
                "true" if self.status in (408, 409, 429) or self.status >= 500 else "false"
            )
        return headers
