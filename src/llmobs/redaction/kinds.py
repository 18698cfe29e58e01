"""The kinds of sensitive text: what each is called, what stands in its place, what is on by default."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_KINDS", "KINDS", "Kind", "chosen", "placeholder", "placeholders"]


@dataclass(frozen=True)
class Kind:
    """One kind of sensitive text."""

    name: str
    """How settings, counts and the command line call it."""
    placeholder: str
    """What stands in place of a match."""
    on: bool
    """Whether it is looked for unless somebody says otherwise."""
    about: str
    """What is found, and where the borders are: a line of the reference."""
    example: Callable[[int], str]
    """Returns a made-up value of this kind, another one for each number from 0 to 999."""


def _luhn(digits: str) -> str:
    """Return *digits* with the check digit of ISO/IEC 7812-1 behind them."""
    doubled = sum(sum(divmod(2 * int(d), 10)) for d in digits[-1::-2])
    return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)


def _iban(country: str, account: str) -> str:
    """Return an account number with the check digits of ISO 13616."""
    number = int("".join(str(int(c, 36)) for c in account + country + "00"))
    return f"{country}{98 - number % 97:02}{account}"


def _dni(number: int) -> str:
    """Return a Spanish identity number, with its letter."""
    return f"{number:08}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            "email",
            "[REDACTED_EMAIL]",
            True,
            "E-mail addresses, in any script and also with the at sign written `%40`, `\\u0040`, "
            "`&#64;`, full width or as `ann [at] example [dot] com`; no matrix products, remotes of "
            "git, scopes of npm, handles.",
            lambda n: f"ann.lee{n:03}@mail.example.com",
        ),
        Kind(
            "card",
            "[REDACTED_CC]",
            True,
            "Payment card numbers: as long as the issuer's are, plain or grouped as on cards (by blanks, "
            "also those that do not break, hyphens, full stops), also in full width, whose "
            "checksum holds; not those in a table of numbers.",
            lambda n: _luhn(f"400000{n:03}765432"),
        ),
        Kind(
            "secret",
            "[REDACTED_KEY]",
            True,
            "Keys and tokens by their format, private keys, credentials in URLs and headers, and "
            "what stands under a name such as `password`. `[REDACTED_TOKEN]`: JSON web tokens, cookies "
            "and what follows `Bearer`, `Basic` or `Authorization`.",
            lambda n: f"ghp_{'a1B2c3D4' * 4}Z{n:03}",
        ),
        Kind(
            "ssn",
            "[REDACTED_SSN]",
            True,
            "Social security numbers of the United States: ``123-45-6789``; without dashes where "
            "the text says what they are.",
            lambda n: f"5{n % 100:02}-{n // 100 + 21:02}-6789",
        ),
        Kind(
            "iban",
            "[REDACTED_IBAN]",
            True,
            "International bank account numbers, plain or in groups of four, whose length is their "
            "country's and whose checksum holds.",
            lambda n: _iban("DE", f"370400440532{n:06}"),
        ),
        Kind(
            "ip",
            "[REDACTED_IP]",
            False,
            "Addresses of machines, IPv4 and IPv6.",
            lambda n: f"10.20.{n // 250}.{n % 250 + 1}",
        ),
        Kind(
            "mac",
            "[REDACTED_MAC]",
            False,
            "Hardware addresses: six pairs of digits, with colons or dashes.",
            lambda n: f"00:1A:2B:3C:{n // 250:02X}:{n % 250:02X}",
        ),
        Kind(
            "phone",
            "[REDACTED_PHONE]",
            False,
            "Phone numbers with a country's code, of North America, or behind a word such as *phone*.",
            lambda n: f"+43 1 58858 {n:03}0",
        ),
        Kind(
            "birth_date",
            "[REDACTED_BIRTH_DATE]",
            False,
            "Dates behind a word such as *born*; the word stays.",
            lambda n: f"born {1970 + n % 40}-0{n // 40 % 9 + 1}-1{n // 360}",
        ),
        Kind(
            "address",
            "[REDACTED_ADDRESS]",
            False,
            "Streets with a number, as they are written in English and German.",
            lambda n: f"{n + 1} Elm Tree Road",
        ),
        Kind(
            "national_id",
            "[REDACTED_NATIONAL_ID]",
            False,
            "Numbers that 30 states give to people, by their shape and their checksum where one is "
            "published; bare digits only behind a word such as *PESEL*.",
            lambda n: _dni(10_000_000 + n),
        ),
        Kind(
            "crypto",
            "[REDACTED_WALLET]",
            False,
            "Addresses of Bitcoin and Ethereum.",
            lambda n: f"0x52908400098527886E0F7030069857D2E4169{n:03}",
        ),
    )
}
"""All kinds, by name."""

DEFAULT_KINDS: Final = frozenset(name for name, kind in KINDS.items() if kind.on)
"""The names of the kinds that are on by default."""

_TOKENS: Final = frozenset({"jwt", "bearer", "basic", "authorization", "cookie"})
_TOKEN: Final = "[REDACTED_TOKEN]"  # noqa: S105 - what stands in place of a token


def placeholder(kind: str, rule: str) -> str:
    """Return what stands in place of a match of *rule*, which is of *kind*, perhaps a user's."""
    if rule in _TOKENS:
        return _TOKEN
    known = KINDS.get(kind)
    return f"[REDACTED_{kind.upper()}]" if known is None else known.placeholder


def placeholders(names: Iterable[str] = ()) -> re.Pattern[str]:
    """Return what matches each text that stands in place of a match, also of patterns with *names*."""
    known = {kind.placeholder for kind in KINDS.values()} | {placeholder(n, n) for n in names}
    words = "|".join(re.escape(one.removesuffix("]")) for one in sorted({*known, _TOKEN}))
    return re.compile(rf"(?:{words})(?:_\d{{4}})?\]|\[REDACTION_FAILED\]")


def chosen(kinds: Iterable[str] | None) -> frozenset[str]:
    """
    Return the set of *kinds*, those of default if it is None.

    Raises:
        ValueError: One of them is no kind.
    """
    if kinds is None:
        return DEFAULT_KINDS
    names = frozenset(kinds)
    if unknown := names - KINDS.keys():
        raise ValueError(f"{', '.join(sorted(unknown))}: no kind; there are {', '.join(KINDS)}")
    return names
