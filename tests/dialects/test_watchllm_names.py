"""llmobs.watchllm: names, signatures, defaults and the values of enums."""

import importlib
import inspect

import pytest

import llmobs
from llmobs import watchllm
from llmobs.watchllm import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EventType,
    Severity,
    Status,
    StepType,
    WatchLLMClient,
)
from tests.dialects.documents import parameters, printed_signature

row = pytest.mark.row


@pytest.mark.parametrize(
    ("function", "length"),
    [
        pytest.param(WatchLLMClient, 9, marks=row("W008"), id="constructor"),
        pytest.param(WatchLLMClient.log_prompt_call, 16, marks=row("W055"), id="prompt_call"),
        pytest.param(WatchLLMClient.log_agent_step, 14, marks=row("W075"), id="agent_step"),
        pytest.param(WatchLLMClient.log_error, 6, marks=row("W092"), id="error"),
    ],
)
def test_signatures_are_the_printed_ones(
    function: object, length: int, request: pytest.FixtureRequest
) -> None:
    [mark] = request.node.iter_markers("row")
    printed = printed_signature(mark.args[0], {"Status": Status, "StepType": StepType})
    ours = inspect.signature(function)  # type: ignore[arg-type]
    assert parameters(ours) == parameters(printed)
    assert len(parameters(ours)) == length
    if function is not WatchLLMClient:
        assert ours.return_annotation is printed.return_annotation is str


@row("W008")
def test_the_constructor_takes_its_parameters_by_position() -> None:
    client = WatchLLMClient("k", "p", "http://127.0.0.1:9/v1", "staging", 0.5, False, 7, 3, 9)
    assert (client.api_key, client.project_id, client.base_url) == (
        "k",
        "p",
        "http://127.0.0.1:9/v1",
    )
    assert (client.environment, client.sample_rate, client.redact_pii) == ("staging", 0.5, False)
    assert (client.batch_size, client.flush_interval_seconds, client.timeout) == (7, 3, 9)
    client.close()


@row("W005", "W029", "W035", "W040")
def test_the_names_of_the_document_are_at_the_top() -> None:
    from llmobs.watchllm import Severity, Status, StepType, WatchLLMClient

    for name in (Severity, Status, StepType, WatchLLMClient):
        assert name.__name__ in watchllm.__all__
    assert watchllm.__all__ == sorted(watchllm.__all__)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("client", "WatchLLMClient init EventType Status StepType Severity"),
        (
            "instrumentation",
            (
                "auto_instrument disable_instrumentation get_client is_instrumented trace"
                " calculate_cost get_current_run_id MODEL_PRICING"
            ),
        ),
        ("langchain", "WatchLLMCallbackHandler create_callback_handler"),
    ],
)
def test_the_originals_modules_have_their_names(module: str, names: str) -> None:
    found = importlib.import_module(f"llmobs.watchllm.{module}")
    assert set(names.split()) <= set(found.__all__)
    for name in set(names.split()) & set(watchllm.__all__):
        assert getattr(found, name) is getattr(watchllm, name)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        pytest.param(Status.SUCCESS, "success", marks=row("W030")),
        pytest.param(Status.ERROR, "error", marks=row("W031")),
        pytest.param(Status.TIMEOUT, "timeout", marks=row("W032")),
        pytest.param(Status.ASSERTION_FAILED, "assertion_failed", marks=row("W033")),
        pytest.param(Status.WARNING, "warning", marks=row("W034")),
        pytest.param(StepType.REASONING, "reasoning", marks=row("W036")),
        pytest.param(StepType.TOOL_CALL, "tool_call", marks=row("W037")),
        pytest.param(StepType.VALIDATION, "validation", marks=row("W038")),
        pytest.param(StepType.OUTPUT, "output", marks=row("W039")),
        pytest.param(Severity.LOW, "low", marks=row("W041")),
        pytest.param(Severity.MEDIUM, "medium", marks=row("W042")),
        pytest.param(Severity.HIGH, "high", marks=row("W043")),
        pytest.param(Severity.CRITICAL, "critical", marks=row("W044")),
    ],
)
def test_members_of_enums_have_the_values_of_the_wire(
    member: Status | StepType | Severity, value: str
) -> None:
    assert member.value == value
    assert type(member)(value) is member


@row("W040")
def test_severity_is_the_one_of_llmobs_and_is_ordered() -> None:
    assert Severity is llmobs.Severity
    assert Severity.LOW < Severity.MEDIUM < Severity.HIGH < Severity.CRITICAL


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (AssertionType, "response_format content_filter safety_check custom"),
        (DetectionMethod, "heuristic model_ensemble ground_truth_verification"),
        (AlertType, "cost_spike latency_spike error_rate_spike token_limit"),
    ],
)
def test_enums_that_only_the_package_has(kind: type[AssertionType], values: str) -> None:
    assert [member.value for member in kind] == values.split()


def test_event_types() -> None:
    known = {
        "PROMPT_CALL", "TOOL_CALL", "AGENT_STEP", "ERROR", "ASSERTION_FAILED",
        "HALLUCINATION_DETECTED", "COST_THRESHOLD_EXCEEDED", "PERFORMANCE_ALERT",
    }  # fmt: skip
    assert known <= set(EventType.__members__)
    assert all(EventType[name].value == name.lower() for name in known)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (watchllm.init, "api_key project_id kwargs"),
        (
            watchllm.auto_instrument,
            "api_key project_id instrument_openai instrument_anthropic client_kwargs",
        ),
        (watchllm.disable_instrumentation, ""),
        (watchllm.get_client, ""),
        (watchllm.is_instrumented, ""),
        (watchllm.trace, "run_id user_id tags"),
        (watchllm.get_current_run_id, ""),
        (
            WatchLLMClient.log_assertion_failure,
            "self run_id assertion_name assertion_type expected actual severity tags user_id release",
        ),
        (
            WatchLLMClient.log_hallucination_detection,
            (
                "self run_id detection_method confidence_score flagged_content ground_truth "
                "recommendations tags user_id release"
            ),
        ),
    ],
)
def test_what_only_the_package_has_keeps_its_parameters(function: object, names: str) -> None:
    assert list(inspect.signature(function).parameters) == names.split()  # type: ignore[arg-type]


def test_the_alert_of_the_typescript_client_is_the_native_one() -> None:
    names = list(inspect.signature(WatchLLMClient.log_performance_alert).parameters)
    assert names[1:10] == [
        "run_id", "alert_type", "threshold", "actual_value", "window_minutes", "affected_models",
        "tags", "user_id", "release",
    ]  # fmt: skip


def test_modules_are_where_the_original_has_them() -> None:
    from llmobs.watchllm import client, instrumentation

    assert client.WatchLLMClient is WatchLLMClient
    assert client.init is watchllm.init
    assert instrumentation.calculate_cost is watchllm.calculate_cost
    assert instrumentation.MODEL_PRICING is watchllm.MODEL_PRICING
