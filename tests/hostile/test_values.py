"""What a value becomes: bounded, readable, and said where something is missing."""

import gc
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

import llmobs
from llmobs import watchllm
from llmobs.codec import encode, readable, shorten, snapshot, weighed
from llmobs.sentinel import TelemetryEvent, ValidationError
from llmobs.testing import CapturedEvents
from llmobs.watchllm import WatchLLMClient
from tests.helpers import ScriptedSink
from tests.hostile.values import Model, Node, small, values


def seconds_of(call: Callable[[], object]) -> float:
    """Return the CPU time of the quickest of three; the garbage of other tests is none of its own."""
    gc.disable()
    try:
        took = []
        for _ in range(3):
            begin = time.thread_time()
            call()
            took.append(time.thread_time() - begin)
        return min(took)
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", list(values()))
def test_a_value_is_taken_in_time_and_bounded(kind: str) -> None:
    value = values()[kind]
    assert seconds_of(lambda: weighed(value)) < 0.05
    plain, size = weighed(value)
    assert seconds_of(lambda: readable(value)) < 0.05
    assert len(readable(value)) <= 1_100
    assert size < 40_000_000
    json.loads(encode(plain))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("a million numbers", "items left out"),
        ("a million keys", "items left out"),
        ("a million texts", "items left out"),
        ("many messages", "items left out"),
        ("long texts", "characters left out"),
        ("many bytes", "<5,000,000 bytes>"),
        ("an array", "<numpy.ndarray float64 1,000 x 1,000>"),
        ("a frame", "DataFrame 1,000 x 10>"),
        ("shared", "see $.a"),
        ("deep", "below 32 levels"),
        ("a huge number", "bits>"),
        ("cycle", "<dict, see $>"),
        ("tree", "see $"),
        ("sleeps", "<tests.hostile.values.Sleeps>"),
    ],
)
def test_what_is_left_out_is_said(kind: str, said: str) -> None:
    assert said in json.dumps(snapshot(values()[kind]))


def test_embeddings_stay_whole() -> None:
    numbers = [n / 8_192 for n in range(8_192)]
    floats = np.array(numbers)
    for value in (numbers, tuple(numbers), floats, list(floats), pd.Series(numbers)):
        assert snapshot(value) == numbers
    assert len(snapshot([numbers] * 3)[2]) == 8_192


def test_fields_are_read_where_they_are_stored() -> None:
    model = snapshot(Model(name="n", inner=[Model()], extra=1))  # type: ignore[call-arg]
    assert model["name"] == "n" and model["extra"] == 1
    assert model["inner"][0]["secret"] == "**********"
    assert "internal" not in model and "hidden" not in json.dumps(model)
    child = Node("child")
    child.parent = Node("root", children=[child])
    assert snapshot(child) == {
        "name": "child",
        "parent": {
            "name": "root",
            "parent": None,
            "children": ["<tests.hostile.values.Node, see $>"],
        },
        "children": [],
    }


def test_flat_things_may_be_repeated() -> None:
    message, numbers = {"role": "user"}, [1, 2]
    assert snapshot([message, message, numbers, numbers]) == [message, message, numbers, numbers]


