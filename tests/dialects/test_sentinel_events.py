"""TelemetryEvent, PromptInfo, ResponseInfo, the builder, and the way to llmobs' own event."""

# ruff: noqa: DTZ001 - datetimes without an offset are among the subjects

import dataclasses
import json
import math
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from llmobs import codec
from llmobs.events import PromptCallEvent
from llmobs.sentinel import (
    PromptInfo,
    ResponseInfo,
    SentinelError,
    TelemetryEvent,
    TelemetryEventBuilder,
    ValidationError,
    from_prompt_call,
    to_prompt_call,
)
from tests.dialects.sentinel_events import make_event
from tests.support.sentinel import validate_sentinel

SAMPLE = Path(__file__).parents[1] / "data" / "sentinel_event.json"
REQUIRED: dict[str, Any] = {
    "service_name": "s",
    "model": "m",
    "prompt": PromptInfo("p", 5),
    "response": ResponseInfo("r", 10, "stop"),
    "latency_ms": 1.5,
    "cost_usd": 0.25,
}
DEFAULTS = ("event_id", "timestamp", "trace_id", "span_id", "metadata", "errors")


def problems(event: TelemetryEvent) -> list[str]:
    return validate_sentinel(json.dumps(event.to_dict(), allow_nan=False).encode())


@pytest.mark.row("S039")
def test_the_event_is_a_dataclass_with_the_printed_fields() -> None:
    assert dataclasses.is_dataclass(TelemetryEvent)
    assert [f.name for f in dataclasses.fields(TelemetryEvent)] == [*REQUIRED, *DEFAULTS]
    event = TelemetryEvent(*REQUIRED.values())
    assert {name: getattr(event, name) for name in REQUIRED} == REQUIRED


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.row(f"S{row:03}"))
        for row, name in enumerate(REQUIRED, start=40)
    ],
)
def test_a_required_field_is_required_and_comes_back(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        TelemetryEvent(**{k: v for k, v in REQUIRED.items() if k != name})
    event = TelemetryEvent(**REQUIRED)
    assert getattr(TelemetryEvent.from_dict(event.to_dict()), name) == REQUIRED[name]
    left_out = event.to_dict()
    del left_out[name]
    with pytest.raises(ValidationError, match=f"^{name} is required"):
        TelemetryEvent.from_dict(left_out)


@pytest.mark.row("S046")
def test_every_event_has_an_id_of_its_own() -> None:
    one, two = TelemetryEvent(**REQUIRED), TelemetryEvent(**REQUIRED)
    assert isinstance(one.event_id, UUID) and one.event_id != two.event_id
    assert one.to_dict()["event_id"] == str(one.event_id)


@pytest.mark.row("S047")
def test_the_time_is_utc_and_has_one_offset_on_the_wire() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        event = TelemetryEvent(**REQUIRED)
    assert isinstance(event.timestamp, datetime)
    age = datetime.now(UTC).replace(tzinfo=None) - event.timestamp.replace(tzinfo=None)
    assert timedelta(0) <= age < timedelta(seconds=1)
    two_hours = timezone(timedelta(hours=2))
    for given, written in [
        (datetime(2024, 1, 1, 12, 0, 0), "2024-01-01T12:00:00Z"),
        (datetime(2024, 1, 1, 12, 0, 0, 120), "2024-01-01T12:00:00.000120Z"),
        (datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC), "2024-01-01T12:00:00Z"),
        (datetime(2024, 1, 1, 12, 0, 0, tzinfo=two_hours), "2024-01-01T10:00:00Z"),
    ]:
        event = TelemetryEvent(**REQUIRED, timestamp=given)
        assert event.to_dict()["timestamp"] == written
        assert problems(event) == []
        assert event.timestamp is given


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param("trace_id", None, marks=pytest.mark.row("S048")),
        pytest.param("span_id", None, marks=pytest.mark.row("S049")),
        pytest.param("metadata", {}, marks=pytest.mark.row("S050")),
        pytest.param("errors", [], marks=pytest.mark.row("S051")),
    ],
)
def test_a_field_left_out_is_fresh_and_written(name: str, written: Any) -> None:
    one, two = TelemetryEvent(**REQUIRED), TelemetryEvent(**REQUIRED)
    assert getattr(one, name) == one.to_dict()[name] == written
    if written is not None:
        assert getattr(one, name) is not getattr(two, name)
        assert type(getattr(one, name)) is type(written)
    one.errors.append("late")
    assert two.errors == [] and one.to_dict()["errors"] == ["late"]


