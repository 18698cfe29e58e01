"""
Record what clients of the ``openai`` package do: one line, no call site touched.

::

    from llmobs.contrib.openai import instrument

    client = instrument(OpenAI())

Works with ``OpenAI``, ``AsyncOpenAI``, their Azure and Bedrock flavours, and any base URL that speaks
the same wire (vLLM, Ollama, Mistral, Groq, ...). No method that sends is patched: the HTTP client of each gets a
transport (`llmobs.contrib.httpx`); without a client, the `__init__` of the SDK's base class is wrapped.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from llmobs.client.async_client import Recording
from llmobs.contrib._sdk import Sdk
from llmobs.contrib._wire.call import CaptureContent

__all__ = ["instrument", "uninstrument"]

C = TypeVar("C")

_sdk = Sdk("openai")


@overload
def instrument(
    client: C,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> C: ...


@overload
def instrument(
    client: None = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> None: ...


def instrument(
    client: Any = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> Any:
    """
    Record the model calls of *client*, and return it; without one, those of clients made later.

    Twice is harmless; the options of the last time hold. Copies made by ``with_options`` share the
    HTTP client and are recorded too. Calls belong to the current run, else to one of their own.

    Args:
        client: A client of the ``openai`` package; None covers all that are made from now on.
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.
        include_usage: Ask chat completions for the usage of streams that did not ask for it (they
            tell their tokens only then), and keep the extra chunk from the caller.

    Raises:
        TypeError: *client* is no client of the ``openai`` package.
        ValueError: *capture_content* is none of the three.
        ImportError: No client was given, and ``openai`` is not installed.
    """
    options: dict[str, Any] = {
        "llmobs_client": llmobs_client,
        "capture_content": capture_content,
        "include_usage": include_usage,
    }
    if client is not None:
        return _sdk.instrument(client, **options)
    import openai

    _sdk.instrument_later((openai.OpenAI, openai.AsyncOpenAI), **options)
    return None


def uninstrument(client: Any = None) -> None:
    """Undo :func:`instrument`, for *client* or, without one, for clients made later and since."""
    _sdk.uninstrument(client)
