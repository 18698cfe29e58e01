"""Our loggers: whatever is said through them is redacted first."""

import logging

from llmobs.recorded.printable import quoted, redacted

__all__ = ["own_logger"]


def own_logger(name: str) -> logging.Logger:
    """Return the logger *name*, which is one of ours: what is logged with it leaves redacted."""
    logger = logging.getLogger(name)
    logger.addFilter(_redact)  # adding it twice changes nothing
    return logger


def _redact(record: logging.LogRecord) -> bool:
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or whose own code raises
        record.msg, record.args = (
            "llmobs: a log line could not be written: %s",
            (quoted(record.msg),),
        )
        return True
    clean = redacted(said)
    if clean != said:
        record.msg, record.args = clean, None
    if record.exc_info:
        text = logging.Formatter().formatException(record.exc_info)
        clean = redacted(text)
        if clean != text:  # the exception itself would tell those who ask it
            record.exc_info, record.exc_text = None, clean
    return True