@pytest.mark.row("S052", "S053", "S054")
def test_what_an_event_says_of_itself() -> None:
    event = TelemetryEvent(**REQUIRED)
    assert event.total_tokens() == 15
    assert (event.has_errors(), event.error_rate()) == (False, 0.0)
    event.errors.append("e")
    assert (event.has_errors(), event.error_rate()) == (True, 1.0)
    assert type(event.error_rate()) is float and type(event.has_errors()) is bool


@pytest.mark.row("S055")
def test_the_dict_is_what_the_server_takes() -> None:
    sample = json.loads(SAMPLE.read_text())
    for event in (make_event(), TelemetryEvent(**REQUIRED), TelemetryEvent.from_dict(sample)):
        assert list(event.to_dict()) == list(sample)
        assert problems(event) == []
    assert TelemetryEvent.from_dict(sample).to_dict() == sample
    event = make_event()
    event.to_dict()["metadata"]["more"] = event.to_dict()["prompt"]["embedding"].pop()
    assert event == make_event(), "the dict shares something with the event"


def test_half_a_surrogate_pair_does_not_cost_the_event() -> None:
    event = make_event(
        prompt=PromptInfo("a\ud83d", 1), metadata={"\ud83d": "\ude00"}, errors=["\ud83d"]
    )
    assert problems(event) == []
    assert event.to_dict()["prompt"]["text"] == "a\ufffd"
    assert problems(make_event(response=ResponseInfo("\ud83d\ude00", 1, "stop"))) == []


@pytest.mark.row("S056")
@pytest.mark.parametrize("event", [make_event(), TelemetryEvent(**REQUIRED)])
def test_from_dict_takes_back_what_to_dict_gave(event: TelemetryEvent) -> None:
    data = event.to_dict()
    again = TelemetryEvent.from_dict(data)
    assert again == event and again.to_dict() == data
    assert (
        TelemetryEvent.from_dict({**data, "new": 1, "prompt": {**data["prompt"], "n": 2}}) == event
    )
    assert again != make_event(model="another") and again != "text"


@pytest.mark.row("S056")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-01-01T12:00:00Z", datetime(2024, 1, 1, 12)),
        ("2024-01-01T12:00:00+02:00", datetime(2024, 1, 1, 10)),
        ("2024-01-01 12:00:00-0130", datetime(2024, 1, 1, 13, 30)),
        ("2024-01-01T12:00:00.123456789Z", datetime(2024, 1, 1, 12, 0, 0, 123456)),
    ],
)
def test_from_dict_reads_every_form_of_a_timestamp(written: str, meant: datetime) -> None:
    event = TelemetryEvent.from_dict({**make_event().to_dict(), "timestamp": written})
    assert event == make_event(timestamp=meant)
    assert event.to_dict()["timestamp"] == f"{meant.isoformat()}Z"


@pytest.mark.row("S056")
def test_from_dict_fills_in_what_may_be_missing() -> None:
    data = make_event().to_dict()
    for name in DEFAULTS:
        del data[name]
    del data["prompt"]["embedding"], data["response"]["embedding"]
    event = TelemetryEvent.from_dict(data)
    assert (event.trace_id, event.metadata, event.errors) == (None, {}, [])
    assert event.prompt.embedding is event.response.embedding is None
    assert isinstance(event.event_id, UUID)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event_id", "not-a-uuid"), ("event_id", 7), ("timestamp", "yesterday"), ("timestamp", 7),
        ("prompt", "text"), ("response", None), ("metadata", [1]), ("errors", "text"),
    ],
)  # fmt: skip
def test_from_dict_refuses_what_is_no_event(path: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"^{path} "):
        TelemetryEvent.from_dict({**make_event().to_dict(), path: value})


