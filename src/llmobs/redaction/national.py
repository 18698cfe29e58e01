"""
Numbers that states give to people, by their shapes and published checksums.

Where a shape is no more than digits and its checksum lets one in ten through, a word has to stand
before it that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final, NamedTuple

__all__ = ["NATIONAL_IDS", "NationalId"]


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdigit()]


def _weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def _luhn(text: str) -> bool:
    digits = _digits(text)
    return sum(digits[-1::-2] + [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]) % 10 == 0


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _born(digits: Sequence[int], order: str = "ymd") -> bool:
    """Whether the first six digits are a date, of whatever century."""
    pairs = {part: digits[2 * n] * 10 + digits[2 * n + 1] for n, part in enumerate(order)}
    return any(_is_date(century + pairs["y"], pairs["m"], pairs["d"]) for century in (1900, 2000))


def _nhs(text: str) -> bool:
    d = _digits(text)
    return (11 - _weighted(d, range(10, 1, -1)) % 11) % 11 == d[9]


def _steuer_id(text: str) -> bool:
    d = _digits(text)
    counts = sorted(d[:10].count(n) for n in range(10))
    if counts[-1] not in (2, 3) or counts[-2] != 1:
        return False
    product = 10
    for digit in d[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == d[10]


def _nir(text: str) -> bool:
    number = re.sub(r"[ .]", "", text).upper()
    body = number[:13].replace("2A", "19", 1).replace("2B", "18", 1)
    return body.isdigit() and 97 - int(body) % 97 == int(number[13:])


def _dni(text: str) -> bool:
    number = text.replace("-", "").upper()
    body = number[:-1].translate({88: "0", 89: "1", 90: "2"})  # X, Y, Z
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23] == number[-1]


_ODD: Final = (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
)  # fmt: skip


def _codice_fiscale(text: str) -> bool:
    places = [int(c) if c.isdigit() else ord(c) - 65 for c in text.upper()]
    return (sum(_ODD[p] for p in places[:15:2]) + sum(places[1:15:2])) % 26 == places[15]


def _bsn(text: str) -> bool:
    d = _digits(text)
    return any(d) and (_weighted(d, range(9, 1, -1)) - d[8]) % 11 == 0


def _rrn(text: str) -> bool:
    number = re.sub(r"[ .-]", "", text)
    body, check = number[:9], int(number[9:])
    return check in (97 - int(body) % 97, 97 - int("2" + body) % 97)


def _pesel(text: str) -> bool:
    d = _digits(text)
    return (10 - _weighted(d, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == d[10]


def _personnummer(text: str) -> bool:
    digits = re.sub(r"[-+ ]", "", text)[-10:]
    d = _digits(digits)
    return _luhn(digits) and _born([*d[:4], d[4] % 6, d[5]])  # 60 more: no citizen


def _hetu(text: str) -> bool:
    number = re.sub(r"[^0-9]", "", text[:-1])
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number) % 31] == text[-1].upper() and _born(
        _digits(number), "dmy"
    )


def _fodselsnummer(text: str) -> bool:
    d = _digits(text)
    first = 11 - _weighted(d, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = 11 - _weighted(d, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return first % 11 == d[9] and second % 11 == d[10] and _born([d[0] % 4, *d[1:]], "dmy")


def _cpr(text: str) -> bool:
    return _born(_digits(text), "dmy")


def _svnr(text: str) -> bool:
    d = _digits(text)
    return (
        _weighted(d, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == d[3]
        and d[0] > 0
        and 0 < d[4] * 10 + d[5] < 32
    )


def _ean(text: str) -> bool:
    d = _digits(text)
    return (10 - _weighted(d[:12], (1, 3) * 6) % 10) % 10 == d[12]


def _cpf(text: str) -> bool:
    d = _digits(text)
    first = _weighted(d, range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(d, range(11, 1, -1)) * 10 % 11 % 10
    return [first, second] == d[9:] and len(set(d)) > 1


def _sin(text: str) -> bool:
    return text[0] not in "08" and _luhn(text)


def _tfn(text: str) -> bool:
    d = _digits(text)
    return _weighted(d, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and any(d)


_VERHOEFF: Final = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_SHUFFLED: Final = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def _aadhaar(text: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(_digits(text))):
        check = int(_VERHOEFF[check][int(_SHUFFLED[place % 8][digit])])
    return check == 0


def _ric(text: str) -> bool:
    d = _digits(text[:17])
    total = _weighted(d, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    born = _is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return "10X98765432"[total % 11] == text[17].upper() and born


def _kr(text: str) -> bool:
    return _born(_digits(text))


def _my_number(text: str) -> bool:
    d = _digits(text)
    rest = _weighted(d, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == d[11]


def _za(text: str) -> bool:
    d = _digits(text)
    return _luhn(text) and _born(d) and d[10] < 3


def _tckn(text: str) -> bool:
    d = _digits(text)
    return (
        d[0] > 0 and (7 * sum(d[0:9:2]) - sum(d[1:8:2])) % 10 == d[9] and sum(d[:10]) % 10 == d[10]
    )


def _nric(text: str) -> bool:
    first, last = text[0].upper(), text[-1].upper()
    total = _weighted(_digits(text), (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(first, 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "KLJNPQRTUWX"}.get(first, "XWUTRQPNMLK")
    rest = total % 11
    return letters[10 - rest if first == "M" else rest] == last


def _rut(text: str) -> bool:
    body = [int(char) for char in reversed(text[:-1]) if char.isdigit()]
    rest = 11 - _weighted(body, (2, 3, 4, 5, 6, 7, 2, 3)) % 11
    return {11: "0", 10: "K"}.get(rest, str(rest)) == text[-1].upper()


def _cnp(text: str) -> bool:
    d = _digits(text)
    rest = _weighted(d, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (1 if rest == 10 else rest) == d[12] and d[0] > 0 and _born(d[1:])


def _rodne_cislo(text: str) -> bool:
    number = text.replace("/", "")
    d = _digits(number)
    month = (d[2] * 10 + d[3]) % 50 % 20
    right = int(number) % 11 == 0 or (int(number[:9]) % 11 == 10 and d[9] == 0)
    return right and _born([*d[:2], *divmod(month, 10), *d[4:]])


def _pps(text: str) -> bool:
    total = _weighted(_digits(text), range(8, 1, -1))
    if len(text) == 9 and text[8].upper() != "W":
        total += 9 * (ord(text[8].upper()) - 64)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == text[7].upper()


def _always(text: str) -> bool:
    return True


class NationalId(NamedTuple):
    """One sort of number."""

    name: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool]


# Country and name; the shape; the check; words of which one has to stand before, if any.
_TABLE: Final[tuple[tuple[str, str, Callable[[str], bool], str], ...]] = (
    ("at-svnr", r"[1-9]\d{3} ?\d{6}", _svnr, r"svn?r?\b|sozialversicherung|versicherungsnummer"),
    ("au-tfn", r"\d{3} ?\d{3} ?\d{3}", _tfn, "tfn|tax file"),
    ("be-rrn", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", _rrn, ""),
    ("br-cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}", _cpf, ""),
    ("br-cpf", r"\d{11}", _cpf, "cpf"),
    ("ca-sin", r"\d{3}(?P<gap>[- ])\d{3}(?P=gap)\d{3}", _sin, ""),
    ("ch-ahv", r"756\.\d{4}\.\d{4}\.\d{2}|756\d{10}", _ean, ""),
    ("cl-rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]", _rut, ""),
    ("cn-ric", r"[1-8]\d{5}(?:19|20)\d{9}[\dXx]", _ric, ""),
    ("cz-rc", r"\d{6}/\d{4}", _rodne_cislo, ""),
    ("de-idnr", r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}", _steuer_id, r"steuer|idnr|tin\b|tax id"),
    ("dk-cpr", r"\d{6}-?\d{4}", _cpr, r"cpr\b"),
    ("es-dni", r"(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", _dni, ""),
    ("fi-hetu", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu, ""),
    ("fr-nir", r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", _nir, ""),
    ("gb-nhs", r"\d{3} \d{3} \d{4}", _nhs, ""),
    ("gb-nhs", r"\d{10}", _nhs, "nhs"),
    (
        "gb-nino",
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        _always,
        "",
    ),
    ("ie-pps", r"\d{7}[A-W][A-IW]?", _pps, ""),
    # Not where more numbers stand beside it: a table.
    (
        "in-aadhaar",
        r"(?<![0-9]\s)[2-9]\d{3}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?!\s[0-9])",
        _aadhaar,
        "",
    ),
    ("in-pan", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", _always, r"pan\b|permanent account"),
    ("it-cf", r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]", _codice_fiscale, ""),
    ("jp-my-number", r"\d{4}[ -]?\d{4}[ -]?\d{4}", _my_number, "my number|マイナンバー|個人番号"),
    ("kr-rrn", r"\d{6}-[1-8]\d{6}", _kr, ""),
    (
        "mx-curp",
        r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z]\d",
        _always,
        "",
    ),
    ("nl-bsn", r"\d{9}", _bsn, "bsn|burgerservice"),
    ("no-fnr", r"\d{6} ?\d{5}", _fodselsnummer, ""),
    ("pl-pesel", r"\d{11}", _pesel, "pesel"),
    ("ro-cnp", r"[1-9]\d{12}", _cnp, ""),
    ("se-pnr", r"\d{6}[-+]\d{4}", _personnummer, ""),
    ("se-pnr", r"(?:19|20)\d{6}-?\d{4}", _personnummer, "personnummer|personal"),
    ("sg-nric", r"[STFGM]\d{7}[A-Z]", _nric, ""),
    ("tr-tckn", r"[1-9]\d{10}", _tckn, r"t\.?c\.?|tckn|kimlik"),
    ("us-itin", r"9\d{2}-(?:5\d|6[0-5]|[78]\d|9[0-24-9])-\d{4}", _always, ""),
    ("za-id", r"\d{10}[0-2][89]\d", _za, ""),
)


def _compiled(shape: str, words: str) -> re.Pattern[str]:
    before = rf"(?i:\b(?:{words}))[^0-9\n]{{0,24}}?" if words else ""
    return re.compile(rf"{before}(?<![0-9A-Za-z_.,/+-])(?P<it>{shape})(?![0-9A-Za-z_]|[-.,/][0-9])")


NATIONAL_IDS: Final = tuple(
    NationalId(name, _compiled(shape, words), check) for name, shape, check, words in _TABLE
)
"""All of them."""
