"""Finds keys and tokens by how they begin (`llmobs.redaction.rules`), and private keys."""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Final

from llmobs.redaction.anchors import CAPITALS, ESCAPED, JOINTS, SIGNS, Anchor
from llmobs.redaction.commands import find_argument
from llmobs.redaction.named import find_named
from llmobs.redaction.rules import TOKEN_RULES, TokenRule
from llmobs.redaction.spans import (
    ANCHORS_A_STEP,
    LONGEST_RUN,
    WORD_BACKWARDS,
    Reach,
    Span,
    follows_letter,
    run_end,
    run_start,
)
from llmobs.runtime.time_slices import Steps

__all__ = ["find_secrets"]


def _by_context() -> tuple[dict[str, list[TokenRule]], dict[str, list[TokenRule]]]:
    behind: dict[str, list[TokenRule]] = {}
    ahead: dict[str, list[TokenRule]] = {}
    for rule in TOKEN_RULES:
        if rule.anchor >= 2:
            behind.setdefault(rule.prefix[rule.anchor - 2 : rule.anchor + 1], []).append(rule)
        else:
            ahead.setdefault(rule.prefix[:2], []).append(rule)
    return behind, ahead


_SEARCHES: Final = (JOINTS.search, CAPITALS.search, SIGNS.search, ESCAPED.search)
_BEHIND, _AHEAD = _by_context()
_TELLING: Final = 512  # characters that tell whether it is a key
_CERTAIN: Final = 24  # so many characters behind a beginning, and it need not begin a word


def find_secrets(
    text: str,
    symbols: bytes,
    first: int,
    high: int,
    number: int,
    found: Anchor,
    reach: Reach,
    spans: list[Span],
) -> Steps[None]:
    """
    Append to ``spans`` the secrets whose anchors one search finds.

    Args:
        text: What is searched.
        symbols: A window of it.
        first: Where that begins.
        high: Where an anchor is the next window's.
        number: Which search.
        found: Its first anchor.
        reach: How far was read.
        spans: What was found.
    """
    search = _SEARCHES[number]
    reach.token = reach.tokens[number]
    anchors = 0
    while found is not None and (here := first + found.start()) < high:
        found = search(symbols, here + 1 - first)
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        if here < reach.token:
            continue
        char = text[here]
        if char in ":=>":
            _find_assigned(text, here, reach, spans)
            continue
        rules = (
            _BEHIND.get(text[here - 2 : here + 1])
            or _AHEAD.get(text[here : here + 2])
            or _AHEAD.get(text[here - 1 : here + 1])
        )
        if rules and (yield from _find_token(text, here, rules, reach, spans)):
            continue
        if char == "-":
            _find_hyphenated(text, here, reach, spans)
        elif char == ".":
            _find_dotted(text, here, reach, spans)
        elif char == "J":
            if text.startswith("ey", here - 2):
                yield from _find_jwt(text, here, reach, spans)
        elif char == "B":
            if text[here + 1 : here + 2] in _SCHEMES:
                yield from _find_scheme(text, here, reach, spans)
        elif char == "~":
            _find_tilde(text, here, reach, spans)
    reach.tokens[number] = reach.token


def _find_token(
    text: str, here: int, rules: list[TokenRule], reach: Reach, spans: list[Span]
) -> Steps[bool]:
    for rule in rules:
        start = here - rule.anchor
        if start < 0 or not text.startswith(rule.prefix, start):
            continue
        if rule.proof is not None and start < reach.plain:
            continue
        # Beginnings are ends of words, too; but right behind another key there is no word.
        if rule.least < _CERTAIN and start != reach.token and follows_letter(text, start):
            continue
        body = start + len(rule.prefix)
        run = rule.run.match(text, body, body + _TELLING)
        if run is None or run.end() - body < rule.least:
            continue
        if rule.proof is not None and not rule.proof.match(text, body, run.end()):
            reach.plain = run.end()
            continue
        run = rule.run.match(text, body) or run
        end = yield from run_end(text, body, run.end())
        if rule.prefix[0] == ".":
            start = run_start(text, start, WORD_BACKWARDS)
        spans.append(Span(start, _before_stop(text, end), "secret", rule.name))
        reach.token = end
        return True
    return False


def _before_stop(text: str, end: int) -> int:
    """Return ``end`` without full stops before it: they end the sentence, not the token."""
    while text[end - 1] == ".":
        end -= 1
    return end


# --- tokens of other shapes ---------------------------------------------------------------------

