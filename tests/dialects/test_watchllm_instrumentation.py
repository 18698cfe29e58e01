"""llmobs.watchllm beyond the document: what the original package's own tests and README use."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import llmobs
from llmobs import watchllm
from llmobs.watchllm import (
    MODEL_PRICING,
    WatchLLMClient,
    auto_instrument,
    calculate_cost,
    disable_instrumentation,
    get_client,
    get_current_run_id,
    is_instrumented,
    trace,
)
from tests.support.llm_server import llm_server as llm_server
from tests.support.watchllm_server import WatchLLMServer


@pytest.fixture(autouse=True)
def _disabled() -> Iterator[None]:
    disable_instrumentation()
    yield
    disable_instrumentation()


def ask_openai(base_url: str) -> str:
    import openai

    with openai.OpenAI(api_key="sk-test", base_url=f"{base_url}/v1") as client:
        answer = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Who?"}]
        )
    return answer.choices[0].message.content or ""


def ask_anthropic(base_url: str) -> Any:
    import anthropic

    with anthropic.Anthropic(api_key="sk-test", base_url=base_url) as client:
        return client.messages.create(
            model="claude-3-haiku-20240307",
            max_tokens=50,
            messages=[{"role": "user", "content": "Who?"}],
        )


def test_the_state_is_what_it_says() -> None:
    assert (is_instrumented(), get_client()) == (False, None)
    for _ in range(3):
        client = auto_instrument(api_key="test-key", project_id="p", environment="test")
        assert isinstance(client, WatchLLMClient)
        assert (is_instrumented(), get_client()) == (True, client)
        disable_instrumentation()
        assert (is_instrumented(), get_client()) == (False, None)


def test_calls_of_both_packages_are_recorded_under_the_trace(
    worker: WatchLLMServer, llm_server: str
) -> None:
    auto_instrument("test-key", "shop", base_url=worker.base_url, sample_rate=1.0)
    with trace(run_id="run-7", user_id="u-1", tags=["beta"]) as run_id:
        assert run_id == get_current_run_id() == "run-7"
        answer = ask_openai(llm_server)
        ask_anthropic(llm_server)
    disable_instrumentation()
    first, second = worker.events  # the trace sends no event of its own
    assert [e["event_type"] for e in worker.events] == ["prompt_call", "prompt_call"]
    assert first["model"] == "gpt-4o"
    assert json.loads(first["response"])[0]["parts"][0]["content"] == answer
    assert second["model"] == "claude-3-haiku-20240307"
    for event in (first, second):
        assert (event["run_id"], event["user_id"]) == ("run-7", "u-1")
        assert event["tags"] == ["beta"]
        assert event["project_id"] == "shop"
        assert event["tokens_input"] > 0


def test_calls_outside_a_trace_are_recorded_too(worker: WatchLLMServer, llm_server: str) -> None:
    client = auto_instrument("test-key", "p", base_url=worker.base_url)
    ask_openai(llm_server)
    client.flush()
    assert len(worker.events) == 1


@pytest.mark.parametrize(
    ("options", "recorded"),
    [({"instrument_openai": False}, "claude"), ({"instrument_anthropic": False}, "gpt")],
)
def test_one_package_can_be_left_out(
    options: dict[str, bool], recorded: str, worker: WatchLLMServer, llm_server: str
) -> None:
    auto_instrument("test-key", "p", base_url=worker.base_url, **options)
    ask_openai(llm_server)
    ask_anthropic(llm_server)
    disable_instrumentation()
    [event] = worker.events
    assert event["model"].startswith(recorded)


def test_nothing_is_recorded_once_it_is_off(worker: WatchLLMServer, llm_server: str) -> None:
    client = auto_instrument("test-key", "p", base_url=worker.base_url)
    disable_instrumentation()
    ask_openai(llm_server)
    client.flush()
    assert worker.events == []
    assert client.statistics().accepted == 0


def test_a_second_client_takes_over_and_the_first_delivers(worker: WatchLLMServer) -> None:
    first = auto_instrument("test-key", "one", base_url=worker.base_url)
    first.log_error("r", ValueError("x"))
    assert auto_instrument("test-key", "two", base_url=worker.base_url) is get_client()
    assert [event["project_id"] for event in worker.events] == ["one"]
    with pytest.raises(llmobs.ConfigurationError):
        auto_instrument("", "three")
    assert is_instrumented()  # a wrong setting changes nothing


# trace() and get_current_run_id().


def test_a_trace_without_instrumentation_only_names_the_run() -> None:
    with trace(run_id="test") as run_id:
        assert run_id == get_current_run_id() == "test"
    with trace() as run_id:
        assert len(run_id) == 36
        assert get_current_run_id() == run_id
    assert llmobs.current_run() is None


def test_outside_a_trace_each_question_gives_a_new_id() -> None:
    assert len({get_current_run_id(), get_current_run_id()}) == 2
    assert len(get_current_run_id()) == 36


def test_traces_nest_and_threads_do_not_mix() -> None:
    seen = []

    def work(name: str, gate: threading.Barrier) -> None:
        with trace(name):
            gate.wait(10)
            seen.append((name, get_current_run_id()))

    with trace("outer"):
        with trace("inner"):
            assert get_current_run_id() == "inner"
        assert get_current_run_id() == "outer"
        gate = threading.Barrier(2)
        threads = [threading.Thread(target=work, args=(n, gate)) for n in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(seen) == [("a", "a"), ("b", "b")]


def test_a_trace_inside_another_clients_run_records_there(
    llmobs_events: Any, llm_server: str
) -> None:
    from llmobs.contrib.openai import instrument, uninstrument

    instrument()
    try:
        with llmobs.Client(sink="memory:").run("outer"), trace("inner"):
            ask_openai(llm_server)
    finally:
        uninstrument()
    assert [event.run_id for event in llmobs_events] == ["inner"]


def test_logging_inside_a_trace_belongs_to_it(worker: WatchLLMServer) -> None:
    client = auto_instrument("test-key", "p", base_url=worker.base_url)
    with trace("run-7", user_id="u-1", tags=["beta"]) as run_id:
        client.log_prompt_call(run_id, "p", "m", "r", 1, 1, 1, tags=["mine"])
    client.flush()
    assert worker.events[0]["user_id"] == "u-1"
    assert worker.events[0]["tags"] == ["beta", "mine"]


# Costs.


@pytest.mark.parametrize(
    ("model", "tokens", "cost"),
    [
        # US dollars per million tokens: 2.50 and 10; 0.50 and 1.50; 3 and 15; 15 and 75.
        ("gpt-4o", (1000, 500), 0.0075),
        ("gpt-3.5-turbo", (2000, 1000), 0.0025),
        ("claude-3-5-sonnet-20241022", (5000, 2000), 0.045),
        ("claude-3-opus-20240229", (1000, 500), 0.0525),
    ],
)
def test_costs_are_those_the_originals_tests_pin(
    model: str, tokens: tuple[int, int], cost: float
) -> None:
    assert calculate_cost(model, *tokens) == pytest.approx(cost)


def test_a_cost_is_not_invented() -> None:
    assert calculate_cost("unknown-model-xyz", 1000, 500) == 0.0
    # The original takes the price of gpt-4o for this one.
    mini = calculate_cost("gpt-4o-mini-2024-07-18", 1000, 500)
    assert mini == pytest.approx(0.00045)


def test_model_pricing_is_a_mapping_of_prices_per_thousand_tokens() -> None:
    for model in ("gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-4", "gpt-3.5-turbo", "o1", "o1-mini",
                  "claude-3-5-sonnet-20241022", "claude-3-opus-20240229",
                  "claude-3-haiku-20240307"):  # fmt: skip
        assert model in MODEL_PRICING
    assert MODEL_PRICING["gpt-4o"] == pytest.approx({"input": 0.0025, "output": 0.01})
    assert set(MODEL_PRICING) >= {"gpt-4o"}
    assert len(MODEL_PRICING) == len(dict(MODEL_PRICING))
    assert "unknown-model-xyz" not in MODEL_PRICING
    with pytest.raises(KeyError):
        MODEL_PRICING["unknown-model-xyz"]


def test_all_names_are_exported() -> None:
    for name in ("auto_instrument", "disable_instrumentation", "is_instrumented", "get_client",
                 "trace", "get_callback_handler", "BaseEvent", "ToolCallEvent"):  # fmt: skip
        assert name in watchllm.__all__
        assert hasattr(watchllm, name)
