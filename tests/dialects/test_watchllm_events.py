"""llmobs.watchllm: what each call puts on the wire, as a server that validates receives it."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from llmobs.recorded.ids import new_id
from llmobs.watchllm import (
    AgentStepEvent,
    AlertType,
    AssertionFailedEvent,
    AssertionType,
    BaseEvent,
    DetectionMethod,
    ErrorEvent,
    EventType,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    Severity,
    Status,
    StepType,
    WatchLLMClient,
)
from tests.dialects.conftest import MakeClient
from tests.support.watchllm_server import WatchLLMServer

row = pytest.mark.row

PROMPT_CALL: dict[str, Any] = {
    "run_id": "run-1",
    "prompt": "What is ML?",
    "model": "gpt-4o",
    "response": "A subset of AI.",
    "tokens_input": 12,
    "tokens_output": 45,
    "latency_ms": 1250,
}
AGENT_STEP: dict[str, Any] = {
    "run_id": "run-1",
    "step_number": 1,
    "step_name": "Search",
    "step_type": StepType.TOOL_CALL,
    "input_data": {"q": "x"},
    "output_data": {"r": [1]},
    "latency_ms": 10,
}
ERROR: dict[str, Any] = {"run_id": "run-1", "error": {"message": "boom"}}

Send = Callable[..., dict[str, Any]]


@pytest.fixture
def call(client: WatchLLMClient, worker: WatchLLMServer) -> Send:
    """Log one event with a method and parameters; return what the worker stored."""

    def send(method: str, parameters: dict[str, Any], **changes: Any) -> dict[str, Any]:
        worker.forget()
        event_id = getattr(client, method)(**{**parameters, **changes})
        assert client.flush().dropped == {}
        [event] = worker.events
        assert event["event_id"] == event_id
        return event

    return send


@pytest.fixture
def prompt_call(call: Send) -> Send:
    return lambda **changes: call("log_prompt_call", PROMPT_CALL, **changes)


@pytest.fixture
def agent_step(call: Send) -> Send:
    return lambda **changes: call("log_agent_step", AGENT_STEP, **changes)


@pytest.fixture
def error(call: Send) -> Send:
    return lambda **changes: call("log_error", ERROR, **changes)


# Header: one event of each kind, redacted, in one batch.


@row("W001")
def test_every_kind_reaches_the_worker_in_one_batch_without_addresses(
    client: WatchLLMClient, worker: WatchLLMServer
) -> None:
    mail = "joe@example.com"
    ids = [
        client.log_prompt_call(**{**PROMPT_CALL, "prompt": mail}),
        client.log_agent_step(**{**AGENT_STEP, "input_data": {"to": mail}}),
        client.log_error("run-1", ValueError(mail)),
        client.log_assertion_failure(
            "run-1", "is_json", AssertionType.RESPONSE_FORMAT, {"a": 1}, mail, Severity.HIGH
        ),
        client.log_hallucination_detection("run-1", DetectionMethod.HEURISTIC, 0.9, mail),
        client.log_performance_alert("run-1", AlertType.LATENCY_SPIKE, 1000, 5000, 5, ["gpt-4o"]),
    ]
    client.flush()
    assert [event["event_id"] for event in worker.events] == ids
    assert [event["event_type"] for event in worker.events] == [
        "prompt_call", "agent_step", "error", "assertion_failed", "hallucination_detected",
        "cost_threshold_exceeded",
    ]  # fmt: skip
    assert len(worker.requests) == 1
    assert mail.encode() not in worker.requests[0].body
    assert worker.requests[0].body.count(b"[REDACTED_EMAIL]") >= 5


@pytest.mark.parametrize(
    ("kind", "own", "event_type", "wire"),
    [
        pytest.param(
            PromptCallEvent, {"prompt": "p", "model": "m", "response": "r"}, EventType.PROMPT_CALL,
            "prompt_call", marks=row("W023"),
        ),
        pytest.param(
            AgentStepEvent, {"step_name": "s"}, EventType.AGENT_STEP, "agent_step",
            marks=row("W024"),
        ),
        pytest.param(
            ErrorEvent, {"error": {"message": "m"}}, EventType.ERROR, "error", marks=row("W025")
        ),
        pytest.param(
            AssertionFailedEvent, {"assertion_name": "a"}, EventType.ASSERTION_FAILED,
            "assertion_failed", marks=row("W026"),
        ),
        pytest.param(
            HallucinationDetectedEvent, {"flagged_content": "c"}, EventType.HALLUCINATION_DETECTED,
            "hallucination_detected", marks=row("W027"),
        ),
        pytest.param(
            PerformanceAlertEvent, {"threshold": 1.0, "actual_value": 2.0, "window_minutes": 3},
            EventType.PERFORMANCE_ALERT, "cost_threshold_exceeded", marks=row("W028"),
        ),
    ],
)  # fmt: skip
def test_each_event_class_is_accepted(
    kind: type[BaseEvent],
    own: dict[str, Any],
    event_type: EventType,
    wire: str,
    client: WatchLLMClient,
    worker: WatchLLMServer,
) -> None:
    assert issubclass(kind, BaseEvent)
    assert kind.event_type is event_type
    event = kind(event_id=new_id(), run_id="run-1", timestamp=datetime.now(UTC), **own)
    client.send(event)
    assert [e["event_type"] for e in worker.events] == [wire]


@row("W028")
def test_a_performance_alert_travels_under_the_name_the_worker_takes(call: Send) -> None:
    event = call(
        "log_performance_alert",
        {
            "run_id": "run-1",
            "alert_type": "cost_spike",
            "threshold": 10,
            "actual_value": 12.5,
            "window_minutes": 5,
        },
        affected_models=["gpt-4o"],
        tags=["t"],
    )
    assert event["event_type"] == "cost_threshold_exceeded"
    assert (event["alert_type"], event["threshold"], event["actual_value"]) == (
        "cost_spike",
        10,
        12.5,
    )
    assert (event["window_minutes"], event["affected_models"]) == (5, ["gpt-4o"])


@row("W026")
def test_an_assertion_failure(call: Send) -> None:
    given = {
        "run_id": "run-1",
        "assertion_name": "is_json",
        "assertion_type": AssertionType.RESPONSE_FORMAT,
        "expected": {"a": 1},
        "actual": "b",
        "severity": Severity.HIGH,
    }
    event = call("log_assertion_failure", given)
    assert {name: event[name] for name in given} == {
        **given,
        "assertion_type": "response_format",
        "severity": "high",
    }


@row("W027")
def test_a_hallucination_detection(call: Send) -> None:
    given = {
        "run_id": "run-1",
        "detection_method": DetectionMethod.MODEL_ENSEMBLE,
        "confidence_score": 0.9,
        "flagged_content": "The moon is cheese",
        "ground_truth": "rock",
        "recommendations": ["verify"],
    }
    event = call("log_hallucination_detection", given)
    assert {name: event[name] for name in given} == {**given, "detection_method": "model_ensemble"}


# Enums and texts.


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(Status.SUCCESS, marks=row("W030", "W063")),
        pytest.param(Status.ERROR, marks=row("W031", "W083")),
        pytest.param(Status.TIMEOUT, marks=row("W032")),
        pytest.param(Status.ASSERTION_FAILED, marks=row("W033")),
        pytest.param(Status.WARNING, marks=row("W034")),
    ],
)
def test_a_status_is_taken_as_member_and_as_text(
    status: Status, prompt_call: Send, agent_step: Send
) -> None:
    for given in (status, status.value):
        assert prompt_call(status=given)["status"] == status.value
        assert agent_step(status=given)["status"] == status.value


@row("W063", "W083")
def test_an_unknown_status_loses_nothing(client: WatchLLMClient, worker: WatchLLMServer) -> None:
    client.log_prompt_call(**{**PROMPT_CALL, "status": "ok"})
    client.log_prompt_call(**{**PROMPT_CALL, "status": "exploded"})
    client.log_agent_step(**{**AGENT_STEP, "status": None})
    client.log_prompt_call(**PROMPT_CALL)
    client.flush()
    assert [event["status"] for event in worker.events][:2] == ["success", "warning"]
    assert worker.events[1]["response_metadata"]["status"] == "exploded"
    assert len(worker.events) == 4


@pytest.mark.parametrize(
    "step_type",
    [
        pytest.param(StepType.REASONING, marks=row("W036", "W079")),
        pytest.param(StepType.TOOL_CALL, marks=row("W037")),
        pytest.param(StepType.VALIDATION, marks=row("W038")),
        pytest.param(StepType.OUTPUT, marks=row("W039")),
    ],
)
def test_a_step_type_is_taken_as_member_and_as_text(step_type: StepType, agent_step: Send) -> None:
    for given in (step_type, step_type.value):
        assert agent_step(step_type=given)["step_type"] == step_type.value


# Redaction.


@row("W052")
@pytest.mark.parametrize(
    "text",
    [
        "joe@example.com",
        "Contact:\njoe@example.com",
        "\tjoe@example.com",
        "josé joe@example.com",
        "😀joe@example.com😀",
        "mail joe@example.com, or call",
    ],
)
def test_addresses_are_redacted_and_nothing_is_lost(text: str, prompt_call: Send) -> None:
    event = prompt_call(
        prompt=text,
        response=text,
        response_metadata={"deep": [{"a": (text,)}], text: 1},
        tags=[text],
        error={"message": text},
        tool_calls=[{"tool_name": "t", "input": {"to": text}}],
    )
    assert "joe@" not in str(event)
    expected = text.replace("joe@example.com", "[REDACTED_EMAIL]")
    assert event["prompt"] == event["response"] == event["tags"][0] == expected
    assert event["error"]["message"] == expected
    assert event["response_metadata"]["deep"] == [{"a": [expected]}]
    assert event["tool_calls"][0]["input"] == {"to": expected}


@row("W053")
@pytest.mark.parametrize(
    "card", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005"]
)
def test_card_numbers_are_redacted(card: str, prompt_call: Send) -> None:
    event = prompt_call(prompt=f"pay with {card}.", response_metadata={"card": card})
    assert event["prompt"] == "pay with [REDACTED_CC]."
    assert event["response_metadata"]["card"] == "[REDACTED_CC]"


def test_what_the_document_does_not_name_stays_but_for_secrets(prompt_call: Send) -> None:
    event = prompt_call(prompt="078-05-1120, DE89370400440532013000, password=hunter2x")
    assert event["prompt"] == "078-05-1120, DE89370400440532013000, password=[REDACTED_KEY]"


def test_the_environment_says_what_is_redacted(
    make_client: MakeClient, worker: WatchLLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_REDACTION", '{"kinds": ["ssn"]}')
    client = make_client()
    client.log_prompt_call(**{**PROMPT_CALL, "prompt": "078-05-1120"})
    client.flush()
    assert worker.events[0]["prompt"] == "[REDACTED_SSN]"


@row("W053")
def test_what_only_looks_like_a_card_is_left_alone(
    client: WatchLLMClient, worker: WatchLLMServer
) -> None:
    run_id = "run-4111111111111112"  # no card: its checksum does not hold
    client.log_prompt_call(
        **{**PROMPT_CALL, "run_id": run_id},
        response_metadata={"share": 0.1 + 0.7, "big": 1234567812345678, "at": 1700000000000},
    )
    client.flush()
    [event] = worker.events
    assert event["run_id"] == run_id
    assert event["response_metadata"]["share"] == 0.1 + 0.7
    assert event["response_metadata"]["big"] == 1234567812345678
    assert uuid.UUID(event["event_id"])


# log_prompt_call, parameter by parameter.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("run_id", "run-xyz", marks=row("W056")),
        pytest.param("prompt", "Why?", marks=row("W057")),
        pytest.param("model", "gpt-4o-mini", marks=row("W058")),
        pytest.param("response", "Because.", marks=row("W059")),
        pytest.param("tokens_input", 7, marks=row("W060")),
        pytest.param("tokens_output", 8, marks=row("W061")),
        pytest.param("latency_ms", 9, marks=row("W062")),
        pytest.param("prompt_template_id", "tpl-1", marks=row("W065")),
        pytest.param("model_version", "2024-11-20", marks=row("W066")),
        pytest.param("tags", ["a", "b"], marks=row("W069")),
        pytest.param("user_id", "user-456", marks=row("W070")),
        pytest.param("release", "1.2.0", marks=row("W071")),
    ],
)
def test_parameters_of_a_prompt_call_arrive(name: str, value: object, prompt_call: Send) -> None:
    assert prompt_call(**{name: value})[name] == value


@row("W064", "W065", "W066", "W070", "W071")
def test_what_is_not_given_is_absent(prompt_call: Send, worker: WatchLLMServer) -> None:
    event = prompt_call()
    absent = {"error", "prompt_template_id", "model_version", "user_id", "release"}
    assert not absent & set(event)
    assert b"null" not in worker.requests[0].body


@row("W069")
def test_no_tags_are_no_tags(prompt_call: Send) -> None:
    assert prompt_call()["tags"] == []


@row("W067", "W068")
def test_no_metadata_and_no_tools_are_none(prompt_call: Send) -> None:
    event = prompt_call()
    # Ours puts what the schema has no field for beside the caller's own entries.
    assert not set(event.get("response_metadata", {})) - {
        "operation",
        "service_name",
        "cost_source",
    }
    assert event.get("tool_calls", []) == []


@row("W057", "W058", "W059")
def test_empty_texts_lose_nothing(prompt_call: Send) -> None:
    event = prompt_call(prompt="", model="", response="")
    assert event["prompt"] == event["response"] == "(empty)"
    assert event["model"] == "unknown"


@row("W060", "W061", "W062")
@pytest.mark.parametrize("value", [-1, None, "many", float("nan")])
def test_counts_that_are_none_lose_nothing(value: Any, prompt_call: Send) -> None:
    event = prompt_call(tokens_input=value, tokens_output=value, latency_ms=value)
    assert event["tokens_input"] == event["tokens_output"] == event["latency_ms"] == 0
    assert set(event["response_metadata"]["unknown"]) >= {"tokens_input", "tokens_output"}


@row("W062")
def test_latency_is_rounded(prompt_call: Send) -> None:
    latency = prompt_call(latency_ms=12.6)["latency_ms"]
    assert (latency, type(latency)) == (13, int)


@row("W064")
def test_an_error_of_a_prompt_call(prompt_call: Send) -> None:
    given = {"message": "rate limited", "type": "RateLimitError", "code": "429"}
    event = prompt_call(status=Status.ERROR, error=given)
    assert {name: event["error"][name] for name in given} == given


@row("W067")
def test_metadata_that_is_not_json_loses_nothing(prompt_call: Send) -> None:
    number = uuid.UUID(int=5)
    event = prompt_call(
        response_metadata={
            "id": number,
            "at": datetime(2024, 1, 1, tzinfo=UTC),
            "price": Decimal("1.5"),
            "lock": threading.Lock(),
            "more": ...,
            "nan": float("nan"),
            "surrogate": "\ud83d",
            7: "seven",
        }
    )
    held = event["response_metadata"]
    assert held["id"] == str(number)
    assert held["at"].startswith("2024-01-01T00:00:00")
    assert held["price"] == "1.5"
    assert "lock" in held["lock"]
    assert held["more"] == "Ellipsis"
    assert held["7"] == "seven"


@row("W068")
def test_tool_calls(prompt_call: Send) -> None:
    whole = {
        "tool_name": "search",
        "tool_id": "t1",
        "input": {"q": "x"},
        "output": {"r": [1]},
        "latency_ms": 5,
        "status": "success",
    }
    failed = {**whole, "status": "error", "error": {"message": "no network"}}
    scanty = {"tool_name": "search", "tool_id": None, "error": None}
    event = prompt_call(tool_calls=[whole, failed, scanty, {}])
    assert event["tool_calls"][:2] == [whole, failed]
    assert event["tool_calls"][2] == {
        "tool_name": "search", "input": {}, "output": {}, "latency_ms": 0, "status": "success",
    }  # fmt: skip
    assert len(event["tool_calls"]) == 4  # the original raises KeyError for the last


@row("W070", "W111", "W056")
@pytest.mark.parametrize("run_id", [77, uuid.UUID(int=7)])
def test_ids_that_are_no_texts_become_texts(run_id: Any, prompt_call: Send) -> None:
    event = prompt_call(user_id=42, run_id=run_id)
    assert (event["user_id"], event["run_id"]) == ("42", str(run_id))


@row("W076", "W093", "W056")
def test_run_ids_of_all_calls_may_be_numbers(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(sample_rate=0.999999) as client:
        client.log_prompt_call(**{**PROMPT_CALL, "run_id": 77})
        client.log_agent_step(**{**AGENT_STEP, "run_id": 77})
        client.log_error(77, ValueError("x"))  # type: ignore[arg-type]
        client.log_error(None, ValueError("x"))  # type: ignore[arg-type]
    assert [event["run_id"] for event in worker.events][:3] == ["77"] * 3
    assert len(worker.events[3]["run_id"]) == 36


@row("W072", "W090", "W099")
def test_the_id_returned_is_the_one_on_the_wire(
    prompt_call: Send, agent_step: Send, error: Send
) -> None:
    # The fixture compares what was returned with what arrived.
    for send in (prompt_call, agent_step, error):
        assert uuid.UUID(send()["event_id"])


@row("W073")
def test_the_cost_is_there_and_is_todays(prompt_call: Send) -> None:
    # 10 tokens at $2.50 and 5 at $10 per million; the original's table says 0.000125.
    event = prompt_call(tokens_input=10, tokens_output=5)
    assert event["cost_estimate_usd"] == pytest.approx(0.000075)
    unknown = prompt_call(model="no-such-model")
    assert unknown["cost_estimate_usd"] == 0
    assert "cost_usd" in unknown["response_metadata"]["unknown"]


@row("W001")
def test_who_sent_it_and_when(prompt_call: Send) -> None:
    event = prompt_call(latency_ms=0)
    assert event["client"]["hostname"] not in ("", "unknown")
    at = datetime.fromisoformat(event["timestamp"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 30


# log_agent_step.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("run_id", "run-xyz", marks=row("W076")),
        pytest.param("step_number", 3, marks=row("W077")),
        pytest.param("step_number", 0, marks=row("W077")),
        pytest.param("step_name", "Research", marks=row("W078")),
        pytest.param("step_type", "reasoning", marks=row("W079")),
        pytest.param("input_data", {"a": [1, {"b": None}]}, marks=row("W080")),
        pytest.param("output_data", {"c": 1.5}, marks=row("W081")),
        pytest.param("latency_ms", 77, marks=row("W082")),
        pytest.param("reasoning", "because", marks=row("W084")),
        pytest.param("error", {"message": "m", "type": "T"}, marks=row("W086")),
        pytest.param("tags", ["a", "b"], marks=row("W087")),
        pytest.param("user_id", "user-1", marks=row("W088")),
        pytest.param("release", "1.2.0", marks=row("W089")),
    ],
)
def test_parameters_of_an_agent_step_arrive(name: str, value: object, agent_step: Send) -> None:
    assert agent_step(**{name: value})[name] == value


@row("W085")
def test_the_context_of_a_step_is_always_there(agent_step: Send) -> None:
    given = {"model": "gpt-4o", "temperature": 0.7}
    assert given.items() <= agent_step(context=given)["context"].items()
    assert agent_step()["context"] == {}


@row("W084", "W086", "W087", "W088", "W089")
def test_what_is_not_given_of_a_step_is_absent(agent_step: Send) -> None:
    event = agent_step()
    assert not {"reasoning", "error", "user_id", "release"} & set(event)
    assert event["tags"] == []


@row("W077", "W078", "W080", "W081", "W082")
@pytest.mark.parametrize("data", [["a", "b"], "text", 7, None])
def test_steps_that_are_not_as_wanted_lose_nothing(data: Any, agent_step: Send) -> None:
    event = agent_step(
        input_data=data, output_data=data, step_name="", step_number=-1, latency_ms=1.4
    )
    wrapped = {} if data is None else {"value": data}
    assert event["input_data"] == event["output_data"] == wrapped
    assert event["step_name"]
    assert (event["step_number"], event["latency_ms"]) == (0, 1)


# log_error.


def fail(text: str = "boom") -> ValueError:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


@row("W093")
def test_the_run_of_an_error(error: Send) -> None:
    assert error(run_id="run-xyz")["run_id"] == "run-xyz"


@row("W094")
def test_an_exception_has_its_own_traceback_also_outside_except(error: Send) -> None:
    event = error(error=fail())
    assert event["error"]["message"] == "boom"
    assert event["error"]["type"] == "ValueError"
    assert "in fail" in event["error"]["stack"]
    assert event["stack_trace"] == event["error"]["stack"]


@row("W094")
@pytest.mark.parametrize("given", [Exception(), ValueError(""), {}, {"message": ""}])
def test_an_error_without_words_gets_some(given: Any, error: Send) -> None:
    assert error(error=given)["error"]["message"]


@row("W094")
def test_a_dict_is_passed_through(error: Send) -> None:
    given = {"message": "m", "type": "T", "code": "E1", "stack": "s"}
    assert error(error=given)["error"] == given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("tags", ["error", "openai"], marks=row("W096")),
        pytest.param("user_id", "user-1", marks=row("W097")),
        pytest.param("release", "1.2.0", marks=row("W098")),
    ],
)
def test_parameters_of_an_error_arrive(name: str, value: object, error: Send) -> None:
    assert error(**{name: value})[name] == value


@row("W095", "W096", "W097", "W098")
def test_what_is_not_given_of_an_error(error: Send) -> None:
    event = error()
    assert not {"user_id", "release"} & set(event)
    assert event["tags"] == []
    assert event["context"] == {}
    given = {"operation": "call_llm", "retry_attempt": 2}
    assert given.items() <= error(context=given)["context"].items()


# Wrong calls are told, as Python does.


@row("W055", "W075", "W092")
@pytest.mark.parametrize("method", ["log_prompt_call", "log_agent_step", "log_error"])
def test_unknown_and_missing_parameters_are_type_errors(
    method: str, client: WatchLLMClient
) -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        getattr(client, method)(run_id="r", no_such="x")
    with pytest.raises(TypeError, match="missing"):
        getattr(client, method)(run_id="r")


@row("W094", "W067")
def test_one_bad_event_does_not_take_its_batch_along(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(environment="test") as client:
        client.log_prompt_call(**{**PROMPT_CALL, "latency_ms": 12.5, "response": ""})
        client.log_error("", Exception())
        client.log_agent_step(**{**AGENT_STEP, "step_type": "thinking", "input_data": [1]})
        client.log_prompt_call(**PROMPT_CALL)
    assert len(worker.events) == 4
    assert client.statistics().dropped == {}
