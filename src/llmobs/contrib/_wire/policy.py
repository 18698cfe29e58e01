"""What of a captured call is kept (``capture_content``)."""

from llmobs.events import PromptCallEvent
from llmobs.redaction.events import EventRedactor
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.time_slices import finish

__all__ = ["apply_policy"]


def apply_policy(event: PromptCallEvent, mode: str) -> None:
    """
    Take from *event* what *mode* does not allow to be kept.

    Args:
        event: A call as read from the wire.
        mode: ``full``, ``redacted`` (even where the client does not redact) or ``metadata``.
    """
    if mode != "full":
        redactor = Redactor()
        # Identifiers are the client's to rename, by the same rule for all events of a run.
        finish(
            EventRedactor(
                redactor, redactor, identifiers=False, keep_content=mode != "metadata"
            ).steps(event)
        )
