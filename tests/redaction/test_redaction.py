"""Redaction finds what it should, leaves the rest alone, and stays linear."""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Set
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from llmobs.redaction import redactor as redactor_module
from llmobs.redaction import scan
from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS
from llmobs.redaction.redactor import Redactor, redact_text, redacting
from llmobs.redaction.replacing import FAILED
from llmobs.redaction.scan import Span, find, finding
from llmobs.runtime.time_slices import Steps, finish

TraceFunction = Callable[[FrameType, str, Any], Any]

KEYS = [
    "sk-abcdefghijklmnopqrstuvwxyz",
    "sk-ant-api03-AbCdEf_12345678901-2345",
    "sk-proj-AbCdEf1234567890AbCdEf",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11AAbb_" * 9,
    "xoxb-123456789012-abcdefGHIJ",
    "xoxp-123456789012-abcdefGHIJ",
    "AIza" + "SyA1-_b" * 5,
    "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/a=\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,X\n\nMIIE\n-----END RSA PRIVATE KEY-----",
]
TOKENS = ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27", "Bearer abc123.x/y+z=="]
CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "3782 822463 10005",
    "378282246310005",
    "30569309025904",
    "4222222222222",
    "6304000000000000000",
]
EMAILS = [
    "john@example.com",
    "a.b+c@sub.example.co.uk",
    "o'brien@example.ie",
    "josé@example.com",
]
SECRETS = (
    [(text, "[REDACTED_KEY]") for text in KEYS]
    + [(text, "[REDACTED_TOKEN]") for text in TOKENS]
    + [(text, "[REDACTED_CC]") for text in CARDS]
    + [(text, "[REDACTED_EMAIL]") for text in EMAILS]
)
# What may stand on either side of a secret, none of it part of one.
EDGES = ["", " ", "\n", "\t", '"', "(", ": ", "😀", "→", "请", "\ud800", "=", ">", ", "]


@pytest.mark.parametrize(("secret", "token"), SECRETS)
@pytest.mark.parametrize("before", EDGES)
def test_a_secret_goes_and_its_surroundings_stay(secret: str, token: str, before: str) -> None:
    after = " and so on"
    assert redact_text(before + secret + after) == before + token + after


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Contact:\njohn@example.com", "Contact:\n[REDACTED_EMAIL]"),
        ("éjohn@example.com", "[REDACTED_EMAIL]"),
        ("josé@münchen.de", "[REDACTED_EMAIL]"),
        ("пиши иван@почта.рф!", "пиши [REDACTED_EMAIL]!"),
        ("jos\\u00e9@example.com", "[REDACTED_EMAIL]"),
        ("write to john@example.com.", "write to [REDACTED_EMAIL]."),
        ("'john@example.com'", "'[REDACTED_EMAIL]'"),
        ("<a@b.io>,c@d.io", "<[REDACTED_EMAIL]>,[REDACTED_EMAIL]"),
        ("邮箱john@example.com谢谢", "邮箱[REDACTED_EMAIL]谢谢"),
        ("a@b.com@c.com", "[REDACTED_EMAIL]"),
        ("4111 1111 1111 1111 12/27", "[REDACTED_CC] 12/27"),
        ("12345 4111 1111 1111 1111", "12345 [REDACTED_CC]"),
        ("Visa4111111111111111,", "Visa[REDACTED_CC],"),
        ("\\n4111111111111111", "\\n[REDACTED_CC]"),
        ("\\b4111111111111111", "\\b[REDACTED_CC]"),
        ("\\u20134111111111111111", "\\u2013[REDACTED_CC]"),
        ("Authorization: Bearer " + KEYS[1], "Authorization: [REDACTED_TOKEN]"),
        (f"token {TOKENS[0]}.", "token [REDACTED_TOKEN]."),
        ("-----BEGIN PRIVATE KEY-----\nMIIcut", "[REDACTED_KEY]"),
    ],
)
def test_edges_of_matches(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "[REDACTED_SSN] and [REDACTED_EMAIL]",
        "@app.get('/x') def f(a: B @ C): ...",
        "root@10.0.0.1, pkg@1.2.3, @someone, someone@",
        "4111111111111112",  # the checksum fails
        "41111111111111111111111",  # part of a longer run
        "0.4111111111111111",
        "a4111111111111111",  # hexadecimal
        "4111111111111111abcdef",
        "1700000000000 1700000000000000 1700000000000000000",  # time stamps
        "2023-01-01 2024-01-01 10:00:00",
        "41111111-1111-4111-a111-411111111111",
        "00-4111111111111111a3ce929d0e0e4736-4111111111111111-01",  # traceparent
        "sk-learn-pipeline-example-two",
        "task-abcdefghijklmnopqrstuvwxyz risk-1234567890abcdefghij",
        "the bearer of news, Bearer certificates",
        "eyJhbGciOiJIUzI1NiJ9",  # no dot: base64, not a token
        "KEY----- AK Iz b_ p-",
    ],
)
def test_ordinary_text_comes_back_itself(text: str) -> None:
    assert redact_text(text) is text


