"""What is promised is found, and nothing else, in strings that share nothing with the finders."""

from __future__ import annotations

import pytest

from benchmarks.redaction.corpus import Case, corpus, is_held_out, number_rich
from benchmarks.redaction.figures import Figures, measure_all
from benchmarks.redaction.formats import TOKENS
from llmobs.redaction.kinds import KINDS
from llmobs.redaction.redactor import redact_text
from llmobs.redaction.rules import TOKEN_RULES, TokenRule
from llmobs.redaction.scan import find


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return corpus(seed=41, scale=0.25)


@pytest.fixture(scope="module")
def figures(cases: list[Case]) -> Figures:
    return measure_all(cases)


def test_the_corpus_is_large_and_a_third_of_it_is_held_out(cases: list[Case]) -> None:
    assert len(corpus()) >= 2_000
    held_out = sum(map(is_held_out, cases))
    assert len(cases) / 4 < held_out < len(cases) / 2
    assert len(TOKENS) >= 100


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_promised_is_found_and_nothing_else(figures: Figures, kind: str) -> None:
    assert figures.labelled[kind] >= 20
    told = [(case.source, case.value) for case in figures.missed if case.kind == kind]
    assert figures.recall(kind) >= 0.99, told
    assert figures.precision(kind) >= 0.99, [(rule, taken) for _, rule, taken in figures.wrong]


@pytest.mark.parametrize("rule", TOKEN_RULES, ids=lambda rule: rule.prefix)
def test_every_format_is_seen_wherever_it_stands(rule: TokenRule) -> None:
    if rule.proof is not None and rule.prefix.startswith(("api-", "sdk-", "mob-")):
        body = "0a1b2c3d-1234-4abc-8def-0123456789ab"
    else:
        alphabet = "".join(c for c in "aB1cD2eF3aK4" if rule.run.match(c) and rule.run.match(c)[0])  # type: ignore[index]
        body = (alphabet * rule.least)[: max(rule.least, 48)]
    for before in ("", "key ", '"', "x=", "(", "\\n", "€ "):
        (span,) = find(f"{before}{rule.prefix}{body} and so on")
        assert (span.end, span.kind) == (len(before + rule.prefix + body), "secret")


@pytest.mark.parametrize(
    "number",
    [
        "392-358-9913x944",
        "(443)256-1280",
        "001-747-409-0054",
        "1-780-563-6083 ext. 77",
        "(591) 341-7776",
    ],
)
def test_phones_are_found_with_what_is_dialled_before_and_behind(number: str) -> None:
    (span,) = find(f"Call {number}, please", ["phone"])
    assert (span.start, span.end) == (5, 5 + len(number))


def test_text_full_of_numbers_is_left_alone() -> None:
    text = number_rich(1_000_000, seed=5)
    assert len(find(text)) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "np.dot(a@b.shape) + q@k.transpose(1, 0)",
        "git@github.com:org/repo.git and ssh://git@github.com/org/repo",
        "IMEI 490154203237518, 356938035643809",
        "npm i @angular/core@17.0.0; @app.get; thanks @ann.lee",
        "1234 5678 9012 3456 4111 1111 1111 1111 2345 6789",
        "\n".join(
            [
                "4111111111111111",
                *(f"45{n}7390218834{n}2" for n in range(11, 15)),
                "5500000000000004",
            ]
        ),
        "max_tokens=4096 token_count: 12345678",
        "password: required",
        '"utf_8_sig": "UTF-8-SIG"',
        "sk-ssh-ed25519-cert-v01, sk-ecdsa-sha2-nistp256-cert-v01",
        "docker run -u 1000:1000 image; curl -u $USER:$PASSWORD x",
        '{"secret": 0, "password": true, "tokens": [1, 2, 3], "token": 123}',
        "self.client_secret=client_secret",
        "def connect(pwd=abc, password=cwd)",
    ],
)
def test_data_is_not_destroyed(text: str) -> None:
    assert redact_text(text) is text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Visa4111111111111111", "Visa[REDACTED_CC]"),
        ("12345 4111 1111 1111 1111", "12345 [REDACTED_CC]"),
        ("ann%40example.com", "[REDACTED_EMAIL]"),
        ("ann&#64;example.com", "[REDACTED_EMAIL]"),
        ("a\u200bnn\uff20exam\u200bple.com", "[REDACTED_EMAIL]"),
        ("JCB 213123420796040", "JCB [REDACTED_CC]"),
        ("SSN 123 45 6789", "SSN [REDACTED_SSN]"),
        ("social security number: 123456789", "social security number: [REDACTED_SSN]"),
        ("DE89 3704 0044 0532 0130 00", "[REDACTED_IBAN]"),
        ("postgres://app:hunter2!x@db/app", "postgres://app:[REDACTED_KEY]@db/app"),
        ('{"password": "hunter2"}', '{"password": "[REDACTED_KEY]"}'),
        ("PASSWORD=hunter2\n", "PASSWORD=[REDACTED_KEY]\n"),
        ("--api-key abc123xyz next", "--api-key [REDACTED_KEY] next"),
        ("Cookie: sid=a1b2; t=x\r\nHost: y", "Cookie: [REDACTED_TOKEN]\r\nHost: y"),
        ("the password: Tr0ub4dor&3.", "the password: [REDACTED_KEY]."),
        ("authorization=Bearer%20abcdef1234567890&x=1", "authorization=[REDACTED_TOKEN]&x=1"),
        ("Basic YW5uOmh1bnRlcjI=", "[REDACTED_TOKEN]"),
        ("client_secret=abcdefgh", "client_secret=[REDACTED_KEY]"),
        ("/cb?client_secret=hello&z=1", "/cb?client_secret=[REDACTED_KEY]&z=1"),
        ('{"client_secret": "abcdefghijklmnopq"}', '{"client_secret": "[REDACTED_KEY]"}'),
        ("Uid=sa;Pwd=abc;Db=x", "Uid=sa;Pwd=[REDACTED_KEY];Db=x"),
        ("curl -u ann:hunter2 https://x", "curl -u ann:[REDACTED_KEY] https://x"),
        ("curl --user 'ann:pa ss' x", "curl --user 'ann:[REDACTED_KEY]' x"),
        ('{"password": 12345678, "n": 1}', '{"password": "[REDACTED_KEY]", "n": 1}'),
        ('"{\\"pin_passcode\\": 1234}"', '"{\\"pin_passcode\\": \\"[REDACTED_KEY]\\"}"'),
        (
            '{"api_key": [123456, "ab12cd34ef"], "n": 1}',
            '{"api_key": ["[REDACTED_KEY]", "[REDACTED_KEY]"], "n": 1}',
        ),
        ("token: dapi" + "0a1b2c3d" * 4, "token: [REDACTED_KEY]"),
        ('{"k": "SCW0123456789ABCDEFG"}', '{"k": "[REDACTED_KEY]"}'),
        ("hf_" + "abCdEfGhIj" * 3 + "abcd", "[REDACTED_KEY]"),
        ("a ABSKbbw+MqG1zNoK/lN7ng" + "710W/qjf" * 12, "a [REDACTED_KEY]"),
    ],
)
def test_the_many_ways_it_is_written(text: str, expected: str) -> None:
    assert redact_text(text) == expected