@pytest.mark.row("S057", "S062")
def test_the_two_halves_are_dataclasses_with_the_printed_fields() -> None:
    assert [f.name for f in dataclasses.fields(PromptInfo)] == ["text", "tokens", "embedding"]
    names = [f.name for f in dataclasses.fields(ResponseInfo)]
    assert names == ["text", "tokens", "finish_reason", "embedding"]
    assert PromptInfo("a", 1) == PromptInfo("a", 1, None) != PromptInfo("a", 2)
    assert ResponseInfo("a", 1, "stop") == ResponseInfo("a", 1, "stop", None)
    assert ResponseInfo("a", 1, "stop") != ResponseInfo("a", 1, "length")


@pytest.mark.parametrize(
    ("half", "name"),
    [
        pytest.param("prompt", "text", marks=pytest.mark.row("S058")),
        pytest.param("prompt", "tokens", marks=pytest.mark.row("S059")),
        pytest.param("prompt", "embedding", marks=pytest.mark.row("S060")),
        pytest.param("response", "text", marks=pytest.mark.row("S063")),
        pytest.param("response", "tokens", marks=pytest.mark.row("S064")),
        pytest.param("response", "finish_reason", marks=pytest.mark.row("S065")),
        pytest.param("response", "embedding", marks=pytest.mark.row("S066")),
    ],
)
def test_a_field_of_a_half_is_on_the_wire_under_its_name(half: str, name: str) -> None:
    event = make_event()
    assert event.to_dict()[half][name] == getattr(getattr(event, half), name)
    left_out = event.to_dict()
    del left_out[half][name]
    if name == "embedding":
        assert getattr(TelemetryEvent.from_dict(left_out), half).embedding is None
    else:
        with pytest.raises(ValidationError, match=f"{half}.{name} is required"):
            TelemetryEvent.from_dict(left_out)


@pytest.mark.row("S061", "S067")
def test_the_halves_as_dicts() -> None:
    assert PromptInfo("p", 1).to_dict() == {"text": "p", "tokens": 1, "embedding": None}
    assert ResponseInfo("r", 1, "stop", [1.5]).to_dict() == {
        "text": "r", "tokens": 1, "finish_reason": "stop", "embedding": [1.5],
    }  # fmt: skip


# What the server would refuse, where it sits, and the words for it.
WRONG: list[tuple[str, Any, str]] = [
    ("service_name", "", "service_name cannot be empty"),
    ("service_name", None, "service_name must be a string"),
    ("model", "", "model cannot be empty"),
    ("model", 4, "model must be a string, not int"),
    ("prompt", "text", "prompt must be a PromptInfo"),
    ("response", None, "response must be a ResponseInfo"),
    ("prompt.text", "a" * 100_001, "text must be <= 100000 characters"),
    ("prompt.text", b"a", "prompt.text must be a string"),
    ("prompt.tokens", -1, "tokens must be >= 0"),
    ("prompt.tokens", 5.0, "prompt.tokens must be a whole number, not float"),
    ("prompt.tokens", True, "prompt.tokens must be a whole number, not bool"),
    ("prompt.tokens", 2**32, "prompt.tokens must be <= 4294967295"),
    ("prompt.embedding", [1.0, math.nan], "prompt.embedding must hold finite"),
    ("prompt.embedding", [1e39], "prompt.embedding must hold finite"),
    ("prompt.embedding", ["1"], "prompt.embedding must be a list of numbers"),
    ("prompt.embedding", 1.0, "prompt.embedding must be a list of numbers"),
    ("response.text", "a" * 100_001, "text must be <= 100000 characters"),
    ("response.tokens", "5", "response.tokens must be a whole number"),
    ("response.tokens", 2**32, "response.tokens must be <= 4294967295"),
    ("response.finish_reason", None, "response.finish_reason must be a string"),
    ("response.embedding", [math.inf], "response.embedding must hold finite"),
    ("latency_ms", -1, "latency_ms must be >= 0"),
    ("latency_ms", math.nan, "latency_ms must be >= 0, not nan"),
    ("latency_ms", math.inf, "latency_ms must be finite"),
    ("latency_ms", "1", "latency_ms must be a number"),
    ("latency_ms", True, "latency_ms must be a number"),
    ("cost_usd", -0.5, "cost_usd must be >= 0"),
    ("cost_usd", math.nan, "cost_usd must be >= 0"),
    ("cost_usd", None, "cost_usd must be a number"),
    ("event_id", "d621713f-6783-5da9-9f02-d812d880e43a", "event_id must be a UUID"),
    ("timestamp", "2024-01-01T00:00:00Z", "timestamp must be a datetime"),
    ("trace_id", 7, "trace_id must be a string"),
    ("span_id", b"7", "span_id must be a string"),
    ("metadata", None, "metadata must be a dict"),
    ("metadata", {"k": 1}, "metadata\\['k'\\] must be a string, not int"),
    ("metadata", {"k": None}, "metadata\\['k'\\] must be a string, not NoneType"),
    ("metadata", {"k": {}}, "metadata\\['k'\\] must be a string, not dict"),
    ("metadata", {1: "v"}, "metadata: the key 1 must be a string"),
    ("errors", None, "errors must be a list"),
    ("errors", "text", "errors must be a list"),
    ("errors", [1], "errors\\[\\] must be a string"),
]  # fmt: skip