def test_uuids_never_match() -> None:
    rng = random.Random(20_000)
    for _ in range(20_000):
        text = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        for form in (text, text.replace("-", ""), f'{{"id":"{text}"}}'):
            assert redact_text(form) is form


@pytest.mark.parametrize(("secret", "token"), SECRETS)
@pytest.mark.parametrize("before", ["\n", "é", "\t", '"', "\\", "→", "\b", "😀", "x\\n", "a "])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_json_text_stays_json(secret: str, token: str, before: str, ensure_ascii: bool) -> None:
    text = json.dumps({"to": [before + secret + "\n", 1]}, ensure_ascii=ensure_ascii)
    value = json.loads(redact_text(text))["to"][0]
    assert token in value
    assert secret not in value
    # And once more: JSON text in JSON text.
    value = json.loads(json.loads(redact_text(json.dumps(text))))["to"][0]
    assert token in value
    assert secret not in value


CARD = 4111111111111111
NUMBERS = st.sampled_from([CARD, -CARD, 5555555555554444, 536904399, 17, -2.5, 1e300, 0])
LEAVES = st.one_of(
    NUMBERS,
    st.none() | st.booleans(),
    st.sampled_from(
        [f"see [{CARD}, 2]", f"[{CARD}]", f"{CARD}, {CARD}", "it's, ", "[", '"', "x\\", ""]
    ),
    st.lists(NUMBERS, max_size=3).map(json.dumps),
)
NAMES = st.sampled_from(["n", "ssn", "password", "it's", "a[", 'a"', "a\\", "see: ", ""])
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def without_numbers(document: Any) -> Any:
    """What is the same before and after: everything but strings, and what one may stand for."""
    if isinstance(document, dict):
        return [without_numbers(value) for value in document.values()]
    if isinstance(document, list):
        return [without_numbers(value) for value in document]
    return None if isinstance(document, str | int | float) else document


