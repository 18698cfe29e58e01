"""The SDKs, and one call of each: whole and streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx2

from benchmarks.capture.answers import PROMPT

__all__ = ["PACKAGES", "SDKS"]

Call = Callable[[bool], None]
"""Makes one call; True: streams it, to the end."""


def _openai(http: httpx2.Client) -> Call:
    import openai

    client = openai.OpenAI(api_key="k", http_client=http)

    def call(stream: bool) -> None:
        answer: Any = client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": PROMPT}],
            temperature=0.2,
            stream=stream,
        )
        for _ in answer if stream else ():
            pass

    return call


def _anthropic(http: httpx2.Client) -> Call:
    import anthropic

    client = anthropic.Anthropic(api_key="k", http_client=http)

    def call(stream: bool) -> None:
        answer: Any = client.messages.create(
            model="claude-sonnet-4-5",
            max_tokens=1000,
            messages=[{"role": "user", "content": PROMPT}],
            stream=stream,
        )
        for _ in answer if stream else ():
            pass

    return call


def _gemini(http: httpx2.Client) -> Call:
    from google import genai  # type: ignore[attr-defined, unused-ignore]

    client: Any = genai.Client(api_key="k", http_options={"httpx_client": http})

    def call(stream: bool) -> None:
        if stream:
            for _ in client.models.generate_content_stream(model="gemini-3-pro", contents=PROMPT):
                pass
        else:
            client.models.generate_content(model="gemini-3-pro", contents=PROMPT)

    return call


SDKS: Final[dict[str, Callable[[httpx2.Client], Call]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
"""By name: makes a client that sends with the HTTP client it is given, and returns its call."""
PACKAGES: Final = ("openai==3.54.0", "anthropic==2.12.0", "google-genai==3.6.1")
