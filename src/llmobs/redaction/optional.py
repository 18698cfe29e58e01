"""Finds what is looked for only where somebody asks: addresses of machines and people, phones, births."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Set
from typing import Final

from llmobs.redaction.national import NATIONAL_IDS
from llmobs.redaction.spans import ANCHORS_A_STEP, Span
from llmobs.runtime.time_slices import Steps

__all__ = ["OPTIONAL", "find_optional"]

_AHEAD: Final = 128  # characters behind a window in which what begins in it may end


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return len(value) > len("::1")


_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _is_wallet(value: str) -> bool:
    """Whether *value* is an address of Ethereum, or one of Bitcoin whose checksum holds."""
    if value[0] not in "13":
        return True
    number = 0
    for char in value:
        number = number * 58 + _BASE58.index(char)
    data = (number % 256**25).to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def _always(value: str) -> bool:
    return True


_DATE = (
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}"
    r"|[0-9]{1,2}[-/. ]{1,2}(?:[0-9]{1,2}|[A-Za-zäé]{3,9})[-/., ]{1,2}[0-9]{2,4}"
    r"|[A-Z][a-z]{2,8} [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4})(?![0-9])"
)
_HOUSE = r"[0-9]{1,5}[A-Za-z]?(?:[-/][0-9]{1,4}[A-Za-z]?)?"
_STREETS = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Court|Ct|Square|Terrace|Highway|Way|Place|Plaza|"
    "Circle|Crescent|Close|Trail|Parkway|Pkwy|Expressway|Turnpike|Alley|Mews|Row|Walk|Gardens|Grove|Heights|"
    "Esplanade|Parade|Loop|Path|Bypass|Causeway|Freeway|Motorway|Junctions?|Ranch|Ridges?|Hills?|Courts|Drives|"
    "Streets|Roads|Squares|Circles|Trails|Lodge|Manors?|Meadows?|Orchard|Villages?|Viaduct|Cove|Glens?|Knolls?"
)
_FLAT = r"(?:Apt|Apartment|Suite|Unit|Flat)\.? ?#?[0-9]{1,5}[A-Za-z]?"
# In German, Dutch and Swedish the word is the end of the name.
_ENDS = (
    r"[Ss]tra(?:ß|ss|\\{1,8}u00df)e|[Ss]tr\.|[Gg]asse|[Ww]eg|[Pp]latz|[Aa]llee|[Rr]ing|[Dd]amm|[Uu]fer|"
    "straat|laan|plein|dreef|steeg|baan|gracht|kade|singel|gatan|vägen|stigen|torget|gränd|backen"
)
_RUES = "rue|avenue|boulevard|chemin|place|allée|impasse|quai|cours|route|passage|square"
# In Italian, Spanish, Portuguese and Polish it begins it, and the number is last.
_VIAS = (
    "Via|Viale|Piazza|Piazzale|Corso|Largo|Vicolo|Strada|Borgo|Contrada|Rotonda|Canale|Calle|C/|Avenida|"
    r"Avda?\.|Plaza|Paseo|Ronda|Rambla|Camino|Carretera|Travesía|Alameda|Glorieta|Pasaje|Callejón|Cuesta|Vial|"
    r"Vía|Rua|Praça|Travessa|Estrada|Rodovia|Viela|Praia|ul\.|ulica|al\.|aleja|pl\.|plac|os\.|osiedle"
)
_SMALL = r"(?:(?:d[eiu]|d[eo]l|d[ao]s?|des|l[ae]|l[aeo]s|della?|d'|de la) )"
_Check = Callable[[str], bool]

# The group, where there is one, is what goes; the rest is what tells it.
OPTIONAL: Final[dict[str, tuple[tuple[re.Pattern[str], _Check], ...]]] = {
    "ip": (
        (
            re.compile(r"(?<![0-9A-Za-z_.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_]|\.[0-9])"),
            _is_ip,
        ),
        (
            re.compile(r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:.])"),
            _is_ip,
        ),
    ),
    "mac": (
        (
            re.compile(
                r"(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"
            ),
            _always,
        ),
    ),
    "phone": (
        (re.compile(r"(?<![0-9A-Za-z_+])\+[1-9](?:[ .()/-]{0,2}[0-9]){6,14}(?![0-9])"), _always),
        (
            re.compile(
                r"(?<![\w.-])(?:(?:00)?1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])"
                r"[2-9][0-9]{2}[.-][0-9]{4}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?(?![\w-])"
            ),
            _always,
        ),
        (
            re.compile(
                r"\b(?:[Tt]el|[Pp]hone|[Mm]obile|[Ff]ax|[Cc]all|[Tt]elefon|[Hh]andy|[Cc]ell)\b[^0-9\n]{0,12}?"
                r"(?P<it>[0-9(](?:[ .()/-]{0,2}[0-9]){6,12})(?![0-9])"
            ),
            _always,
        ),
    ),
    "birth_date": (
        (
            re.compile(
                r"\b(?i:born|birth ?(?:day|date)?|date of birth|d\.?o\.?b\.?|geboren|geburtsdatum|née? le|nacimiento)\b"
                rf"[^0-9\n]{{0,16}}?(?P<it>{_DATE})"
            ),
            _always,
        ),
    ),
    "address": (
        (
            re.compile(
                rf"\b{_HOUSE},? (?:[A-Z][\w.'-]{{1,24}} ){{1,4}}(?:(?:{_STREETS})\b(?:,? {_FLAT})?|{_FLAT})"
            ),
            _always,
        ),
        (re.compile(rf"\b[A-ZÄÖÜÅ][\w.'-]{{1,40}}?(?:{_ENDS}) {_HOUSE}\b"), _always),
        (
            re.compile(
                rf"\b{_HOUSE},? (?:bis |ter )?(?:{_RUES}) {_SMALL}{{0,3}}"
                r"[A-ZÀ-Ý][\w'-]{1,24}(?: [A-ZÀ-Ý][\w'-]{1,24}){0,3}"
            ),
            _always,
        ),
        (
            re.compile(
                rf"\b(?:{_VIAS}) {_SMALL}{{0,3}}(?:[A-ZÀ-Ž][\w.'-]{{1,24}}[ ,]{{1,2}}){{1,5}}{_HOUSE}\b"
            ),
            _always,
        ),
    ),
    "crypto": (
        (
            re.compile(
                r"(?<![0-9A-Za-z])(?:0x[0-9a-fA-F]{40}|bc1[ac-hj-np-z02-9]{11,87}"
                r"|[13][1-9A-HJ-NP-Za-km-z]{25,34})(?![0-9A-Za-z])"
            ),
            _is_wallet,
        ),
    ),
    "national_id": tuple((number.pattern, number.check) for number in NATIONAL_IDS),
}
"""What to look for, by kind, and what the text that goes must be."""


def find_optional(
    text: str, low: int, high: int, kinds: Set[str], spans: list[Span]
) -> Steps[None]:
    """Append to ``spans`` what of ``kinds`` begins in ``text[low:high]``."""
    anchors = 0
    for kind in OPTIONAL.keys() & kinds:
        for pattern, check in OPTIONAL[kind]:
            group = pattern.groupindex.get("it", 0)
            for found in pattern.finditer(text, low, min(len(text), high + _AHEAD)):
                if found.start() >= high:
                    break
                anchors += 1
                if anchors % ANCHORS_A_STEP == 0:
                    yield
                if check(found[group]):
                    spans.append(Span(found.start(group), found.end(group), kind, kind))
            yield
