"""Finds keys and tokens.

Every prefix of a key contains one of the pairs [kypbAIY][-_JzK]. The second characters are rare in
prose and folded to one symbol, so that one search (memchr) finds them; the first ones to another.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from llmobs.redaction.spans import (
    ANCHORS_A_STEP,
    COMMON,
    LONGEST_RUN,
    RARE,
    Span,
    follows_letter,
    run_end,
)
from llmobs.runtime.time_slices import Steps

__all__ = ["find_bearers", "find_keys"]


class _Prefix(NamedTuple):
    rule: str
    text: str
    rare: int  # where in the prefix its rare character is
    pattern: re.Pattern[str]
    proof: re.Pattern[str] | None = None  # what must occur in the match, or it is ordinary text


def _run(start: str, least: int) -> re.Pattern[str]:
    return re.compile(f"{start}{{{least},{LONGEST_RUN}}}+")


_PREFIXES = {
    # "sk-" also begins kebab-case names; a key has a digit, a capital or a long word.
    "k-": _Prefix(
        "sk-key", "sk-", 2, _run(r"sk-[0-9A-Za-z_-]", 16), re.compile(r"[0-9A-Z]|[a-z]{16}")
    ),
    "yJ": _Prefix("jwt", "eyJ", 2, _run(r"eyJ[0-9A-Za-z_.-]", 16), re.compile(r"\.")),
    "p_": _Prefix("github", "ghp_", 3, _run(r"ghp_[0-9A-Za-z]", 20)),
    "b_": _Prefix("github-fine", "github_pat_", 6, _run(r"github_pat_[0-9A-Za-z_]", 20)),
    "AK": _Prefix("aws", "AKIA", 1, _run(r"AKIA[0-9A-Z]", 16)),
    "Iz": _Prefix("google", "AIza", 2, _run(r"AIza[0-9A-Za-z_-]", 30)),
    "b-": _Prefix("slack-bot", "xoxb-", 4, _run(r"xoxb-[0-9A-Za-z-]", 10)),
    "p-": _Prefix("slack-user", "xoxp-", 4, _run(r"xoxp-[0-9A-Za-z-]", 10)),
}
_KEY_HEADER_TAIL = "PRIVATE KEY-----"
_KEY_HEADER = re.compile(r"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY-----")
_KEY_FOOTER = re.compile(r"-----END [0-9A-Z ]{0,40}PRIVATE KEY-----")
_KEY_BODY = re.compile(rf"(?:[0-9A-Za-z+/=\r\n\t]|\\{{1,8}}+[nrt]){{0,{LONGEST_RUN}}}+")
_LONGEST_KEY_BLOCK = 32_768


def find_keys(
    text: str,
    symbols: bytes,
    at: int,
    low: int,
    high: int,
    resume: list[int],
    spans: list[Span],
) -> Steps[None]:
    """Append to ``spans`` the keys and JSON web tokens anchored in ``text[low:high]``."""
    find = symbols.find
    stop = high - low
    if at < resume[0] - low:
        at = find(RARE, resume[0] - low)
    anchors = 0
    while 0 <= at < stop:
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        if symbols[at - 1] != COMMON and at:
            at = find(RARE, at + 1)
            continue
        here = low + at
        end = here + 1
        prefix = _PREFIXES.get(text[here - 1 : end])
        if prefix is not None:
            start = here - prefix.rare
            if start >= 0 and text.startswith(prefix.text, start):
                end = yield from _find_key(text, start, end, resume, prefix, spans)
        elif here >= 11 and text.startswith(_KEY_HEADER_TAIL, here - 11):
            start = text.rfind("-----BEGIN ", max(0, here - 64), here)
            header = _KEY_HEADER.match(text, start) if start >= 0 else None
            if header is not None and header.end() > here:
                end = _key_block_end(text, header.end())
                spans.append(Span(start, end, "secret", "private-key"))
                resume[0] = end
        at = find(RARE, end - low)


def _find_key(
    text: str, start: int, end: int, resume: list[int], prefix: _Prefix, spans: list[Span]
) -> Steps[int]:
    """Look for a key at ``start``; return where to go on, which is ``end`` or behind the key."""
    if prefix.text == "eyJ" and start < resume[3]:
        return end
    # These begin ordinary words too; but right behind another key they are not part of a word.
    if prefix.proof is not None and start != resume[0] and follows_letter(text, start):
        return end
    found = prefix.pattern.match(text, start)
    if found is None:
        return end
    behind = yield from run_end(text, start, found.end())
    if prefix.proof is None or prefix.proof.search(text, start + 3, found.end()):
        spans.append(Span(start, _before_stop(text, behind), "secret", prefix.rule))
    elif prefix.text == "eyJ":
        resume[3] = behind  # base64 of something else, in which keys may still be
        return end
    resume[0] = behind
    return behind


def _before_stop(text: str, end: int) -> int:
    """Return ``end`` without full stops before it: they end the sentence, not the token."""
    while text[end - 1] == ".":
        end -= 1
    return end


def _key_block_end(text: str, body: int) -> int:
    """Return where a private key block ends, of which the header ends at ``body``."""
    dashes = text.find("-----", body, body + _LONGEST_KEY_BLOCK)
    footer = _KEY_FOOTER.match(text, dashes) if dashes >= 0 else None
    if footer is not None and text.find('"', body, dashes) < 0:
        return footer.end()
    cut = _KEY_BODY.match(text, body)  # cut off: what looks like its body goes
    return body if cut is None else cut.end()


_BEARER = re.compile(rf"Bearer {{1,8}}([0-9A-Za-z._~+/=-]{{6,{LONGEST_RUN}}}+)")
_DIGIT = re.compile(r"[0-9]")


def find_bearers(
    text: str, at: int, high: int, resume: list[int], spans: list[Span]
) -> Steps[None]:
    """Append to ``spans`` the bearer tokens from the first "B" at ``at`` up to ``high``."""
    find = text.find
    at = max(at, resume[1])
    anchors = 0
    while at >= 0:
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        end = at + 1
        if text.startswith("earer ", end):
            found = _BEARER.match(text, at)
            if found is not None:
                token = found[1]
                # "Bearer certificates" is prose; a token is long or has a digit.
                if len(token) >= 20 or _DIGIT.search(token):
                    end = yield from run_end(text, found.start(1), found.end())
                    spans.append(Span(at, _before_stop(text, end), "secret", "bearer"))
                    resume[1] = end
        at = find("B", end, high)
