"""
Where in a text a closer look for a secret is worth it: a search in C for joints, one for capitals, one for signs.

All search symbols (`llmobs.redaction.spans.SYMBOLS`). Each begins with one symbol, which `re` looks
for as fast as memory is read, and goes on with sets of characters, which are tried without an effort.
A look back takes longer, so there are few where nearly all end: as most signs are none of a secret's,
all the ends of names are tried in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from llmobs.redaction.rules import TOKEN_RULES
from llmobs.redaction.spans import SYMBOLS

__all__ = ["CAPITALS", "ESCAPED", "JOINTS", "SIGNS", "Anchor"]

Anchor = re.Match[bytes] | None
"""Where a closer look is worth it, if anywhere."""

_LONG: Final = 11
"""Characters that follow an anchor in all keys."""


def _around(anchors: str, more: Iterable[bytes] = ()) -> bytes:
    """
    Return what matches behind a long word, where a key may begin around the symbol before that.

    Args:
        anchors: The characters that are this symbol.
        more: More beginnings: three characters, the symbol, two more; ``.`` is any.
    """
    begins = set(more)
    for rule in TOKEN_RULES:
        if rule.prefix[rule.anchor] in anchors:
            folded = rule.prefix.encode().translate(SYMBOLS)
            before, after = folded[: rule.anchor][-3:], folded[rule.anchor + 1 :][:2]
            begins.add(before.rjust(3, b".") + folded[rule.anchor :][:1] + after.ljust(2, b"."))
    return rb"(?<=" + _any_of(dict.fromkeys(begins, b"")) + rb".{%d})" % (_LONG - 2)


def _any_of(texts: Mapping[bytes, bytes]) -> bytes:
    """
    Return a pattern of *texts*, all of one length: a tree, of which `re` tells the branches apart at once.

    Args:
        texts: What it matches (``.`` is any character), and what else has to match behind that.
    """
    if b"" in texts:
        return texts[b""]
    rest: dict[bytes, dict[bytes, bytes]] = {}
    for text, proof in sorted(texts.items()):
        rest.setdefault(text[:1], {})[text[1:]] = proof
    branches = [
        (first if first == b"." else re.escape(first)) + _any_of(rests)
        for first, rests in sorted(rest.items(), reverse=True)  # "." last
    ]
    return branches[0] if len(branches) == 1 else b"(?:" + b"|".join(branches) + b")"


# How names end whose value may be secret (`llmobs.redaction.names`): in four characters, as a look back
# has one length.
_ENDINGS: Final = (
    "word", "ords", "sswd", "rase", "code", "wort", "sena", "cret", "rets", "oken", "tial", "ials", "ring",
    "auth", "okie", "ture", "pass", "tion", ".pwd", ".jwt", ".dsn", ".sig", ".key", "..pw",
    # in other languages
    "asse", "seña", "enha", "rola", "oord", "nord", "sord", "kode", "sana", "aslo", "eslo", "asło", "esło",
    "lszó", "lszo", "ifre", "inka", "..??",
)  # fmt: skip
_PROOFS: Final = {"tion": rb"(?<=z[a\x03]tion)", ".key": rb"(?<=[a-z0\x01\x02\x03 ].ey)"}
"""Most words that end in *tion* are no names, and a key by itself, in quotes, is any key."""


def _folded_forms(ending: str) -> set[bytes]:
    """Return what *ending* may be in symbols: each of its letters may be a capital, and stand for another."""
    forms = {b""}
    for char in ending:
        symbols = {c.encode("latin-1", "replace").translate(SYMBOLS) for c in (char, char.upper())}
        symbols = {b"."} if char == "." else symbols
        forms = {form + symbol for form in forms for symbol in symbols}
    return forms


def _behind_name(between: bytes) -> bytes:
    """Return what matches behind *between*, where that is behind a name whose value may be secret."""
    forms = {f: _PROOFS.get(e, b"") for e in _ENDINGS for f in _folded_forms(e)}
    return b"(?<=" + _any_of(forms) + between + b")"


JOINTS: Final = re.compile(
    rb"\x02[a-z0\x02\x03](?:"
    # a long word goes on, and ...
    rb"[a-z0\x02\x03+/]{10}(?:"
    + _around("-_.~", (b"tty\x02us", b".0q\x02.."))  # PuTTY, Azure
    + rb"|(?<=[a-z0\x02\x03]{24}\x02[a-z0\x02\x03]{6}\x02.{4})"  # Discord
    rb"|(?<=pat[a-z0\x03]{14}\x02.{11})"  # Airtable
    rb"|(?<=sha000\x02.{11})"  # OpenShift
    rb"|(?<=\x02(?:slack\x02com/[sw]|com/api/web|office\x02com/))"
    rb")"
    rb"|egin (?<=\x03egin )"  # the armour of a private key
    rb"| (?<= \x02[upa] )|[^ ](?<= \x02p.)"  # curl -u name:password, mysql -ppassword
    rb"|s0(?<=[a-z0]{12}\x02us0)"  # Mailchimp
    rb"|[a-z\x03](?<=\x02\x02.)[a-z\x03\x02]{2,24} [^ ]"  # --flag value
    rb"(?:(?<=\x02\x02user .)|" + _behind_name(rb" .") + rb"))",
    re.DOTALL,
)  # fmt: skip
CAPITALS: Final = re.compile(
    rb"\x03(?:[a-z0\x02\x03/+]{11}" + _around("AJKB", (b".ey\x03..",))
    + rb"|earer |asic |egin ssh)",
    re.DOTALL,
)  # fmt: skip


_QUOTED: Final = (
    _behind_name(rb".\x01.")
    + rb"|(?<=\\.\x01.)(?:" + _behind_name(rb"\\.\x01.") + rb"|" + _behind_name(rb"\\{3}.\x01.") + rb")"
)  # fmt: skip
_BEHIND_A_BLANK: Final = (
    _behind_name(rb" \x01.") + rb"|(?<=[\"'`] \x01.)" + _behind_name(rb". \x01.")
    + rb"|(?<=\\. \x01.)" + _behind_name(rb"\\. \x01.")
)  # fmt: skip
_TOKENS: Final = rb"d[a\x03]pi[0a-f\x03]{8}|scw[a-z0\x03]{8}"  # Databricks, Scaleway
SIGNS: Final = re.compile(
    rb"\x01(?:"
    rb".(?:(?<=[\"'`]\x01.)(?:" + _QUOTED + rb")|(?<=[^\"'`]\x01.)" + _behind_name(rb"\x01.") + rb")"
    # the second sign is that of Ruby, PHP and Go
    rb"|[ \"'\x01](?<= \x01.)(?:" + _BEHIND_A_BLANK + rb")"
    rb"|[\"'](?<= v[a\x03]lue\x01.)" + _behind_name(rb". v.lue\x01.")  # key="password" value="..."
    + rb"|[ \"'](?:" + _TOKENS + rb"|[\"'](?:" + _TOKENS + rb")|\\[\"'](?:" + _TOKENS + rb"))"
    rb"|\x03[a-z0\x02\x03]{11}(?<=0\x01\x03.{11})"  # Telegram
    rb"|" + _TOKENS + rb")",
    re.DOTALL,
)  # fmt: skip


_ESCAPE: Final = rb"(?:\\u[0a-f\x03]{4}|%(?:00)?[0a-f\x03]{2}|&#[0x]?00?0?[a-f\x03]?;)"


def _behind_escape(between: bytes) -> bytes:
    """Return what matches behind *between*, where one of the last four characters before that is escaped."""
    # A look back has one length; from where it leads, a look ahead may have any.
    ahead = rb".{0,9}" + _ESCAPE + rb"[a-z0\x02\x03]{0,3}" + between
    return rb"(?<=(?=" + ahead + rb").{10}" + between + b")"


ESCAPED: Final = re.compile(
    rb"\x01.(?:(?<=[\"'`]\x01.)(?:" + _behind_escape(rb".\x01.")
    + rb"|(?<=\\.\x01.)(?:" + _behind_escape(rb"\\.\x01.") + rb"|" + _behind_escape(rb"\\{3}.\x01.")
    + rb"))|(?<=[\"'`] \x01.)(?:" + _behind_escape(rb". \x01.")
    + rb"|(?<=\\. \x01.)" + _behind_escape(rb"\\. \x01.")
    + rb")|" + _behind_escape(rb"\x01.") + rb")",
    re.DOTALL,
)  # fmt: skip
"""Signs behind a name of which a part is escaped: what it is takes a closer look."""
