"""Functions of the application's that redact: by path, in a thread, and not for longer than a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmobs import Client, ErrorEvent, PromptCallEvent, Statistics
from llmobs.pipeline import user_code
from llmobs.redaction.replacing import FAILED
from llmobs.redaction.rules_of_users import user_rules
from llmobs.sinks.memory import MemorySink

MAIL = "ann@example.com"


def recorded(**settings: Any) -> tuple[PromptCallEvent, ErrorEvent, Statistics]:
    """Return a call and an error as they arrive with *settings*, and what was counted."""
    sink = MemorySink()
    with Client(sink=sink, **settings) as client:
        client.log_prompt_call(
            run_id="r",
            prompt=[{"role": "user", "content": f"mail {MAIL}"}],
            model="gpt-4o",
            response="C-12",
            metadata={"customer": {"name": "Ann"}, "n": 5},
            user_id=MAIL,
            tags=["vip"],
        )
        client.log_error("r", "boom of C-12", stack_trace="at C-12")
        client.flush()
        statistics = client.statistics()
    call = next(event for event in sink.events if isinstance(event, PromptCallEvent))
    error = next(event for event in sink.events if isinstance(event, ErrorEvent))
    return call, error, statistics


def test_a_function_is_called_with_what_stands_at_its_path() -> None:
    seen: list[Any] = []

    def look(value: Any) -> Any:
        seen.append(value)
        return value

    call, error, statistics = recorded(
        redaction={
            "functions": {
                "prompt_call.metadata.customer": lambda value: {"id": len(value["name"])},
                "prompt_call.prompt.content": look,
                "*.user_id": lambda value: f"u{len(value)}",
                "*.tags": lambda value: [*value, "seen"],
                "*.error.message": lambda text: text.replace("C-12", "[CUSTOMER]"),
            }
        }
    )
    assert seen == [f"mail {MAIL}"]  # before it is redacted
    assert call.prompt == [{"role": "user", "content": "mail [REDACTED_EMAIL]"}]
    assert call.metadata == {"customer": {"id": 3}, "n": 5}
    assert (call.user_id, call.tags, call.response) == ("u15", ("vip", "seen"), "C-12")
    assert error.error.message == "boom of [CUSTOMER]"
    assert statistics.redaction_failures == 0


def test_what_a_function_returns_is_redacted_and_made_fit() -> None:
    call, _, _ = recorded(
        redaction={
            "functions": {
                "*.response": lambda text: f"{text} of {MAIL}",
                "*.metadata.n": lambda number: {number, object},
            }
        }
    )
    assert call.response == "C-12 of [REDACTED_EMAIL]"
    assert call.metadata is not None
    assert isinstance(call.metadata["n"], list)


def fails(value: Any) -> Any:
    raise RuntimeError(value)


def test_a_function_that_raises_costs_what_it_was_of_and_is_counted() -> None:
    call, error, statistics = recorded(
        redaction={"functions": {"*.metadata.customer": fails, "*.error.*": fails}}
    )
    assert call.metadata == {"customer": FAILED, "n": 5}
    assert call.response == "C-12"
    assert error.error.message == FAILED
    assert "C-12" not in (error.error.stack or "")
    assert statistics.redaction_failures >= 2
    assert statistics.delivered == statistics.accepted


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Any]]:
    """Return a function that does not return before the test has ended."""
    monkeypatch.setattr(user_code, "LIMIT_SECONDS", 0.05)
    ended = threading.Event()

    def hang(value: Any) -> Any:
        ended.wait(30)
        return value

    yield hang
    ended.set()


def test_a_function_that_hangs_costs_the_field_and_not_the_event(
    hangs: Callable[[Any], Any],
) -> None:
    call, error, statistics = recorded(redaction={"functions": {"*.metadata.customer": hangs}})
    assert call.metadata == {"customer": FAILED, "n": 5}
    assert call.prompt == [{"role": "user", "content": "mail [REDACTED_EMAIL]"}]
    assert (call.response, error.error.message) == ("C-12", "boom of C-12")
    assert statistics.redaction_failures >= 1
    assert statistics.delivered == statistics.accepted


def test_a_redactor_that_hangs_costs_all_it_was_to_look_at(hangs: Callable[[Any], Any]) -> None:
    call, error, statistics = recorded(redactor=hangs)
    assert "C-12" not in repr((call, error))
    assert MAIL not in repr((call, error))
    assert (call.response, error.error.message, call.model) == (FAILED, FAILED, "gpt-4o")
    assert statistics.redaction_failures >= 2
    assert statistics.delivered == statistics.accepted


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"prompt": str}, "functions: prompt: leads to no content"),
        ({"prompt_call.event_id": str}, "functions: prompt_call.event_id: leads to no content"),
        ({"prompt_cal.prompt": str}, "the events prompt_call, "),
        ({"*.prompt": "upper"}, "must be a function; in a file there are none"),
        (["*.prompt"], "functions: must be a mapping"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(functions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        user_rules({"functions": functions})
