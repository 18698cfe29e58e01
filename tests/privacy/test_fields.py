"""llmobs.redaction.fields: every field of every event is decided, and so it happens."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from llmobs.codec import AnyEvent
from llmobs.events import ClientInfo, ErrorInfo, Event, PromptCallEvent, RunEvent, Status
from llmobs.redaction.events import EventRedactor, Pseudonyms
from llmobs.redaction.fields import FIELDS, Kind, OnlyMetadata, Redacted, every_field
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.time_slices import finish
from tests.privacy.filled import event_with, texts_in

EVENTS = AnyEvent.__args__
CLASSES = (Event, *EVENTS, ErrorInfo, ClientInfo)
MAIL = "ann.lee@example.com"


def own_fields(kind: type) -> dict[str, Any]:
    above = set(Event.__struct_fields__) if kind in EVENTS else set()
    return {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in above}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_field_is_decided_and_no_other(kind: type) -> None:
    assert list(FIELDS[kind]) == list(own_fields(kind))


def test_there_are_no_other_classes_of_fields() -> None:
    assert set(FIELDS) == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_is_decided_fits_the_field(kind: type) -> None:
    for name, of in own_fields(kind).items():
        field = FIELDS[kind][name]
        assert field.why.endswith("."), name
        is_text = "str" in str(of) or "Any" in str(of) or "datetime" in str(of)
        assert (field.redacted is Redacted.KEPT) == (
            (field.kind is Kind.FIGURE and name != "usage") or name.endswith("_embedding")
        ), name
        if field.kind is Kind.FIGURE:
            assert not is_text or name in ("timestamp", "usage"), name
        if field.redacted is Redacted.RENAMED:
            assert of in (str, str | None), name


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("keep_content", [True, False], ids=["redacted", "metadata"])
@pytest.mark.parametrize("withheld", [False, True], ids=["", "withheld"])
def test_an_address_in_any_field_is_in_none_afterwards(
    kind: type[Event], keep_content: bool, withheld: bool
) -> None:
    for name in every_field(kind):
        event = event_with(kind, name, MAIL)
        assert (
            name in ("timestamp", "standalone")
            or texts_in(event, MAIL)
            or not _holds_text(kind, name)
        )
        redactor = Redactor()
        if withheld:
            EventRedactor(None, None).withhold(event)
        else:
            finish(EventRedactor(redactor, redactor, keep_content=keep_content).steps(event))
        assert not texts_in(event, MAIL), name
        msgspec.convert(msgspec.to_builtins(event), kind)  # still what its fields hold


def _holds_text(kind: type[Event], name: str) -> bool:
    return every_field(kind)[name].redacted is not Redacted.KEPT


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_without_content_what_the_table_says_is_left_out_and_the_rest_stays(
    kind: type[Event],
) -> None:
    redactor = Redactor()
    for name, field in every_field(kind).items():
        if field.redacted in (Redacted.KEPT, Redacted.BY_PART):
            continue
        event = event_with(kind, name, "word")
        given = getattr(event, name)
        finish(EventRedactor(redactor, redactor, keep_content=False).steps(event))
        stays = getattr(event, name) == given
        assert stays == (field.only_metadata is not OnlyMetadata.LEFT_OUT), name
        if field.only_metadata is OnlyMetadata.ONE_WORD:
            event = event_with(kind, name, "the patient said that")
            finish(EventRedactor(redactor, redactor, keep_content=False).steps(event))
            assert getattr(event, name) is None, name


def test_of_an_error_type_and_code_stay_where_they_are_words() -> None:
    redactor = Redactor()
    strict = EventRedactor(redactor, redactor, keep_content=False)
    event = event_with(PromptCallEvent, "prompt", "x")
    event.error = ErrorInfo(
        "so said Ann", "app.errors.Refused", "it was Ann", "stack of Ann", {"a": 1}
    )
    finish(strict.steps(event))
    assert event.error == ErrorInfo("app.errors.Refused", "app.errors.Refused")
    event.error = ErrorInfo("so said Ann", MAIL)
    finish(strict.steps(event))
    assert event.error == ErrorInfo("[REDACTED_EMAIL]", "[REDACTED_EMAIL]")


def test_ids_that_hold_an_address_stay_apart_and_go_on_joining() -> None:
    redactor = Redactor()
    rule = EventRedactor(redactor, redactor)
    step = event_with(PromptCallEvent, "run_id", "run of ann@example.com")
    run = event_with(RunEvent, "run_id", "run of ann@example.com")
    other = event_with(RunEvent, "run_id", "run of bob@example.com")
    for event in (step, run, other, other):
        finish(rule.steps(event))
    assert step.run_id == run.run_id == Pseudonyms().of("run of ann@example.com") != other.run_id
    assert step.warnings == other.warnings == ("run_id held what redaction takes out; renamed",)


def test_with_a_key_every_process_renames_ids_alike() -> None:
    """Whatever stands in place of what is found in texts."""
    key = "a key of all of them"
    code = (
        "import sys, llmobs; kept = []; after = llmobs.Stage(kept.append, after_redaction=True)\n"
        "for action in 'plain', 'hashed':\n"
        f"    rules = {{'action': action, 'key': {key!r}}}\n"
        "    with llmobs.Client(sink='memory:', stages=[after], redaction=rules) as client:\n"
        f"        client.log_error('{MAIL}', 'failed')\n"
        "print(*(event.run_id for event in kept))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.split() == [Pseudonyms(key).of(MAIL)] * 2
    assert (
        len({Pseudonyms(key).of(MAIL), Pseudonyms(key + "!").of(MAIL), Pseudonyms().of(MAIL)}) == 3
    )


@pytest.mark.parametrize(
    "text",
    [
        "01920b5e-7c1a-7d3e-9a43-27a3c2f1b0aa", "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7", "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "run-17", "nightly import",
        "order:2026/11/29", "req_011CPHLuWLh4oNGbsHCZ8ZEM", "msg_01XFDUDYJgAACzvnptvVoYEL",
    ],
)  # fmt: skip
def test_ids_as_there_are_stay(text: str) -> None:
    redactor = Redactor()
    for kind in EVENTS:
        for name, field in every_field(kind).items():
            if field.kind is Kind.IDENTIFIER:
                event = event_with(kind, name, text)
                finish(EventRedactor(redactor, redactor).steps(event))
                assert (getattr(event, name), event.warnings) == (text, ())


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-2024-08-06", "claude-3-5-sonnet@20240620", "ft:gpt-4o:acme-corp::7p4lURel",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0",
        "@cf/meta/llama-3-8b-instruct", "publishers/google/models/gemini-2.0@default",
    ],
)  # fmt: skip
def test_names_of_models_stay(model: str) -> None:
    redactor = Redactor()
    event = event_with(PromptCallEvent, "model", model)
    finish(EventRedactor(redactor, redactor, keep_content=False).steps(event))
    assert event.model == model


def test_rules_of_users_leave_names_ids_and_our_words_alone() -> None:
    ours, theirs = Redactor(), Redactor(extra=lambda text: "***")
    event = event_with(PromptCallEvent, "tags", "tag")
    event.prompt, event.user_id, event.model, event.status = "Ann", "u1", "gpt-4o", Status.ERROR
    event.error = ErrorInfo("Ann", "ValueError", "a_code")
    finish(EventRedactor(theirs, ours).steps(event))
    assert (event.prompt, event.user_id, event.tags) == ("***", "***", ("***", "***"))
    assert (event.run_id, event.model, event.status) == ("r", "gpt-4o", "error")
    assert event.error == ErrorInfo("***", "ValueError", "a_code")


def test_a_field_of_which_redaction_fails_costs_every_text_that_nobody_saw() -> None:
    event = event_with(PromptCallEvent, "prompt", f"of {MAIL}")
    event.model, event.status, event.user_id, event.tokens_input = "m", "error", MAIL, 7
    EventRedactor(None, None).withhold(event)
    assert (event.prompt, event.model, event.user_id, event.status) == ("", "", None, "error")
    assert (event.tokens_input, event.run_id) == (7, Pseudonyms().of("r"))
