"""Where the SDKs of this world put a key into a request. Pure."""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterable, Iterator
from typing import Final

from llmobs.server.keys import looks_like_a_key

__all__ = ["offered"]

LONGEST: Final = 1_000
"""Characters of a header that may be a key: ours is 58, with Langfuse's public one in Base64 below 150."""

_PLAIN: Final = frozenset({b"x-api-key", b"api-key", b"api_key"})
"""OTLP's exporters are told any header; these are the ones that SDKs and documents know."""


def offered(headers: Iterable[tuple[bytes, bytes]]) -> set[str]:
    """
    Return what *headers* hold that has the form of a key of ours; each once.

    ``Authorization`` with ``Bearer``, with ``Basic`` (as the password; or as the name, without one), or
    bare, as Logfire sends it; ``x-api-key``, ``api-key``.

    Args:
        headers: As ASGI gives them: names in lower case.
    """
    return {text for text in _candidates(headers) if looks_like_a_key(text)}


def _candidates(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    for name, value in headers:
        if len(value) > LONGEST:
            continue
        text = value.decode("latin-1").strip()
        if name in _PLAIN:
            yield text
        elif name == b"authorization":
            scheme, _, rest = text.partition(" ")
            if scheme.lower() == "basic":
                yield from _of_basic(rest.strip())
            else:
                yield rest.strip() if scheme.lower() == "bearer" else text


def _of_basic(text: str) -> Iterator[str]:
    try:
        name, _, password = b64decode(text, validate=True).decode("utf-8").partition(":")
    except (Error, ValueError):
        return
    yield password or name
