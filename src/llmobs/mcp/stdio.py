"""The protocol over the standard streams: a message a line."""

from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import msgspec

from llmobs.codec import encode
from llmobs.mcp.protocol import INTERNAL, INVALID, PARSE, Message, answered, refused
from llmobs.mcp.tools import Tools
from llmobs.runtime.troubles import Troubles

__all__ = ["speak"]

MAX_LINE: Final = 1_000_000
"""Bytes of a message: ours are short."""

_troubles = Troubles()


def speak(said: BinaryIO, answers: BinaryIO, tools: Tools) -> None:
    """
    Answer until nothing more is said.

    Args:
        said: Where messages come from.
        answers: Where answers go; nothing else may be written there.
        tools: Those there are.
    """
    reply: Mapping[str, Any] | None
    while line := said.readline(MAX_LINE):
        if not line.endswith(b"\n") and len(line) == MAX_LINE:
            while (rest := said.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            reply = refused(None, INVALID, f"a message is no longer than {MAX_LINE:,} bytes")
        elif not line.strip():
            continue
        else:
            reply = _reply(line, tools)
        if reply is not None:
            answers.write(encode(reply) + b"\n")
            answers.flush()


def _reply(line: bytes, tools: Tools) -> Mapping[str, Any] | None:
    try:
        message = msgspec.json.decode(line, type=Message)
    except msgspec.ValidationError as error:
        return refused(None, INVALID, f"this is no message of JSON-RPC: {error}")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return refused(None, PARSE, "this is not JSON")
    try:
        return answered(message, tools)
    except Exception as error:  # noqa: BLE001 - one question must not end the conversation
        _troubles.log("mcp", "llmobs: a question failed: %s", type(error).__name__)
        return refused(message.id, INTERNAL, "this question failed; the log says more")
