"""What everybody's SDK sent, recorded: as spans of this process, and sent to a collector once more."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client
from llmobs.contrib.opentelemetry import tracer_provider
from llmobs.testing import capture_events
from tests.senders.environments import SENDERS
from tests.senders.expected import ARRIVES, check, compare
from tests.senders.replay import names, runs_of, send, spans_in_process
from tests.support.serving import Serving


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
def test_at_a_collector(name: str, collector: Serving, store: Path) -> None:
    for _ in range(2):  # sent twice, it is the same
        for request, answer in send(name, collector.url):
            assert answer.is_success, (request.method, request.path, answer.text)
    check(store, runs_of(name), ARRIVES[name])
