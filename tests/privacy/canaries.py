"""Made-up people and keys, a set of its own for each door, so that what gets out says where it got in."""

import base64
import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS

__all__ = ["canaries", "every_canary", "numbers_in"]

_MORE: Final = {
    "openai": "sk-proj-{n:03}AbCdEfGhIjKlMnOpQrStUvWx0123456789abcd",
    "anthropic": "sk-ant-api03-{n:03}AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AA",
    "slack": "xoxb-123456789012-{n:03}AbCdEfGhIjKlMnOpQrStUv",
    "google": "AIza{n:03}AbCdEfGhIjKlMnOpQrStUvWxYz012345",
}
"""Of the secrets, a few that everybody has."""


@cache
def canaries(number: int) -> dict[str, str]:
    """Return one text of each kind that is looked for by default, of this *number* (0 to 999)."""
    found = {name: KINDS[name].example(number) for name in sorted(DEFAULT_KINDS)}
    return found | {name: text.format(n=number) for name, text in _MORE.items()}


@cache
def every_canary(number: int) -> str:
    """Return all of them in one text."""
    return " ; ".join(canaries(number).values())


def _core(text: str) -> str:
    """Return the part of a canary that tells: of an address the person, of a key its end."""
    if "@" in text:
        return text.partition("@")[0]
    run = max(re.findall(r"[\w.]+", text), key=len)
    return run if len(run) > 9 else text


def _common(texts: list[bytes]) -> bytes:
    """Return the longest that all of *texts* have in them: where that is not, none of them is."""
    first = texts[0]
    for size in range(len(first), 0, -1):
        for at in range(len(first) - size + 1):
            part = first[at : at + size]
            if all(part in text for text in texts):
                return part
    return b""


def numbers_in(data: bytes, numbers: Iterable[int]) -> set[tuple[int, str]]:
    """Return the canaries that are in *data*, by number and kind; in base64, too."""
    numbers = list(numbers)
    found = set()
    for kind in canaries(0):
        cores = {number: _core(canaries(number)[kind]).encode() for number in numbers}
        if _common([*cores.values(), _core(canaries(999)[kind]).encode()]) in data:
            found |= {(number, kind) for number, core in cores.items() if core in data}
    encoded = {n: base64.b64encode(every_canary(n).encode())[:60] for n in numbers}
    if _common([*encoded.values()]) in data:
        found |= {(number, "base64") for number, text in encoded.items() if text in data}
    return found
