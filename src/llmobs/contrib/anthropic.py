"""
Record what clients of the ``anthropic`` package do: one line, no call site touched.

::

    from llmobs.contrib.anthropic import instrument

    client = instrument(Anthropic())

Works with ``Anthropic``, ``AsyncAnthropic`` and their Bedrock, Vertex, AWS, Google Cloud and Foundry
flavours. No method that sends is patched: the HTTP client of each gets a transport
(`llmobs.contrib.httpx`); without a client, the `__init__` of the SDK's base class is wrapped.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from llmobs.client.async_client import Recording
from llmobs.contrib._sdk import Sdk
from llmobs.contrib._wire.call import CaptureContent

__all__ = ["instrument", "uninstrument"]

C = TypeVar("C")

_sdk = Sdk("anthropic")


@overload
def instrument(
    client: C,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
) -> C: ...


@overload
def instrument(
    client: None = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
) -> None: ...


def instrument(
    client: Any = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
) -> Any:
    """
    Record the model calls of *client*, and return it; without one, those of clients made later.

    Twice is harmless; the options of the last time hold. Copies made by ``with_options`` share the
    HTTP client and are recorded too. Calls belong to the current run, else to one of their own.

    Args:
        client: A client of the ``anthropic`` package; None covers all that are made from now on.
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.

    Raises:
        TypeError: *client* is no client of the ``anthropic`` package.
        ValueError: *capture_content* is none of the three.
        ImportError: No client was given, and ``anthropic`` is not installed.
    """
    options: dict[str, Any] = {
        "llmobs_client": llmobs_client,
        "capture_content": capture_content,
    }
    if client is not None:
        return _sdk.instrument(client, **options)
    import anthropic

    _sdk.instrument_later((anthropic.Anthropic, anthropic.AsyncAnthropic), **options)
    return None


def uninstrument(client: Any = None) -> None:
    """Undo :func:`instrument`, for *client* or, without one, for clients made later and since."""
    _sdk.uninstrument(client)