def spoil(event: TelemetryEvent, path: str, value: Any) -> None:
    half, _, name = path.rpartition(".")
    setattr(getattr(event, half) if half else event, name, value)


@pytest.mark.row("S149")
@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_what_the_server_refuses_is_refused_here(path: str, value: Any, words: str) -> None:
    event = make_event()
    spoil(event, path, value)
    for check in (event.validate, lambda: to_prompt_call(event)):
        with pytest.raises(ValidationError, match=words) as caught:
            check()
        assert isinstance(caught.value, SentinelError) and isinstance(caught.value, ValueError)
    if "." not in path:  # and as early as it can be said
        with pytest.raises(ValueError, match=words):
            make_event(**{path: value})


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (PromptInfo, ("Hello", -1), "tokens must be >= 0"),
        (PromptInfo, ("a" * 100_001, 5), "text must be <= 100000 characters"),
        (ResponseInfo, ("Hi", -5, "stop"), "tokens must be >= 0"),
        (ResponseInfo, ("a" * 100_001, 5, "stop"), "text must be <= 100000 characters"),
    ],
)
def test_the_halves_check_themselves(
    kind: Callable[..., object], arguments: tuple[Any, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        kind(*arguments)


@pytest.mark.parametrize(
    "event",
    [
        make_event(),
        make_event(timestamp=datetime(2024, 1, 1), trace_id=None, metadata={}, errors=[]),
        make_event(latency_ms=0, cost_usd=0, trace_id="", response=ResponseInfo("", 0, "")),
        make_event(prompt=PromptInfo("", 2**32 - 1, []), latency_ms=2**62, errors=["", "x"]),
    ],
)
def test_nothing_is_lost_between_the_two_events(event: TelemetryEvent) -> None:
    call = to_prompt_call(event)
    assert from_prompt_call(call) == event
    assert from_prompt_call(call).to_dict() == event.to_dict()
    stored = codec.decode(codec.encode(call))
    assert isinstance(stored, PromptCallEvent)
    assert from_prompt_call(stored).to_dict() == event.to_dict()
    assert call.failed is bool(event.errors)


def test_the_prompt_call_is_a_copy_with_a_run() -> None:
    event = make_event()
    call = to_prompt_call(event)
    assert (call.run_id, call.standalone) == (str(event.event_id), True)
    event.metadata["more"] = "x"
    assert event.prompt.embedding is not None
    event.prompt.embedding.append(9)
    assert from_prompt_call(call) == make_event()
    in_run = to_prompt_call(event, run_id="run-1")
    assert (in_run.run_id, in_run.standalone) == ("run-1", False)
    assert from_prompt_call(in_run, annotate=True).metadata["run_id"] == "run-1"


def test_any_prompt_call_can_become_an_event() -> None:
    call = PromptCallEvent(
        event_id=str(uuid4()), run_id="r", timestamp=datetime.now(UTC), model="m",
        prompt=[{"role": "user", "content": "hi"}], response="yes", provider="openai",
    )  # fmt: skip
    event = from_prompt_call(call, annotate=True)
    assert (event.prompt.text, event.metadata["provider"]) == ("hi", "openai")
    assert "tokens is unknown" in event.metadata["llmobs_notes"]


def full_builder() -> TelemetryEventBuilder:
    return (
        TelemetryEventBuilder()
        .service("s").model("m").prompt("p", 1).response("r", 2, "stop").latency(3).cost(0.5)
    )  # fmt: skip


@pytest.mark.row("S068")
def test_the_builder_needs_nothing() -> None:
    assert isinstance(TelemetryEventBuilder(), TelemetryEventBuilder)
    with pytest.raises(TypeError):
        TelemetryEventBuilder("x")  # type: ignore[call-arg]


ID, WHEN = uuid4(), datetime(2024, 1, 1, tzinfo=UTC)
P, R = PromptInfo("pp", 3, [1.0]), ResponseInfo("rr", 4, "length", [2.0])
SETTERS: list[tuple[str, str, tuple[Any, ...], str, Any]] = [
    ("S070", "event_id", (ID,), "event_id", ID),
    ("S071", "timestamp", (WHEN,), "timestamp", WHEN),
    ("S072", "service", ("svc",), "service_name", "svc"),
    ("S073", "model", ("mod",), "model", "mod"),
    ("S074", "trace_id", ("t",), "trace_id", "t"),
    ("S075", "span_id", ("sp",), "span_id", "sp"),
    ("S076", "prompt", ("pp", 3, [1.0]), "prompt", P),
    ("S077", "prompt_info", (P,), "prompt", P),
    ("S078", "response", ("rr", 4, "length", [2.0]), "response", R),
    ("S079", "response_info", (R,), "response", R),
    ("S080", "latency", (7.5,), "latency_ms", 7.5),
    ("S081", "cost", (0.25,), "cost_usd", 0.25),
    ("S082", "metadata", ({"a": "b"},), "metadata", {"a": "b"}),
    ("S083", "add_metadata", ("k", "v"), "metadata", {"k": "v"}),
    ("S084", "errors", (["x"],), "errors", ["x"]),
    ("S085", "add_error", ("y",), "errors", ["y"]),
]


@pytest.mark.row("S069")
@pytest.mark.parametrize(
    ("setter", "arguments", "field", "value"),
    [pytest.param(*rest, marks=pytest.mark.row(row)) for row, *rest in SETTERS],
)
def test_a_setter_sets_and_returns_the_builder(
    setter: str, arguments: tuple[Any, ...], field: str, value: Any
) -> None:
    builder = full_builder()
    assert getattr(builder, setter)(*arguments) is builder
    assert getattr(builder.build(), field) == value
    if setter.endswith("_info"):
        assert getattr(builder.build(), field) is arguments[0]


def test_the_builder_copies_replaces_and_adds() -> None:
    given, errors = {"a": "1"}, ["x"]
    builder = full_builder().add_metadata("old", "0").metadata(given).add_metadata("b", "2")
    builder.add_error("old").errors(errors).add_error("y")
    assert (given, errors) == ({"a": "1"}, ["x"])
    event = builder.build()
    assert (event.metadata, event.errors) == ({"a": "1", "b": "2"}, ["x", "y"])
    with pytest.raises(TypeError):
        builder.response("r", 1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="metadata must be a dict"):
        builder.metadata(None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="errors must be a list"):
        builder.errors("text")


@pytest.mark.row("S086")
def test_two_events_of_one_builder_share_nothing_that_changes() -> None:
    builder = full_builder().add_metadata("a", "b").add_error("e")
    one, two = builder.build(), builder.build()
    assert one.event_id != two.event_id
    one.metadata["more"] = "x"
    one.errors.append("late")
    assert (two.metadata, two.errors) == ({"a": "b"}, ["e"])
    assert builder.build().metadata == {"a": "b"}


@pytest.mark.row("S086")
@pytest.mark.parametrize("name", REQUIRED)
def test_the_builder_says_what_is_missing(name: str) -> None:
    setters = {
        "service_name": "service", "model": "model", "prompt": "prompt_info",
        "response": "response_info", "latency_ms": "latency", "cost_usd": "cost",
    }  # fmt: skip
    builder = TelemetryEventBuilder()
    for field, setter in setters.items():
        if field != name:
            getattr(builder, setter)(REQUIRED[field])
    with pytest.raises(ValidationError, match=f"^{name} is required$"):
        builder.build()
