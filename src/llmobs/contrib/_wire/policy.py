"""What of a captured call is kept (``capture_content``)."""

from typing import Final

from llmobs.events import PromptCallEvent
from llmobs.pipeline.prepare import strip_content
from llmobs.redaction.redactor import Redactor

__all__ = ["apply_policy"]

_TEXTS: Final = ("prompt", "response", "tool_calls", "request_params", "response_metadata")


def apply_policy(event: PromptCallEvent, mode: str) -> None:
    """
    Take from *event* what *mode* does not allow to be kept.

    Args:
        event: A call as read from the wire.
        mode: ``full``, ``redacted`` (even where the client does not redact) or ``metadata``.
    """
    if mode == "metadata":
        strip_content(event)
    elif mode == "redacted":
        redactor = Redactor()
        for name in _TEXTS:
            setattr(event, name, redactor.value(getattr(event, name)))
        if event.error is not None:
            event.error.message = redactor.value(event.error.message)
            event.error.stack = redactor.value(event.error.stack)
