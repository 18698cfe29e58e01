"""Errors in the exact shape of each provider, as status, headers and JSON body.

Shapes: the OpenAI API reference ("error codes"), Azure OpenAI's REST reference, Anthropic's "errors"
page, where 529 means overloaded, Google's error model (google.rpc.Status), the errors of botocore's
model of Bedrock Runtime, and what the SDKs of the others read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .conversation import Json


class Dialect(Enum):
    """Whose words a response is written in."""

    OPENAI = "openai"
    AZURE = "azure"
    ANTHROPIC = "anthropic"
    COHERE = "cohere"
    GOOGLE = "google"
    OLLAMA = "ollama"
    MISTRAL = "mistral"
    BEDROCK = "bedrock"
    HUGGINGFACE = "huggingface"
    JINA = "jina"
    VOYAGE = "voyage"


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
        return _BODIES.get(dialect, _openai)(self, _KNOWN[self.status], request_id)

    def headers(self, dialect: Dialect, retry_after: float) -> dict[str, str]:
        """What a client needs to retry well; `retry_after` is in seconds."""
        headers: dict[str, str] = {}
        if self.status == 429:
            headers["retry-after"] = f"{retry_after:g}"
        if dialect is Dialect.ANTHROPIC:
            headers["x-should-retry"] = (
                "true" if self.status in (408, 409, 429) or self.status >= 500 else "false"
            )
        if dialect is Dialect.BEDROCK:
            kind = _AWS_TYPES.get(self.status, "InternalServerException")
            headers["x-amzn-errortype"] = f"{kind}:http://internal.amazon.com/coral/"
        return headers


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_AWS_TYPES = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    409: "ConflictException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


def _openai(error: WireError, known: _Known, request_id: str) -> Json:
    told = {"message": error.message, "type": known.openai_type}
    return {"error": {**told, "param": error.param, "code": error.code}}


def _azure(error: WireError, known: _Known, request_id: str) -> Json:
    return {"error": {"code": error.code or str(error.status), "message": error.message}}


def _anthropic(error: WireError, known: _Known, request_id: str) -> Json:
    told = {"type": known.anthropic_type, "message": error.message}
    return {"type": "error", "error": told, "request_id": request_id}


def _google(error: WireError, known: _Known, request_id: str) -> Json:
    status = _GOOGLE_STATUSES.get(error.status, "INTERNAL")
    return {"error": {"code": error.status, "message": error.message, "status": status}}


def _mistral(error: WireError, known: _Known, request_id: str) -> Json:
    told = {"object": "error", "message": error.message, "type": known.openai_type}
    return {
        **told,
        "param": error.param,
        "code": str(error.status),
        "raw_status_code": error.status,
    }


_BODIES: dict[Dialect, Callable[[WireError, _Known, str], Json]] = {
    Dialect.AZURE: _azure,
    Dialect.ANTHROPIC: _anthropic,
    Dialect.COHERE: lambda error, known, request_id: {"id": request_id, "message": error.message},
    Dialect.GOOGLE: _google,
    Dialect.OLLAMA: lambda error, known, request_id: {"error": error.message},
    Dialect.MISTRAL: _mistral,
    Dialect.BEDROCK: lambda error, known, request_id: {"message": error.message},
    Dialect.HUGGINGFACE: lambda error, known, request_id: {
        "error": error.message,
        "error_type": "generation",
    },
    Dialect.JINA: lambda error, known, request_id: {"detail": error.message},
    Dialect.VOYAGE: lambda error, known, request_id: {"detail": error.message},
}
"""By dialect; the others speak as OpenAI does."""