def test_a_collection_that_changes_meanwhile_is_taken_whole_or_not_at_all() -> None:
    shared: dict[str, Any] = {str(n): [n] for n in range(100)}
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            shared["more"] = [1]
            shared.pop("more", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            assert len(snapshot(shared)) in (100, 101)
    finally:
        stop.set()
        thread.join()


def test_shortening_ends_between_words_and_says_how_much() -> None:
    text = "word " * 1_000
    short = shorten({"a": text, "b": "x" * 500, "c": 1}, 1_000)
    assert short["a"].startswith("word word") and short["a"].endswith("characters left out")
    assert short["b"] == "<500 characters left out>"
    assert shorten(text, 5_000) is text
    assert "sk-" not in shorten("x " * 480 + "sk-" + "a" * 80, 1_000)


@pytest.mark.parametrize(
    "naive",
    [datetime(2026, 1, 2, 3), pd.Timestamp(2026, 1, 2, 3), "2026-01-02T03:00"],  # noqa: DTZ001
)
def test_naive_times_are_local(naive: Any, llmobs_events: CapturedEvents) -> None:
    with llmobs.Client(sink="memory:") as client:
        client.log_error("r", "e", timestamp=naive)
    local = datetime(2026, 1, 2, 3).astimezone(UTC)
    assert [event.timestamp for event in llmobs_events] == [local]


def test_what_cannot_be_true_is_set_aside_and_said(llmobs_events: CapturedEvents) -> None:
    with llmobs.Client(sink="memory:") as client:
        client.log_prompt_call("r", "p", "m", "a", 2**63 - 1, 5, 1.7e18, timestamp=datetime.max)  # noqa: DTZ901
    (event,) = llmobs_events
    assert (event.tokens_input, event.tokens_output, event.latency_ms) == (None, 5, None)
    assert [words.partition(":")[0] for words in event.warnings] == [
        "timestamp", "tokens_input", "latency_ms",
    ]  # fmt: skip


def test_a_block_records_what_it_was_given(llmobs_events: CapturedEvents) -> None:
    history: list[Any] = [{"role": "user"}]
    notes: dict[str, Any] = {"n": 1}
    with llmobs.Client(sink="memory:") as client, client.run() as run:
        with run.prompt_call(model="m", prompt=history, metadata=notes) as call:
            history.append({"role": "assistant"})
            call.finish(response=history)
            history.clear()
            notes["n"] = 2
        notes["n"] = 1
        with run.tool_call("t", input=notes), run.agent_step("s", input_data=notes):
            notes["n"] = 2

        @llmobs.observe
        def change(given: dict[str, Any]) -> None:
            given["n"] = 3

        change(notes)
    calls = {event.event_type: event for event in llmobs_events}
    assert calls["prompt_call"].prompt == [{"role": "user"}]
    assert len(calls["prompt_call"].response) == 2
    assert calls["prompt_call"].metadata == {"n": 1}
    assert calls["tool_call"].input == {"n": 1}
    assert [e.input_data for e in llmobs_events if e.event_type == "agent_step"] == [
        {"n": 1}, {"given": {"n": 2}},
    ]  # fmt: skip


def test_a_long_text_is_cut_later_and_keeps_its_event() -> None:
    sink = ScriptedSink()
    with llmobs.Client(sink=sink, capture_bytes=1_000) as client:
        client.log_prompt_call("r", "word " * 1_000, "m", "short", 5, 6)
    (event,) = sink.events
    assert isinstance(event, llmobs.PromptCallEvent)
    assert len(event.prompt) < 1_100 and event.prompt.endswith("characters left out")
    assert (event.response, event.tokens_input) == ("short", 5)


HOSTILE = ("raises", "attributes", "an array", "series", "text's child", "broken error")


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_value_is_asked_for_its_truth_or_its_class(
    kind: str, llmobs_events: CapturedEvents
) -> None:
    value = values()[kind]
    with llmobs.Client(sink="memory:") as client:
        client.run().finish(error=value, always=value, parent_id=value)
        client.run().tool_call("t").start().end(value)
        client.log_prompt_call("r", "p", "m", "a", prompt_embedding=[value])
        llmobs.observe(name=value, step_type=value)(lambda: 1)()
        with watchllm.trace(tags=value):
            llmobs.run().log_error("e")
    with WatchLLMClient("key", "project", sample_rate=0.0) as watching:
        watching.log_error(value, "e")
        watching.log_hallucination_detection("r", "judge", 0.5, "f", recommendations=value)
    assert len(llmobs_events) >= 6


def test_a_run_ends_with_what_it_was_given(llmobs_events: CapturedEvents) -> None:
    given: dict[Any, Any] = {(1, "a"): 2}
    with llmobs.Client(sink="memory:") as client:
        client.run().finish(always=True, metadata=given)
    (event,) = llmobs_events
    assert isinstance(event, llmobs.RunEvent)
    assert event.metadata is not None and all(type(key) is str for key in event.metadata)


@pytest.mark.parametrize("name", [*TelemetryEvent.__dataclass_fields__, "text", "tokens"])
def test_sentinel_takes_a_value_or_says_what_is_wrong_with_it(name: str) -> None:
    prompt, response = (
        {"text": "p", "tokens": 1},
        {"text": "a", "tokens": 1, "finish_reason": "stop"},
    )
    refused = 0
    for value in small().values():
        part = {name: value} if name in prompt else {}
        fields = {
            "service_name": "s", "model": "m", "latency_ms": 1.0, "cost_usd": 0.1,
            "prompt": prompt | part, "response": response | part,
        } | ({} if part else {name: value})  # fmt: skip
        try:
            event = TelemetryEvent.from_dict(fields)
        except ValidationError:
            refused += 1
        else:
            json.dumps(event.to_dict())
    assert refused > 50
