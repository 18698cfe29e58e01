"""llmobs.events"""

from collections.abc import Mapping
from typing import Any

import pytest

from llmobs.events import MAX_STACK_CHARS, ErrorInfo, Severity, Status
from tests.helpers import make_event


def test_severity_orders_by_meaning_not_by_alphabet() -> None:
    assert Severity.LOW < Severity.MEDIUM < Severity.HIGH < Severity.CRITICAL
    assert sorted(Severity, reverse=True)[0] is Severity.CRITICAL
    assert max(Severity.HIGH, Severity.LOW) is Severity.HIGH
    assert Severity.LOW <= Severity.LOW >= Severity.LOW
    assert Severity.LOW < "high"
    assert Severity.MEDIUM > "low"
    with pytest.raises(ValueError, match="grave"):
        assert Severity.LOW < "grave"
    assert str(Severity.LOW) == "low"
    assert Severity("low") is Severity.LOW


def raise_and_catch(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_exception_brings_its_own_traceback_wherever_it_is_described() -> None:
    info = ErrorInfo.of(raise_and_catch(ValueError("boom")))
    assert (info.message, info.type) == ("boom", "ValueError")
    assert info.stack is not None
    assert "raise_and_catch" in info.stack


def test_an_exception_never_raised_has_no_stack() -> None:
    assert ErrorInfo.of(ValueError("boom")).stack is None


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


@pytest.mark.parametrize("error", [Exception(), NoText()])
def test_the_message_is_never_empty(error: Exception) -> None:
    assert ErrorInfo.of(error).message


def test_a_long_stack_keeps_both_ends() -> None:
    info = ErrorInfo.of(raise_and_catch(ValueError("x" * 200_000)))
    assert info.stack is not None
    assert len(info.stack) < MAX_STACK_CHARS + 100
    assert info.stack.startswith("Traceback")
    assert "left out" in info.stack


@pytest.mark.parametrize("more", range(24))
def test_a_long_stack_is_cut_between_lines(more: int) -> None:
    """Half an address would be left, for redaction comes later."""
    info = ErrorInfo.of(raise_and_catch(ValueError("x" * more + "\nann.lee@example.com" * 3_000)))
    assert info.stack is not None and "left out" in info.stack
    whole = info.stack.count("ann.lee@example.com")
    assert 1_500 < whole == info.stack.count("ann") == info.stack.count("example.com")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "m", "type": "T", "code": 5}, {"message": "m", "type": "T", "code": "5"}),
        ({"message": "m", "hint": "h"}, {"message": "m", "context": {"hint": "h"}}),
        ({}, {"message": "unknown error"}),
        ({"type": "T"}, {"message": "T", "type": "T"}),
        ({"message": "m", "context": "c"}, {"message": "m", "context": {"context": "c"}}),
    ],
)
def test_a_mapping_is_read_by_its_keys(error: Mapping[str, Any], expected: dict[str, Any]) -> None:
    assert ErrorInfo.of(error) == ErrorInfo(**expected)


def test_a_text_is_a_message() -> None:
    assert ErrorInfo.of("boom") == ErrorInfo(message="boom")
    assert ErrorInfo.of("").message == "unknown error"


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({}, False),
        ({"status": Status.WARNING}, False),
        ({"status": "error"}, True),
        ({"status": Status.CANCELLED, "error": ErrorInfo(message="m")}, False),
        ({"error": ErrorInfo(message="m")}, True),
    ],
)
def test_failed(fields: dict[str, Any], failed: bool) -> None:
    assert make_event(**fields).failed is failed


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tokens_output": 50, "latency_ms": 1_000}, 50.0),
        ({"tokens_output": 50, "latency_ms": 1_000, "time_to_first_token_ms": 500}, 100.0),
        ({"tokens_output": 50, "latency_ms": 500, "time_to_first_token_ms": 500}, None),
        ({"tokens_output": None, "latency_ms": 500}, None),
        ({"tokens_output": 5}, None),
    ],
)
def test_tokens_per_second_follow_from_what_was_measured(
    fields: dict[str, Any], expected: float | None
) -> None:
    assert make_event(**fields).tokens_per_second == expected
