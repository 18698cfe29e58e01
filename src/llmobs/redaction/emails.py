"""
Finds e-mail addresses, and passwords in URLs.

An address is found at its "@": the local part by walking back, the domain by walking on. Neither
walk can pass another "@", so no character is read more than twice.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final

from llmobs.redaction.domains import TOP_LEVEL_DOMAINS
from llmobs.redaction.spans import ANCHORS_A_STEP, Span, run_start
from llmobs.runtime.time_slices import Steps

__all__ = ["find_at_signs", "has_at_sign", "has_written_at_sign"]

_HIDDEN: Final = "\u00ad\u200b-\u200d\u2060\ufeff"  # characters without a width
_LOCAL_BACKWARDS = re.compile(rf"[0-9A-Za-z_.%+'\u00c0-\u024f{_HIDDEN}-]*")
# Other scripts, and letters as escapes; only where there is nothing else before the "@".
_ANY_LOCAL_BACKWARDS = re.compile(r"(?:[0-9A-Fa-f]{4}u\\+|[\w.+-])*")
# Letters of Europe, and spaces without a width, as JSON writes them.
_ESCAPED = r"\\{1,8}+u(?:00[c-fC-F]|01[0-9a-fA-F]|02[0-4]|200(?=[b-dB-D]))[0-9a-fA-F]"
_DOMAIN = re.compile(
    # Labels in any script; but ASCII labels end at the first character that is not ASCII, since
    # Chinese and Japanese text goes on without a space.
    rf"(?:[0-9A-Za-z-]{{1,63}}+(?=\.)|(?:[\w{_HIDDEN}-]|{_ESCAPED}){{1,63}}+)"
    rf"(?:\.(?:[\w{_HIDDEN}-]{{1,63}}+(?=\.[0-9A-Za-z])|[0-9A-Za-z-]{{1,63}}+|[^\W\d_]{{2,63}}+)){{1,126}}+"
)
# Most names: before them stands what is in no name, and in no URL.
_PLAIN_LOCAL_BACKWARDS = re.compile(r"[0-9A-Za-z_.%+-]{2,63}+(?<=[0-9A-Za-z])(?=[\s\"<>(\[,;|`]|$)")
_TOP_LEVEL = re.compile(r"\.[^\W\d_]{2}")
_ASCII_TOP_LEVEL = re.compile(r"\.([A-Za-z]{2,63}|[Xx][Nn]--[0-9A-Za-z-]{1,59})$")
_LONG_LOCAL: Final = 64
_LONGEST_USER: Final = 259
"""Characters of the longest ``://name:password`` before the "@" of a URL."""
_BACKSLASHES: Final = 8  # JSON text in JSON text in JSON text
# Most addresses: nothing goes on behind them, and what stands there is no code and no path.
_PLAIN_DOMAIN = re.compile(
    r"(?:[0-9A-Za-z-]{1,63}\.){1,8}([A-Za-z]{2,24})(?=[\s\"',;!?<>)\]}|*`]|\.?\s|\.?$)"
)
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
# A method or an attribute of a matrix, and a domain of the top level.
_ATTRIBUTES: Final = frozenset(
    {"to", "data", "dot", "id", "is", "map", "name", "real", "size", "ma"}
)
_SCHEME_BACKWARDS = re.compile(r"[^\s\"'<>`\\,;|()\[\]/]{0,256}//:")
_PATH = re.compile(r":(?![0-9]{1,5}(?![0-9A-Za-z]))[0-9A-Za-z_.~/-]{1,200}")
_FULLWIDTH_AT: Final = "\uff20"
_SMALL_AT: Final = "\ufe6b"
# An at sign that is written in another way.
_WRITTEN: Final = (
    ("%", re.compile(r"%(?:25){0,3}40")),
    ("\\", re.compile(r"\\u(?:0040|[fF][fF]20|[fF][eE]6[bB])")),
    ("&", re.compile(r"&(?:#0{0,4}64|#[xX]0{0,4}40|commat);")),
    (_FULLWIDTH_AT, re.compile(_FULLWIDTH_AT)),
    (_SMALL_AT, re.compile(_SMALL_AT)),
)
# As people write it for people. In round brackets that is dearer to look for than it is worth.
_IN_BRACKETS: Final = "[at]"
_SPELT_DOMAIN = re.compile(
    r"((?:[0-9A-Za-z-]{1,63}(?:\.| ?\[dot\] ?)){1,8})([A-Za-z]{2,24})(?![0-9A-Za-z_-]|\()"
)


def has_at_sign(text: str, low: int, high: int) -> bool:
    """Whether an at sign is in ``text[low:high]``, perhaps a wide or a small one."""
    if text.find("@", low, high) >= 0:
        return True
    if text.isascii():
        return False
    return text.find(_FULLWIDTH_AT, low, high) >= 0 or text.find(_SMALL_AT, low, high) >= 0


def has_written_at_sign(text: str, *, escaped: bool) -> bool:
    """
    Whether *text*, which is to be short, has what may be an at sign that is written in another way.

    Args:
        text: What is searched.
        escaped: Whether any character in it is (`llmobs.redaction.plain.has_escape`).
    """
    return ("[" in text and _IN_BRACKETS in text) or (
        escaped and any(written.search(text) for _, written in _WRITTEN)
    )