_JWT = re.compile(rf"eyJ[0-9A-Za-z_.-]{{16,{LONGEST_RUN}}}+")


def _find_jwt(text: str, here: int, reach: Reach, spans: list[Span]) -> Steps[None]:
    start = here - 2
    if start < 0 or start < reach.base64:
        return
    if start != reach.token and follows_letter(text, start):
        return
    found = _JWT.match(text, start)
    if found is None:
        return
    end = yield from run_end(text, start, found.end())
    if text.find(".", start, found.end()) >= 0:
        spans.append(Span(start, _before_stop(text, end), "secret", "jwt"))
        reach.token = end
    else:
        reach.base64 = end  # base64 of something else, in which keys may still be


_BEARER = re.compile(rf"Bearer {{1,8}}([0-9A-Za-z._~+/=-]{{6,{LONGEST_RUN}}}+)", re.IGNORECASE)
_BASIC = re.compile(r"Basic {1,8}([0-9A-Za-z+/_-]{8,4096}+={0,2})", re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")
_SCHEMES: Final = frozenset("eEaA")
"""The letters behind the B of what `_find_scheme` finds."""


def _find_scheme(text: str, here: int, reach: Reach, spans: list[Span]) -> Steps[None]:
    """Find what follows ``Bearer`` or ``Basic``."""
    found = _BEARER.match(text, here)
    if found is not None:
        token = found[1]
        # "Bearer certificates" is prose; a token is long or has a digit.
        if len(token) >= 20 or _DIGIT.search(token):
            end = yield from run_end(text, found.start(1), found.end())
            spans.append(Span(here, _before_stop(text, end), "secret", "bearer"))
            reach.token = end
        return
    if text.startswith("EGIN ", here + 1):
        _find_armour(text, here, reach, spans)
        return
    found = _BASIC.match(text, here)
    if found is not None and is_basic(found[1]):
        spans.append(Span(here, found.end(), "secret", "basic"))
        reach.token = found.end()


def is_basic(encoded: str) -> bool:
    """Whether *encoded* is a name, a colon and a password, in base64."""
    try:
        decoded = a2b_base64(encoded.replace("-", "+").replace("_", "/") + "==")
    except ValueError:
        return False
    return b":" in decoded and min(decoded) >= 32


_HEADER = re.compile(r"-{4}[- ]BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_FOOTER = re.compile(r"-{4,5} ?END [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_LINE = r"(?:\r?\n|(?:\\{1,8}+r)?\\{1,8}+n|\\{1,8}+[rt])[ \t>|#*]{0,16}+"
# Cut off: what looks like its body goes.
_CUT = re.compile(
    rf"(?:{_LINE}[A-Za-z-]{{4,20}}+: [^\n\\\"]{{0,100}}+){{0,5}}+"
    rf"(?:[0-9A-Za-z+/=\r\n\t]|{_LINE}){{0,{LONGEST_RUN}}}+"
)
_LONGEST_BLOCK = 32_768


def _find_armour(text: str, begin: int, reach: Reach, spans: list[Span]) -> None:
    """Find the private key whose header has its ``BEGIN`` at ``begin``."""
    start = begin - 5
    header = _HEADER.match(text, start) if start >= 0 else None
    if header is not None:
        end = _block_end(text, header.end())
        spans.append(Span(start, end, "secret", "private-key"))
        reach.token = end


def _find_hyphenated(text: str, here: int, reach: Reach, spans: list[Span]) -> None:
    """Find private keys, values of flags, and Mailchimp's keys."""
    if text.startswith("BEGIN ", here + 1):
        _find_armour(text, here + 1, reach, spans)
    elif text.startswith("User-Key-File-", here + 1) and text.startswith("PuTTY", here - 5):
        found = _PUTTY.match(text, here - 5)
        if found is not None:
            spans.append(Span(here - 5, found.end(), "secret", "private-key"))
            reach.token = found.end()
    elif text.startswith("us", here + 1) and here >= 32 and text[here + 3 : here + 4].isdigit():
        found = _MAILCHIMP.match(text, here - 32)
        if found is not None:
            spans.append(Span(here - 32, found.end(), "secret", "mailchimp"))
            reach.token = found.end()
    elif text[here - 1 : here] == " " and text[here + 1 : here + 2] in _FLAGS:
        find_argument(text, here, spans)
    elif text[here + 1 : here + 2] == "-":
        if text.startswith("user ", here + 2):
            find_argument(text, here + 1, spans)
        find_named(text, here, reach, spans)


_FLAGS: Final = frozenset("upPa")
"""Behind them some commands take a password."""
_MAILCHIMP = re.compile(r"[0-9a-f]{32}-us[0-9]{1,2}(?![0-9A-Za-z])")
_PUTTY = re.compile(
    r"PuTTY-User-Key-File-[0-9]: (?:[0-9A-Za-z+/=:,@. \t-]|\r?\n|\\{1,8}+[rn]){0,8192}?"
    r"Private-(?:MAC|Hash): [0-9a-f]{0,128}|"
    r"PuTTY-User-Key-File-[0-9]: (?:[0-9A-Za-z+/=:,@. \t-]|\r?\n|\\{1,8}+[rn]){0,8192}+"
)


def _block_end(text: str, body: int) -> int:
    """Return where a private key block ends, of which the header ends at ``body``."""
    dashes = text.find("----", body, body + _LONGEST_BLOCK)
    footer = _FOOTER.match(text, dashes) if dashes >= 0 else None
    if footer is not None and text.find('"', body, dashes) < 0:
        return footer.end()
    cut = _CUT.match(text, body)
    return body if cut is None else cut.end()


_AIRTABLE = re.compile(r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}")
_DISCORD = re.compile(r"[MNO][0-9A-Za-z_-]{23,27}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,64}+")
_HOOKS: Final = (
    "slack.com/services/",
    "slack.com/workflows/",
    "com/api/webhooks/",
    "office.com/webhook",
)
_HOOK = re.compile(
    r"(?:slack\.com/(?:services|workflows)/|com/api/webhooks/|office\.com/webhook[0-9a-z]{0,4}/)"
    r"([0-9A-Za-z/@_-]{20,512}+)"
)
_DOTTED_BACKWARDS = re.compile(r"[0-9A-Za-z_-]*")


def _find_dotted(text: str, here: int, reach: Reach, spans: list[Span]) -> None:
    if text.startswith(_HOOKS, here + 1):
        found = _HOOK.match(text, here + 1)
        if found is not None:
            spans.append(Span(found.start(1), found.end(), "secret", "webhook"))
            reach.token = found.end()
        return
    if text[here + 7 : here + 8] != "." and not text.startswith("pat", here - 17):
        return
    start = run_start(text, here, _DOTTED_BACKWARDS, 32)
    for name, pattern in (("airtable", _AIRTABLE), ("discord", _DISCORD)):
        found = pattern.match(text, start)
        if found is not None:
            spans.append(Span(start, found.end(), "secret", name))
            reach.token = found.end()
            return


_TELEGRAM = re.compile(r"[0-9]{8,10}:A[0-9A-Za-z_-]{34}(?![0-9A-Za-z_-])")
# Nothing in them is rare, so they are seen behind a sign only.
_WITHOUT_JOINTS = re.compile(
    r" ?\\{0,8}[\"']?(dapi[0-9a-f]{32}(?:-[0-9])?|SCW[0-9A-Z]{17})(?![0-9A-Za-z])"
)
_DIGITS_BACKWARDS = re.compile(r"[0-9]*")


def _find_assigned(text: str, here: int, reach: Reach, spans: list[Span]) -> None:
    if text[here + 1 : here + 2] == "A" and text[here - 1 : here].isdigit():
        start = run_start(text, here, _DIGITS_BACKWARDS, 12)
        found = _TELEGRAM.match(text, start)
        if found is not None:
            spans.append(Span(start, found.end(), "secret", "telegram"))
            reach.token = found.end()
            return
    found = _WITHOUT_JOINTS.match(text, here + 1)
    if found is not None:
        spans.append(
            Span(
                found.start(1),
                found.end(),
                "secret",
                "databricks" if found[1][0] == "d" else "scaleway",
            )
        )
        reach.token = found.end()
        return
    find_named(text, here, reach, spans)


_AZURE = re.compile(r"[0-9A-Za-z_~.]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,34}(?![0-9A-Za-z_~-])")
_SHA = re.compile(r"sha256~[0-9A-Za-z_-]{43}")


def _find_tilde(text: str, here: int, reach: Reach, spans: list[Span]) -> None:
    for name, pattern, start in (("azure-ad", _AZURE, here - 5), ("openshift", _SHA, here - 6)):
        found = pattern.match(text, start) if start >= 0 else None
        if found is not None:
            spans.append(Span(start, found.end(), "secret", name))
            reach.token = found.end()
            return
