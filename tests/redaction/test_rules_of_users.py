"""Names, pieces, bytes, and what an application says itself about redaction."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from llmobs import Client, ConfigurationError, PromptCallEvent, Settings
from llmobs.redaction.redactor import Redactor, redact_text
from llmobs.redaction.replacing import FAILED
from llmobs.redaction.rules_of_users import UserRules, user_rules
from llmobs.sinks.memory import MemorySink


def test_a_secret_name_hides_its_value_whatever_it_is() -> None:
    value = {
        "password": "a",
        "Api-Key": 12345,
        "cookies": {"sid": "x", "seen": [1, None, True]},
        "headers": [["Authorization", "x"], ("accept", "*/*")],
        "token": "Hello",
        "access_token": "Hello",
        "max_tokens": 4096,
        "token_count": 7,
        "secret": None,
        "has_password": True,
    }
    hidden = "[REDACTED_KEY]"
    expected = {
        "password": hidden,
        "Api-Key": hidden,
        "cookies": {"sid": hidden, "seen": [hidden, None, True]},
        "headers": [["Authorization", hidden], ("accept", "*/*")],
        "token": "Hello",
        "access_token": hidden,
        "max_tokens": 4096,
        "token_count": 7,
        "secret": None,
        "has_password": True,
    }
    redactor = Redactor()
    for _ in range(3):  # what was found clean is remembered; a name is not
        assert redactor.value(value) == expected
    assert redactor.value(expected) is expected
    assert Redactor(kinds=["email"]).value(value) is value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            ["mail", " to ann", "@exam", "ple.com", " now"],
            ["mail", " to [REDACTED_EMAIL]", "", "", " now"],
        ),
        (
            [{"type": "text", "text": "card 4111 1111"}, {"type": "text", "text": " 1111 1111!"}],
            [{"type": "text", "text": "card [REDACTED_CC]"}, {"type": "text", "text": "!"}],
        ),
        (("a ", "bob@b", ".org"), ("a ", "[REDACTED_EMAIL]", "")),
        (["4111", "1111", "1111", "1111"], ["4111", "1111", "1111", "1111"]),
    ],
)
def test_what_is_split_over_pieces_is_found(value: Any, expected: Any) -> None:
    assert Redactor().value(value) == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["ann.lee@exa", "mple.com"], ["[REDACTED_EMAIL]", ""]),
        (["sk-pro", "j-" + "a1B2c3D4" * 6], ["[REDACTED_KEY]", ""]),
        # Texts that stand alone, of which one ends where it could go on in the next.
        (["bob", "x@y.com"], ["bob", "[REDACTED_EMAIL]"]),
        (["password=", "hello1234"], ["password=", "hello1234"]),
        (["4111", "1111", "1111", "1111"], ["4111", "1111", "1111", "1111"]),
    ],
)
def test_texts_of_a_list_are_one_text_only_where_that_is_plain(
    pieces: list[str], expected: list[str]
) -> None:
    assert Redactor().value(pieces) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my password is hunter2, ok?", "my password is [REDACTED_KEY], ok?"),
        ("Password is: hunter2!", "Password is: [REDACTED_KEY]!"),
        ('password is "p4ss word"', 'password is "[REDACTED_KEY]"'),
        ("authorization: bearer abcdefghijklmnop", "authorization: [REDACTED_TOKEN]"),
        ("https://h/x?token=abc123&x=1", "https://h/x?token=[REDACTED_KEY]&x=1"),
    ],
)
def test_what_people_give_away_in_passing_is_found(text: str, expected: str) -> None:
    assert redact_text(text) == expected
    padded = "nothing to see here. " * 4_000 + text  # it lies across windows, too
    for length in range(32_700, 32_800, 7):
        tail = padded[len(padded) - len(text) - length :]
        assert redact_text(tail) == tail.replace(text, expected)


@pytest.mark.parametrize(
    "text",
    [
        "The password is required",
        "Your password is case-sensitive.",
        "the password is 8 characters long",
        "Authorization: Bearer certificates",
        "/list?page_token=abc123",
    ],
)
def test_prose_about_secrets_gives_none_away(text: str) -> None:
    assert redact_text(text) == text


def test_bytes_in_base64_are_looked_into() -> None:
    def encoded(text: bytes) -> str:
        return base64.b64encode(text).decode()

    body = {"body": encoded(b'{"to": "ann@example.com"}'), "image": encoded(bytes(range(99)))}
    assert Redactor().value(body) == body | {"body": encoded(b'{"to": "[REDACTED_EMAIL]"}')}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "[REDACTED_EMAIL] [REDACTED_EMAIL] [REDACTED_CC]"),
        ({"action": "numbered"}, "[EMAIL_1] [EMAIL_2] [CC_1]"),
        ({"action": "last4"}, "[REDACTED_EMAIL] [REDACTED_EMAIL] [REDACTED_CC_1111]"),
        ({"action": "drop"}, "  "),
        ({"kinds": ["card"]}, "ann@example.com bob@our.example [REDACTED_CC]"),
        ({"kinds": {"card": False}}, "[REDACTED_EMAIL] [REDACTED_EMAIL] 4111 1111 1111 1111"),
        ({"allow": ["*@our.example"]}, "[REDACTED_EMAIL] bob@our.example [REDACTED_CC]"),
        (
            {"patterns": {"person": r"\b(?:ann|bob)\b"}, "kinds": []},
            "[REDACTED_PERSON]@example.com [REDACTED_PERSON]@our.example 4111 1111 1111 1111",
        ),
    ],
)
def test_what_users_say(said: dict[str, Any], expected: str) -> None:
    redactor = Redactor(rules=user_rules(said))
    for _ in range(2):
        assert redactor.value("ann@example.com bob@our.example 4111 1111 1111 1111") == expected


def test_rules_are_read_from_a_file_and_win_over_redact_pii(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.toml").write_text('action = "numbered"\nintegers = true\nkinds = ["card"]')
    (tmp_path / "rules.json").write_text('{"kinds": {"email": false}}')

    def recorded() -> Any:
        sink = MemorySink()
        with Client(sink=sink, redact_pii=False) as client:
            client.log_prompt_call(
                run_id="r",
                model="m",
                response="",
                prompt="ann@example.com 4111111111111111",
                request_params={"n": 4111111111111111},
            )
        (call,) = (event for event in sink.events if isinstance(event, PromptCallEvent))
        return call.prompt, (call.request_params or {})["n"]

    assert recorded() == ("ann@example.com 4111111111111111", 4111111111111111)
    monkeypatch.setenv("LLMOBS_REDACTION", str(tmp_path / "rules.toml"))
    assert recorded() == ("ann@example.com [CC_1]", "[CC_1]")
    monkeypatch.setenv("LLMOBS_REDACTION", str(tmp_path / "rules.json"))
    assert recorded() == ("ann@example.com [REDACTED_CC]", 4111111111111111)
    assert "4111" not in repr(Settings(redaction={"key": "4111"}))
    with pytest.raises(ConfigurationError, match=r"LLMOBS_REDACTION.*kind: unknown"):
        Client(redaction={"kind": "email"})


def test_a_hash_is_the_same_wherever_the_key_is() -> None:
    said = {"action": "hashed", "key": "k" * 16}
    one, two = (Redactor(rules=user_rules(said)).value("ann@example.com") for _ in range(2))
    other = Redactor(rules=user_rules(said | {"key": "l" * 16})).value("ann@example.com")
    assert one == two != other
    assert one.startswith("[EMAIL_")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"kind": 1}, "kind: unknown; there are kinds, patterns"),
        ({"kinds": {"emial": True}}, "kinds: emial: no kind; there are email"),
        ({"kinds": ["emial"]}, "kinds: emial: no kind"),
        ({"action": "hide"}, "action='hide': must be one of plain, numbered"),
        ({"action": "hashed"}, "at least 16 characters"),
        ({"allow": "*@a.b"}, "allow: must be a list of texts"),
        ({"allow": {"email": "*@a.b"}}, "allow: email: must be a list of texts"),
        ({"allow": {"emial": ["*@a.b"]}}, "allow: emial: no kind; there are email"),
        ({"patterns": {"x": "a{3000}"}}, "patterns: x: at most 2048 characters"),
        ({"names": None}, "names: must be a list of texts"),
        ({"patterns": ["a"]}, "patterns: must be a mapping"),
        ("/nowhere/rules.json", "/nowhere/rules.json cannot be read: No such file"),
        ("{", "what is given: "),
        ("[]", "[] cannot be read"),
        (7, "must be a mapping, or the path of"),
        ({"patterns": {"x": "("}}, "patterns: x: missing"),
        ({"patterns": {"x": 1}}, "patterns: x: must be a regular expression"),
        ({"patterns": {"x": "a*"}}, "patterns: x: it matches the empty text"),
        ({"patterns": {"x": "(a+)+b"}}, "patterns: x: a repetition within a repetition"),
        ({"patterns": {"x": r"(?:a|ab)*c"}}, "patterns: x: a repetition within"),
        ({"patterns": {"x": r"(\d+\s?)*b"}}, "patterns: x: a repetition within"),
    ],
)
def test_what_is_wrong_is_named(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        user_rules(said)


@pytest.mark.parametrize("before", [0, 3_400, 3_500, 3_584, 4_000, 4_090])
@pytest.mark.parametrize("pattern", ["<[A-Z]{600,700}>", "(?<=<)[A-Z]{650}", r"\b[A-Z]+\b"])
def test_a_match_is_found_whole_wherever_windows_end(before: int, pattern: str) -> None:
    text = "-" * before + "<" + "B" * 650 + ">" + "-" * 5_000
    clean = Redactor(rules=user_rules({"patterns": {"x": pattern}, "kinds": []})).value(text)
    assert "B" not in clean
    assert clean.count("[REDACTED_X]") == 1


def test_names_of_your_own_hide_values_in_texts_too() -> None:
    redactor = Redactor(rules=user_rules({"names": ["badge", "staff no"]}))
    assert redactor.value({"Employee-Badge": 7}) == {"Employee-Badge": "[REDACTED_KEY]"}
    text = 'badge=a7B9x2 {"employee_badge": "x9k2m", "staffNo": 41123} STAFF_NO: 77-81a'
    hidden = "[REDACTED_KEY]"
    assert redactor.value(text) == (
        f'badge={hidden} {{"employee_badge": "{hidden}", "staffNo": "{hidden}"}} STAFF_NO: {hidden}'
    )
    padded = "x" * 4_090 + " " + text
    assert redactor.value(padded).count(hidden) == 4
    assert Redactor().value(text) == text


@pytest.mark.parametrize("way", ["\\u%04x", "\\u%04X", "%%%02x", "%%25%02X", "&#%d;", "&#x%x;"])
@pytest.mark.parametrize("at", range(5))
def test_names_of_your_own_are_known_however_they_are_spelt(way: str, at: int) -> None:
    redactor = Redactor(rules=user_rules({"names": ["Badge"]}))
    for name in ("badge", "BADGE"):
        spelt = name[:at] + way % ord(name[at]) + name[at + 1 :]
        assert redactor.value(f"{spelt}=a7B9x2") == f"{spelt}=[REDACTED_KEY]"
        assert redactor.value(f'{{"{spelt}": 41123}}') == f'{{"{spelt}": "[REDACTED_KEY]"}}'


def test_what_may_stay_can_be_said_by_kind() -> None:
    redactor = Redactor(rules=user_rules({"allow": {"email": ["*@our.example"], "ssn": ["123-*"]}}))
    text = "ann@our.example 123-45-6789 ann@example.com 4111 1111 1111 1111"
    assert redactor.value(text) == "ann@our.example 123-45-6789 [REDACTED_EMAIL] [REDACTED_CC]"


def test_a_slow_pattern_costs_the_field_and_not_the_secret() -> None:
    # Quadratic: no repetition within another, so it is accepted, and bounded by the window.
    rules = user_rules({"patterns": {"x": "a+b"}})
    rules.slowest = 0.0
    redactor = Redactor(rules=rules)
    assert redactor.value(["a" * 5_000, 1]) == [FAILED, 1]
    assert redactor.failures == 1


def test_the_default_rules_are_the_default_kinds() -> None:
    assert UserRules().kinds == user_rules({}).kinds == user_rules({"kinds": {}}).kinds