def find_at_signs(
    text: str, low: int, high: int, kinds: Set[str], spans: list[Span], *, escaped: bool
) -> Steps[None]:
    """Append to ``spans`` the addresses and passwords whose at signs are in ``text[low:high]``; of what kind ever."""
    anchors = 0
    has_url: bool | None = None
    at = text.find("@", low, high)
    while at >= 0:
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        if (address := _plain_address(text, at)) is not None:
            if "email" in kinds:
                spans.append(address)
        else:
            if has_url is None:
                has_url = text.find("://", max(0, at - _LONGEST_USER), high) >= 0
            password = _password(text, at) if has_url else None
            if password is not None:
                if "secret" in kinds and password.end > password.start:
                    spans.append(password)
            elif "email" in kinds:
                _append_email(text, at, at + 1, spans)
        at = text.find("@", at + 1, high)
    if "email" not in kinds:
        return
    at = text.find(_IN_BRACKETS, low, high + 3) if text.find("[", low, high) >= 0 else -1
    while at >= 0:
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        _append_spelt(text, at, spans)
        at = text.find(_IN_BRACKETS, at + 1, high + 3)
    if not escaped and text.isascii():
        return
    for sign, written in _WRITTEN:
        if text.find(sign, low, high) < 0:
            continue
        for found in written.finditer(text, low, min(len(text), high + 16)):
            if found.start() >= high:
                break
            anchors += 1
            if anchors % ANCHORS_A_STEP == 0:
                yield
            start = found.start()
            while text[start - 1 : start] == "\\" and found.start() - start < _BACKSLASHES:
                start -= 1
            _append_email(text, start, found.end(), spans)


def _plain_address(text: str, at: int) -> Span | None:
    """Return the address around ``at`` if it is as most are, which is quickly seen."""
    if end := _plain_domain_end(text, at + 1):
        local = _PLAIN_LOCAL_BACKWARDS.match(text[max(0, at - _LONG_LOCAL) : at][::-1])
        if local is not None:
            return Span(at - local.end(), end, "email", "email")
    return None


def _plain_domain_end(text: str, start: int) -> int:
    """Return where the domain that begins at ``start`` ends, if it is as most are; else 0."""
    domain = _PLAIN_DOMAIN.match(text, start)
    if domain is None or domain[1].lower() not in TOP_LEVEL_DOMAINS:
        return 0
    return domain.end()


def _append_email(text: str, at: int, behind: int, spans: list[Span]) -> None:
    if end := _plain_domain_end(text, behind):
        start = _local_start(text, at, _LOCAL_BACKWARDS)
        if at - start > 1:
            spans.append(Span(start, end, "email", "email"))
            return
    domain = _DOMAIN.match(text, behind)
    if domain is None or not _TOP_LEVEL.search(text, behind, domain.end()):
        return
    start = _local_start(text, at, _LOCAL_BACKWARDS)
    if start == at:
        start = _local_start(text, at, _ANY_LOCAL_BACKWARDS)
    if start == at:
        return
    end = behind + len(domain[0].rstrip("-"))
    if _is_domain(text, start, at, behind, end):
        spans.append(Span(start, end, "email", "email"))


def _append_spelt(text: str, bracket: int, spans: list[Span]) -> None:
    """Append ``ann [at] example [dot] com``, where the first bracket is at ``bracket``."""
    behind = bracket + len(_IN_BRACKETS)
    blank = text[bracket - 1 : bracket] == " "
    if blank != (text[behind : behind + 1] == " "):
        return  # index[at] list.size
    domain = _SPELT_DOMAIN.match(text, behind + blank)
    if domain is None or domain[2].lower() not in TOP_LEVEL_DOMAINS:
        return
    if "[" not in domain[1] and domain[2].lower() in _ATTRIBUTES:
        return  # an index, and an attribute
    at = bracket - blank
    start = _local_start(text, at, _LOCAL_BACKWARDS)
    if at - start > 1:
        spans.append(Span(start, domain.end(), "email", "email"))


def _is_domain(text: str, start: int, at: int, behind: int, end: int) -> bool:
    """Whether what stands behind the at sign is where mail goes, and no code or path."""
    name = text[behind:end]
    found = _ASCII_TOP_LEVEL.search(name if name.isascii() else name.translate(_INVISIBLE))
    if found is None:
        return not name.isascii()
    top = found[1].lower()
    if top not in TOP_LEVEL_DOMAINS and not top.startswith("xn--"):
        return False
    after = text[end : end + 1]
    if after == "(" or (
        after == ":"
        and "/" in (path := _path(text, end))
        and text[start:at] in ("git", "hg", "svn", path)
    ):
        return False
    return not (top in _ATTRIBUTES and name.count(".") == 1 and at - start == 1)


def _path(text: str, colon: int) -> str:
    found = _PATH.match(text, colon)
    return "" if found is None else found[0]


def _local_start(text: str, at: int, run: re.Pattern[str]) -> int:
    start = run_start(text, at, run, _LONG_LOCAL)
    if at - start == _LONG_LOCAL:  # few are longer than this
        start = run_start(text, at, run, 254)
    return at - len(text[start:at].lstrip("'.-"))


_PLACEHOLDERS: Final = frozenset(
    {
        "pass",
        "password",
        "passwd",
        "pwd",
        "pw",
        "secret",
        "xxx",
        "token",
        "***",
        "****",
        "...",
        "pswd",
    }
)


def _password(text: str, at: int) -> Span | None:
    """Return the password of a URL before ``at``; an empty span if it has a user and no password."""
    if text.rfind("://", max(0, at - _LONGEST_USER), at) < 0:
        return None
    found = _SCHEME_BACKWARDS.match(text[max(0, at - _LONGEST_USER) : at][::-1])
    if found is None:
        return None
    user = found[0][-4::-1]
    start = at - len(user)
    name, colon, password = user.partition(":")
    if colon and password:
        if password.lower() in _PLACEHOLDERS or password[0] in "<${%*[":
            return Span(at, at, "secret", "url")
        return Span(start + len(name) + 1, at, "secret", "url")
    if len(name) >= 20 and any(char.isdigit() for char in name):
        return Span(start, at, "secret", "url")
    return Span(at, at, "secret", "url")
