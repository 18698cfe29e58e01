"""
Labelled strings by other authors: values, and the text around them, by Faker; which numbers are what they
claim to be, by python-stdnum. ``python -m benchmarks.redaction.by_others [SEED]`` prints what is found.

What another generator thinks a card, a phone or a street looks like is not what ours thinks. Seed 1 is for
looking at what is missed; a seed is seen once it was looked at, so figures are taken with one that never was.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from importlib import import_module

from faker import Faker

from benchmarks.redaction.corpus import Case
from benchmarks.redaction.figures import Figures, measure
from llmobs.redaction.scan import find

__all__ = ["LEAST", "by_others", "measure_others"]

LOCALES = (
    "en_US", "en_GB", "en_CA", "en_AU", "de_DE", "de_AT", "fr_FR", "it_IT", "es_ES", "nl_NL", "pt_BR",
    "sv_SE", "pl_PL",
)  # fmt: skip
LEAST = {
    "email": 0.99, "iban": 0.99, "ssn": 0.99, "ip": 0.99, "mac": 0.99, "birth_date": 0.99, "card": 0.99,
    "secret": 0.92, "phone": 0.93, "address": 0.5, "national_id": 0.99,
}  # fmt: skip
"""
Recall that is promised of each kind, as this corpus has it. Faker's passwords are of any characters:
one that reads like a call, ``gT(0Xvo``, or a variable, ``$J3rQ``, is left; its English streets end in any
of 200 words, and few of them are those of real ones.
"""

# Numbers of people, by locale: who checks them, and what stands before where a word is needed.
_IDS = {
    "en_CA": ("ca.sin", ""), "de_AT": ("at.vnr", "SVNR "), "it_IT": ("it.codicefiscale", ""),
    "es_ES": ("es.dni", ""), "nl_NL": ("nl.bsn", "BSN "), "pt_BR": ("br.cpf", "CPF "),
    "sv_SE": ("se.personnummer", ""), "pl_PL": ("pl.pesel", "PESEL "), "fr_FR": ("fr.nir", ""),
    "en_GB": ("", ""),
}  # fmt: skip
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LIVED = (date(1930, 1, 1), date(2010, 1, 1))
_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%B %d, %Y")

Make = Callable[[Faker, random.Random], str]


def _card(fake: Faker, rng: random.Random) -> str:
    number = fake.credit_card_number()
    # What no issuer gives out: Faker takes all of 35 for JCB (it has 3528 to 3589), and for Maestro 0604
    # and all of 56 to 58, of twelve digits, which one in thirty numbers of that length begins with.
    if number[:4] == "0604" or (number[:2] == "35" and not "3528" <= number[:4] <= "3589"):
        return _card(fake, rng)
    if len(number) == 12 and "56" <= number[:2] <= "58":
        return _card(fake, rng)
    if len(number) == 16 and rng.random() < 0.4:
        return " ".join(number[at : at + 4] for at in range(0, 16, 4))
    return number


_MAKE: dict[str, tuple[str, Make]] = {
    "email": ("", lambda f, r: r.choice([f.email, f.ascii_company_email, f.ascii_free_email])()),
    "card": ("", _card),
    "iban": ("", lambda f, r: f.iban()),
    "ip": ("", lambda f, r: f.ipv4() if r.random() < 0.6 else f.ipv6()),
    "mac": ("", lambda f, r: f.mac_address()),
    "phone": ("Tel. ", lambda f, r: f.phone_number()),
    "address": ("", lambda f, r: f.street_address()),
    "birth_date": ("born ", lambda f, r: f.date_between(*_LIVED).strftime(r.choice(_DATES))),
    "secret": ("password: ", lambda f, r: f.password(length=r.randint(8, 24))),
}
"""By kind: what stands before it, and how it is made."""


def by_others(seed: int, scale: float = 1.0) -> Iterator[Case]:
    """Yield the corpus of a seed; the same one gives the same, for one version of Faker."""
    count = max(2, int(40 * scale))
    for locale in LOCALES:
        fake = Faker(locale)
        fake.seed_instance(f"{seed} {locale}")
        rng = random.Random(f"{seed} {locale}")
        for kind, (before, make) in _MAKE.items():
            for _ in range(count):
                yield _case(fake, kind, locale, before, make(fake, rng))
        if locale == "en_US":
            for _ in range(count):
                yield _case(fake, "ssn", locale, "", fake.ssn())
        for value, word in _ids(fake, locale, count):
            yield _case(fake, "national_id", locale, word, value)
        for _ in range(count):  # nothing to find: names, jobs, prices, dates, colours
            text = f"{fake.name()}, {fake.job()}: {fake.sentence()} {fake.pricetag() if locale == 'en_US' else fake.color()} {fake.iso8601(end_datetime=_NOW)} {fake.uuid4()} {fake.file_path()}"  # noqa: E501
            yield Case(text, None, "", f"faker {locale}")


def _ids(fake: Faker, locale: str, count: int) -> Iterator[tuple[str, str]]:
    module, word = _IDS.get(locale, ("", ""))
    if module:
        checks = import_module(f"stdnum.{module}").is_valid
        made = (fake.ssn() for _ in range(20 * count))
        valid = [value for value in made if checks(value)]
        yield from ((value, word) for value in valid[:count])


def _case(fake: Faker, kind: str, locale: str, before: str, value: str) -> Case:
    text = f"{fake.sentence()} {before}{value} {fake.sentence()}"
    return Case(text, kind, value, f"{kind} {locale}")


def measure_others(seed: int, scale: float = 1.0) -> dict[str, Figures]:
    """Return what is found of each kind, looked for by itself."""
    cases = list(by_others(seed, scale))
    return {
        kind: measure(
            (case for case in cases if case.kind in (kind, None)), partial(find, kinds=[kind])
        )
        for kind in (*_MAKE, "ssn", "national_id")
    }


def main() -> None:
    """Print a table, and with ``--misses`` what is missed: then the seed is seen."""
    seed = next((int(word) for word in sys.argv[1:] if word.isdigit()), 1)
    for kind, figures in measure_others(seed).items():
        found, labelled = figures.found[kind], figures.labelled[kind]
        print(
            f"{kind:12} {found:>4} of {labelled:<4} {found / labelled:.3f}  wrong {len(figures.wrong)}"
        )
        if "--misses" in sys.argv:
            for case in figures.missed[:200]:
                print("   missed", case.source, repr(case.value))
            for case, _, taken in figures.wrong[:5]:
                print("   wrong", repr(taken), "in", repr(case.text[:100]))


if __name__ == "__main__":
    main()
