"""Questions that the model server answers in a known way, for the rows of all SDKs."""

import contextlib
import importlib
from typing import Any

QUESTION = "Explain queues"
ONE_CITY = "What is the weather in Paris?"
TWO_CITIES = "What is the weather in Paris and Rome?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LONG = [
    {"role": "user", "content": "Explain queues. " * 700},
    {"role": "assistant", "content": "They queue."},
    {"role": "user", "content": "More, please"},
]


def sdk(module: str) -> Any:
    """Return a module of the SDK, which is not there where the tests are read, and untyped for that."""
    return importlib.import_module(module)


def says(text: str) -> list[dict[str, str]]:
    """Return the one message of a user."""
    return [{"role": "user", "content": text}]


def first_of(stream: Any) -> Any:
    """Return the first piece of a stream, and leave."""
    with contextlib.closing(stream):
        return next(iter(stream))
