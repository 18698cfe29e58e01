"""What everybody's SDK sent, recorded: as spans of this process, and sent to a collector once more."""

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client
from llmobs.contrib._spans.about import run_name
from llmobs.contrib._spans.kinds import Kind, kind_of
from llmobs.contrib._spans.outcome import outcome_of
from llmobs.contrib._spans.reading import read
from llmobs.contrib.opentelemetry import tracer_provider
from llmobs.errors import StoreNotFoundError
from llmobs.server.otlp import protobuf
from llmobs.store.reader import Reader
from llmobs.testing import capture_events
from tests.senders.environments import SENDERS
from tests.senders.expected import ARRIVES, check, compare
from tests.senders.replay import names, requests_of, runs_of, send, spans_in_process
from tests.support.serving import Serving

STRANGE: list[Any] = [
    True, -1, 10**30, float("inf"), float("nan"), "", "{", '"', "null", "7", "{}", "[[]]", "[7]", [], ["\"x"],
    {"a": 1}, '[{"role":7}]', '[{"role":"user","content":{"a":[1]}}]', '[{"parts":[7]}]', "(" * 2000,
    '{"args":1,"kwargs":2}', '{"prompt_tokens":-1}', '{"input":"x","total":1e999}', '{"message":[1]}',
    '{"messages":7}', '{"choices":[{"message":7}]}', "\ud800",
]  # fmt: skip


def test_every_sender_is_recorded_and_expected() -> None:
    assert {name.replace(" ", "-") for name in SENDERS} == set(names()) == set(ARRIVES)


# Before v1.37 contents stand in log records, which no processor of spans sees.
@pytest.mark.parametrize("name", [each for each in names() if each != "openai-v2-before"])
def test_in_process(name: str) -> None:
    with capture_events() as events, Client(sink="memory:") as client:
        provider: TracerProvider = tracer_provider(client)
        spans_in_process(name, provider)
        provider.shutdown()
    compare(list(events), ARRIVES[name])


@pytest.mark.parametrize("name", names())
def test_no_value_of_an_attribute_keeps_a_span_from_being_read(name: str) -> None:
    seen: set[tuple[Kind | None, str]] = set()
    bodies = [each.body for each in requests_of(name) if each.path.endswith("/traces")]
    for span in (span for body in bodies for span in protobuf.spans_in(body)):
        whole = dict(span.attributes)
        kind = kind_of(whole)
        for attribute in whole:
            if (kind, attribute) in seen:
                continue
            seen.add((kind, attribute))
            for value in STRANGE:
                span.attributes = {**whole, attribute: value}
                read(span, kind_of(span.attributes) or Kind.STEP, {})
                outcome_of(span)
                run_name(span.attributes)


def runs_in(store: Path) -> set[str]:
    try:
        with Reader(store) as reader:
            return {each.run_id for each in reader.runs(limit=1000)}
    except StoreNotFoundError:  # nothing has come yet
        return set()


@pytest.mark.parametrize("name", names())
def test_at_a_collector(name: str, collector: Serving, store: Path) -> None:
    before = runs_in(store)
    for _ in range(2):  # sent twice, it is the same
        for request, answer in send(name, collector.url):
            assert answer.is_success, (request.method, request.path, answer.text)
    assert runs_in(store) - before <= runs_of(name)
    check(store, runs_of(name), ARRIVES[name])