@given(
    st.lists(DOCUMENTS, max_size=4) | st.dictionaries(NAMES, DOCUMENTS, max_size=4),
    st.sampled_from([None, 1]),
)
def test_json_stays_json_where_numbers_go(document: Any, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    assert str(CARD) not in redact_text(text)
    shape = without_numbers(document)
    assert without_numbers(json.loads(redact_text(text))) == shape
    # And in the text of a field, twice.
    once = json.loads(redact_text(json.dumps({"arguments": text})))["arguments"]
    assert without_numbers(json.loads(once)) == shape
    twice = json.loads(redact_text(json.dumps([json.dumps({"arguments": text})])))[0]
    assert without_numbers(json.loads(json.loads(twice)["arguments"])) == shape


PIECES = st.one_of(
    st.sampled_from([secret for secret, _ in SECRETS]),
    st.sampled_from(EDGES),
    st.text(max_size=20),
    st.text("0123456789 -", max_size=30),
    st.text("a@.", max_size=8),
    st.sampled_from(["sk-", "eyJ", "Bearer ", "-----BEGIN PRIVATE KEY-----", "\\u00e9"]),
)
GLUED = st.lists(PIECES, max_size=8).map("".join)


@given(st.lists(PIECES, max_size=4).map(" ".join))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(GLUED, st.integers(1, 40))
def test_chunks_do_not_show(text: str, chunk: int) -> None:
    assert finish(redacting(text, chunk=chunk)) == redact_text(text)


@given(st.sampled_from(SECRETS), st.text(max_size=50), st.integers(1, 60))
def test_nothing_of_a_secret_remains(secret: tuple[str, str], text: str, chunk: int) -> None:
    result = finish(redacting(f"{text} {secret[0]} {text}", chunk=chunk))
    assert secret[0] not in result
    assert secret[1] in result


@given(st.text(st.characters(exclude_characters="@0123456789-_JzK B"), max_size=200))
def test_no_change_without_an_anchor(text: str) -> None:
    assert redact_text(text) is text


@given(st.text(st.characters(), max_size=200))
@settings(max_examples=300)
def test_any_string_is_accepted(text: str) -> None:
    assert isinstance(redact_text(text + "@\ud800a.bc"), str)


def test_it_pauses_within_a_chunk_where_a_search_has_much_to_look_at_and_finds_nothing() -> None:
    assert len(list(redacting("a." * 16_000))) >= 3


def test_it_pauses_between_chunks() -> None:
    text = "x" * 95 + "john@example.com" + "x" * 89
    assert len(list(redacting(text, chunk=50))) == 3


ADVERSARIAL = ["a.", "a@", "@", "1", "a", "1-", "4000-", "sk-", "eyJ", "k-", "Bearer ", "@a."]
ADVERSARIAL += ["\\", "\\u1", "AKIA", "B", "Bearer a", "-----BEGIN PRIVATE KEY-----"]
ADVERSARIAL += ["-----BEGIN PRIVATE KEY-----\\", "éa.", "eyJ.", "task-sk-"]
ADVERSARIAL += ["assword is x1 ", "pwd=", '"password": [1,', "curl -u a:b "]
DENSE = ["3456 7890 ", "4111 1111 1111 1111 ", "4111111111111111,", "ann@example.com,", "0.847433 "]
DENSE += [
    "41111111-1111-4111-a111-411111111111 ",
    "eyJ" + "a.b" * 40_000,
    "Bearer " + "a1" * 60_000,
]
DENSE += [
    " -p",
    "sshpass -px ",
    "\u5bc6\u7801\uff1a",
    "\uff14",
    "4111.",
    "a [at] b.io ",
    "password: |\n ",
    '" value="',
    "key => ",
]


class Lines:
    """Counts the lines of ours that run: how long a step is, on any machine."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> TraceFunction | None:
        if "/llmobs/redaction/" not in frame.f_code.co_filename:
            return None
        self.count += event == "line"
        return self._trace


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_time_grows_with_length_only(unit: str) -> None:
    def best(length: int) -> float:
        text = unit * (length // len(unit))
        times = []
        for _ in range(3):
            begin = time.process_time_ns()
            finish(redacting(text, chunk=4_096))
            times.append(time.process_time_ns() - begin)
        return min(times)

    # Quadratic time would make this 16 each time. Long enough that the clock's grain does not matter.
    assert any(best(80_000) <= 8 * best(20_000) + 300_000 for _ in range(6))


@pytest.mark.parametrize("unit", [*ADVERSARIAL, *DENSE])
def test_no_step_is_long_whatever_the_text(unit: str) -> None:
    # Counted, not timed: what a step may do is a chunk without anchors, or so many anchors.
    text = unit * max(1, 20_000 // len(unit))
    lines = Lines()
    longest = 0
    with lines:
        for _ in redacting(text):
            longest, lines.count = max(longest, lines.count), 0
        longest = max(longest, lines.count)
    assert 0 < longest <= 3_000


# --- kinds ---------------------------------------------------------------------------------------


def _told(example: str) -> int:
    """How much of *example* only tells what follows."""
    return len("born ") if example.startswith("born ") else 0


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_finds_its_examples_and_has_a_switch(name: str) -> None:
    kind = KINDS[name]
    for number in (0, 1, 42, 999):
        example = kind.example(number)
        (span,) = find(f"it is {example}, so", {name})
        assert (span.start, span.end, span.kind) == (6 + _told(example), 6 + len(example), name)
        assert find(f"it is {example}", KINDS.keys() - {name}) == []
    assert kind.example(1) != kind.example(2)
    assert kind.on == (name in DEFAULT_KINDS)


def test_a_kind_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="emial: no kind; there are email, card"):
        find("", {"emial"})
    with pytest.raises(ValueError, match="emial"):
        Redactor(kinds=["email", "emial"])


def test_only_the_kinds_asked_for_are_redacted() -> None:
    text = "ann@example.com 4111 1111 1111 1111"
    assert Redactor(kinds=["card"]).value(text) == "ann@example.com [REDACTED_CC]"
    assert Redactor(kinds=()).value(text) is text


# --- values -------------------------------------------------------------------------------------


def test_an_unchanged_value_is_the_same_object() -> None:
    value = {"a": ["x", ("y", {"z": 1.5})], 2: None, "b": b"john@example.com", "e": {}, "f": []}
    redactor = Redactor()
    assert redactor.value(value) is value
    assert redactor.failures == 0


def test_strings_anywhere_are_redacted_and_the_input_stays() -> None:
    same = {"keep": ["this"]}
    value = {
        "list": ["john@example.com", 1, ("4111111111111111", None)],
        "john@example.com": "key",
        "bob@example.com": {"deep": [{"er": KEYS[3]}]},
        "same": same,
    }
    before = json.dumps(value)
    redactor = Redactor()
    result = redactor.value(value)
    assert result == {
        "list": ["[REDACTED_EMAIL]", 1, ("[REDACTED_CC]", None)],
        "[REDACTED_EMAIL]": "key",
        "[REDACTED_EMAIL] 2": {"deep": [{"er": "[REDACTED_KEY]"}]},
        "same": same,
    }
    assert list(result) == ["list", "[REDACTED_EMAIL]", "[REDACTED_EMAIL] 2", "same"]
    assert result["same"] is same
    assert json.dumps(value) == before


def test_extra_rules_see_the_redacted_text() -> None:
    redactor = Redactor(extra=lambda text: text.replace("secret", "***"))
    assert redactor.value("secret of john@example.com") == "*** of [REDACTED_EMAIL]"
    assert Redactor(kinds=(), extra=str.upper).value(["a@b.io"]) == ["A@B.IO"]


def test_a_raising_rule_costs_the_string_and_nothing_else() -> None:
    def picky(text: str) -> str:
        if "bad" in text:
            raise ValueError(text)
        return None if "none" in text else text  # type: ignore[return-value]

    redactor = Redactor(extra=picky)
    assert redactor.value({"a": "bad", "b": ["good", "none"], "bad key": 1}) == {
        "a": FAILED,
        "b": ["good", FAILED],
        FAILED: 1,
    }
    assert redactor.failures == 3


def test_deep_and_circular_values_end() -> None:
    deep: list[object] = ["john@example.com"]
    for _ in range(900):
        deep = [deep]
    result = Redactor().value(deep)
    while isinstance(result[0], list):
        result = result[0]
    assert result == ["[REDACTED_EMAIL]"]

    for _ in range(5_000):
        deep = [deep]
    redactor = Redactor()
    redactor.value(deep)
    assert redactor.failures == 1

    circle: dict[str, object] = {"a": 1}
    circle["self"] = circle
    assert Redactor().value(circle) == {"a": 1, "self": FAILED}
    shared = ["john@example.com"]
    assert Redactor().value([shared, shared]) == [["[REDACTED_EMAIL]"]] * 2


def test_strings_found_clean_are_not_searched_again_unless_the_user_has_a_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def ask(text: str, kinds: Set[str], **more: Any) -> Steps[list[Span]]:
        asked.append(text)
        return finding(text, kinds, **more)

    monkeypatch.setattr(redactor_module, "finding", ask)
    event = {"feature": "chat", "owner": "ann@example.com", "nested": ["chat", {"feature": 1}]}
    redactor = Redactor()
    first = redactor.value(event)
    asked.clear()
    assert redactor.value(event) == first
    assert asked == ["ann@example.com"]
    assert redactor.value({"feature": "ann@example.com"}) == {"feature": "[REDACTED_EMAIL]"}
    assert redactor.value({"ann@example.com": 1}) == {"[REDACTED_EMAIL]": 1}

    words = {"chat"}
    strict = Redactor(extra=lambda value: "[GONE]" if value in words else value)
    assert strict.value(["later"]) == ["later"]
    words.add("later")
    assert strict.value(["later"]) == ["[GONE]"]


def test_replacing_is_as_much_work_a_step_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = 0

    class Counted(Span, frozen=True):
        def __lt__(self, other: Span) -> bool:
            nonlocal work
            work += 1
            return bool(astuple(self) < astuple(other))

        def __del__(self) -> None:
            nonlocal work
            work += 1

    def find(text: str, sight: Any, reach: Any, kinds: Set[str]) -> Steps[list[Span]]:
        found = yield from find_spans(text, sight, reach, kinds)
        return [Counted(*astuple(span)) for span in found]

    find_spans = scan.find_spans
    text = "4111 1111 1111 1111\n" * 6_000
    clean = redact_text(text)
    monkeypatch.setattr(scan, "find_spans", find)
    redacted: list[str] = []

    def run() -> Steps[None]:
        redacted.append((yield from redacting(text, chunk=4_096)))

    done = []
    for _ in run():
        done.append(work)
    done.append(work)
    assert redacted == [clean] == ["[REDACTED_CC]\n" * 6_000]
    assert work > 10_000
    assert max(after - before for before, after in pairwise([0, *done])) < 600


def test_what_a_window_finds_before_its_start_is_put_in_order() -> None:
    text = "".join(f"a{n}@example.com sk-{'a1B2' * 6} 4111 1111 1111 1111 " for n in range(40))
    whole = redact_text(text)
    assert whole.count("[REDACTED_") == 120
    for chunk in (64, 100, 333):
        assert finish(redacting(text, chunk=chunk)) == whole


@pytest.mark.parametrize(
    ("begins", "rule"),
    [("sk-proj-", "openai"), ("sk-ant-", "anthropic"), ("sk-lf-", "langfuse"), ("sk-", "sk-key")],
)
def test_a_key_is_called_by_the_issuer_that_its_beginning_names(begins: str, rule: str) -> None:
    assert [span.rule for span in scan.find(f"use {begins}{'a1B2c3D4' * 5} here")] == [rule]
