"""Finds e-mail addresses.

An address is found at its "@": the local part by walking back, the domain by walking on. Neither
walk can pass another "@", so no character is read more than twice.
"""

from __future__ import annotations

import re

from llmobs.redaction.spans import ANCHORS_A_STEP, Span, run_start
from llmobs.runtime.time_slices import Steps

__all__ = ["find_emails"]

_LOCAL_BACKWARDS = re.compile(r"[0-9A-Za-z_.%+'\u00c0-\u024f-]*")
# Other scripts, and letters as escapes; only where there is nothing else before the "@".
_ANY_LOCAL_BACKWARDS = re.compile(r"(?:[0-9A-Fa-f]{4}u\\+|[\w.+-])*")
_DOMAIN = re.compile(
    # Labels in any script; but ASCII labels end at the first character that is not ASCII, since
    # Chinese and Japanese text goes on without a space.
    r"(?:[0-9A-Za-z-]{1,63}+(?=\.)|[\w-]{1,63}+)"
    r"(?:\.(?:[\w-]{1,63}+(?=\.[0-9A-Za-z])|[0-9A-Za-z-]{1,63}+|[^\W\d_]{2,63}+)){1,126}+"
)
_TOP_LEVEL = re.compile(r"\.[^\W\d_]{2}")


def find_emails(text: str, at: int, high: int, spans: list[Span]) -> Steps[None]:
    """Append to ``spans`` the addresses from the first "@" at ``at`` up to ``high``."""
    anchors = 0
    while at >= 0:
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        domain = _DOMAIN.match(text, at + 1)
        if domain is not None and _TOP_LEVEL.search(text, at + 1, domain.end()):
            start = _local_start(text, at, _LOCAL_BACKWARDS)
            if start == at:
                start = _local_start(text, at, _ANY_LOCAL_BACKWARDS)
            if start < at:
                spans.append(Span(start, at + 1 + len(domain[0].rstrip("-")), "email", "email"))
        at = text.find("@", at + 1, high)


def _local_start(text: str, at: int, run: re.Pattern[str]) -> int:
    start = run_start(text, at, run, 64)
    if at - start == 64:  # few are longer than this
        start = run_start(text, at, run, 254)
    return at - len(text[start:at].lstrip("'.-"))
