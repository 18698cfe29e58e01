"""
Where in a text a closer look for a secret is worth it: one search in C for joints, one for signs.

Both search symbols (`llmobs.redaction.spans.SYMBOLS`). Each begins with one symbol, which `re` looks
for as fast as memory is read, and goes on with sets of characters, which are tried without an effort:
what a look ahead or back costs is paid for few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from llmobs.redaction.names import PASSWORDS_ABROAD
from llmobs.redaction.rules import TOKEN_RULES
from llmobs.redaction.spans import SYMBOLS

__all__ = ["JOINTS", "SIGNS"]

_LONG: Final = 11
"""Characters that follow an anchor in all keys."""


def _around(anchors: str, more: Iterable[bytes] = ()) -> bytes:
    """
    Return what matches behind a long word, where a key may begin around the symbol before that.

    Args:
        anchors: The characters that are this symbol.
        more: More beginnings: two characters, the symbol, two more; ``.`` is any.
    """
    begins = set(more)
    for rule in TOKEN_RULES:
        if rule.prefix[rule.anchor] in anchors:
            folded = rule.prefix.encode().translate(SYMBOLS)
            before, after = folded[: rule.anchor][-2:], folded[rule.anchor + 1 :][:2]
            begins.add(before.rjust(2, b".") + folded[rule.anchor :][:1] + after.ljust(2, b"."))
    return rb"(?<=(?:" + b"|".join(_by_first(begins)) + rb").{%d})" % (_LONG - 2)


def _by_first(begins: Iterable[bytes]) -> Iterator[bytes]:
    """Yield alternatives for *begins* of which each begins another way: `re` tells these apart at once."""
    rest: dict[bytes, list[bytes]] = {}
    for begin in sorted(begins):
        rest.setdefault(begin[:1], []).append(begin[1:])
    for first, rests in sorted(rest.items(), reverse=True):  # "." last
        escaped = [b"".join(b"." if c == 46 else re.escape(bytes([c])) for c in r) for r in rests]
        yield (first if first == b"." else re.escape(first)) + rb"(?:" + b"|".join(escaped) + rb")"


JOINTS: Final = re.compile(
    rb"\x02[a-z0\x01\x02](?:"
    # a long word goes on, and ...
    rb"[a-z0\x01\x02+/]{10}(?:"
    + _around("-_.~", (b"ty\x02us", b".q\x02.."))  # PuTTY, Azure
    + rb"|(?<=\x02[a-z0\x01\x02]{6}\x02.{4})"  # Discord
    rb"|(?<=pat[a-z0\x01]{14}\x02.{11})"  # Airtable
    rb"|(?<=sha000\x02.{11})"  # OpenShift
    rb"|(?<=\x02(?:slack\x02com/[sw]|com/api/web|office\x02com/))"
    rb")"
    rb"|egin (?<=\x01egin )"  # the armour of a private key
    rb"| (?<= \x02[up\x01a] )|(?<= \x02p)[^ ]"  # curl -u name:password, mysql -ppassword
    rb"|s0(?<=[a-z0]{12}\x02us0)"  # Mailchimp
    rb"|(?<=\x02\x02[a-z\x01])[a-z\x01\x02]{2,24} [^ ])",  # --flag value
    re.DOTALL,
)


def _behind_name(between: bytes) -> bytes:
    """Return what matches behind *between*, where that is behind a name whose value may be secret."""
    # How such names end (`llmobs.redaction.names`): four characters, as a look back has one length.
    return (
        rb"(?<=(?:word|ords|sswd|r[a\x01]se|code|wort|sen[a\x01]|cret|rets|o[k\x01]en|ti[a\x01]l"
        rb"|i[a\x01]ls|ring|[a\x01]uth|o[k\x01]ie|ture|p[a\x01]ss|tion(?<=z[a\x01]tion)"
        rb"|[a-z0\x01\x02 ][k\x01]ey|.(?:pwd|[j\x01]wt|dsn|sig|.pw)"
        # ... and in other languages; what is not Latin is a question mark
        rb"|[a\x01]sse|se[\xd1\xf1?][a\x01]|enh[a\x01]|rol[a\x01]|[nos]ord|[k\x01]ode|s[a\x01]n[a\x01]"
        rb"|[ae\x01]s[l?]o|lsz[o\xd3\xf3]|ifre|in[k\x01][a\x01]|..\?\?)" + between + rb")"
    )


# The same one character behind a sign; quotes with their backslashes may stand before that.
_LAST: Final = rb"(?<=[adeghlnostwy\x01\xd3\xf3?]"


def _behind_spelt(level: int) -> bytes:
    """
    Return what matches behind a password's name in another language, as JSON of Python spells it.

    Args:
        level: How many texts of JSON it is in, each in the other: with that the backslashes grow.
    """
    names = {form for name in PASSWORDS_ABROAD for form in (name, name.upper())}
    spelt = {
        "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in form)
        for form in names
        if not form[-2:].isascii()
    }
    slashes = 2**level // 2
    endings = {
        form[-24:].replace("\\", "\\" * slashes).encode().translate(SYMBOLS) for form in spelt
    }
    between = rb"\\" * (slashes - 1) + rb".\x01."
    # Most names have no such character near their end.
    some = b"|".join(
        rb"(?<=\\u[0a-f\x01]{4}" + last + between + rb")" for last in (rb"", rb"[ao\x01]")
    )
    ones = b"|".join(b"(?<=" + re.escape(ending) + between + b")" for ending in sorted(endings))
    return b"(?:" + some + b")(?:" + ones + b")"


_BEHIND_A_NAME: Final = (
    _LAST + rb"\x01.)" + _behind_name(rb"\x01.") + rb"|(?<=[\"'`]\x01.)(?:"
    + _LAST + rb".\x01.)" + _behind_name(rb".\x01.") + rb"|" + _behind_spelt(1)
    + rb"|(?<=\\.\x01.)(?:" + _behind_name(rb"\\.\x01.") + rb"|" + _behind_name(rb"\\{3}.\x01.")
    + rb"|" + _behind_spelt(2) + rb"|" + _behind_spelt(3) + rb"))"
)  # fmt: skip
SIGNS: Final = re.compile(
    rb"\x01(?:"
    rb"[^ \"'](?:[a-z0\x01\x02+/]{10}" + _around("AJKB", (b"ey\x01..",))
    + rb"|(?<=0\x01\x01)[a-z0\x01\x02]{11}"  # Telegram
    rb"|(?<=[ea])(?:arer |sic |gin ssh)"
    rb"|(?<=[ds])(?:api[0a-f]{8}|cw[a-z0\x01]{8}))"  # Databricks, Scaleway
    rb"|[ \"'](?:\\?[\"']?(?:dapi[0a-f]{8}|scw[a-z0\x01]{8})"
    rb"|(?<= \x01.)(?:" + _LAST + rb" \x01.)" + _behind_name(rb" \x01.")
    + rb"|(?<=[\"'`] \x01.)(?:" + _LAST + rb". \x01.)" + _behind_name(rb". \x01.")
    + rb"|(?<=\\. \x01.)" + _behind_name(rb"\\. \x01.") + rb"))"
    + rb")|.(?:" + _BEHIND_A_NAME
    # key="password" value="..."; a blank and two signs, as in Ruby, PHP and Go
    + rb")|[\x01\"'](?:(?<= v[a\x01]lue\x01[\"'])" + _behind_name(rb". v.lue\x01.")
    + rb"|(?<= \x01\x01)(?:" + _LAST + rb" \x01\x01)" + _behind_name(rb" \x01\x01")
    + rb"|" + _LAST + rb"[\"'`] \x01\x01)" + _behind_name(rb". \x01\x01") + rb")))",
    re.DOTALL,
)  # fmt: skip
