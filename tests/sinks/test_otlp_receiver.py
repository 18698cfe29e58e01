"""The OTLP sink against the OpenTelemetry Collector, read back from what the collector wrote."""

from collections.abc import Iterator

import pytest

import llmobs
from llmobs.errors import SinkRejectedError
from llmobs.pipeline.sink import Batch
from llmobs.recorded import semconv
from llmobs.sinks.otlp import OTLPSink
from tests.sinks.examples import SPAN, TRACE, every_kind, prompt_call
from tests.support import otelcol
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.servers,
    # The first run builds the collector.
    pytest.mark.timeout(otelcol.INSTALL_SECONDS + 60),
]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[otelcol.Collector]:
    try:
        otelcol.installed()
    except otelcol.CannotInstall as reason:
        pytest.skip(str(reason))
    with otelcol.running(tmp_path_factory.mktemp("otelcol")) as running:
        yield running


async def test_a_run_arrives_as_one_trace(collector: otelcol.Collector) -> None:
    client = llmobs.AsyncClient(
        sink=f"otlp+{collector.endpoint}?compression=gzip",
        service_name="checkout",
        environment="production",
        release="1.2.3",
    )
    async with client:
        with client.run(name="job", trace_id=TRACE, span_id=SPAN, user_id="u1") as run:
            with run.agent_step("plan", input_data={"q": 1}) as step:
                run.log_tool_call("search", {"q": "x"}, ["found"], latency_ms=5)
                step.output_data = "done"
            run.log_prompt_call(
                "naïve 🙂", "gpt-4o", "yes", 12, 45, 1250, provider="openai", tokens_cache_write=3
            )
            run.log_error(ValueError("boom"))
        report = await client.flush()
    assert (report.delivered, report.dropped) == (5, {})

    def arrived() -> dict[str, otelcol.Json] | None:
        spans = {
            span["name"]: span
            for span in collector.spans()
            if otelcol.attributes(span)[semconv.RUN_ID] == run.run_id
        }
        return spans if len(spans) == 4 else None

    spans = eventually(arrived, what="the arrival of four spans")
    root = spans["job"]
    assert {span["traceId"] for span in spans.values()} == {TRACE}
    assert root["parentSpanId"] == SPAN
    assert spans["chat gpt-4o"]["parentSpanId"] == root["spanId"]
    assert spans["invoke_agent plan"]["parentSpanId"] == root["spanId"]
    assert spans["execute_tool search"]["parentSpanId"] == spans["invoke_agent plan"]["spanId"]
    call = otelcol.attributes(spans["chat gpt-4o"])
    assert call["gen_ai.usage.input_tokens"] == 12
    assert call["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert call["gen_ai.usage.cache_write.input_tokens"] == 3
    assert "naïve 🙂" in call["gen_ai.input.messages"]
    resource = spans["chat gpt-4o"]["resource"]
    assert resource["service.name"] == "checkout"
    assert resource["deployment.environment.name"] == "production"
    assert resource["service.version"] == "1.2.3"

    def logged() -> list[otelcol.Json]:
        logs = collector.logs()
        return [log for log in logs if otelcol.attributes(log)[semconv.RUN_ID] == run.run_id]

    (log,) = eventually(logged, what="the log")
    assert log["traceId"] == TRACE
    assert log["spanId"] == root["spanId"]
    assert log["eventName"] == "exception"
    assert otelcol.attributes(log)["exception.type"] == "ValueError"


async def test_every_kind_of_event_is_accepted(collector: otelcol.Collector) -> None:
    events = every_kind()
    sink = OTLPSink(collector.endpoint)
    await sink.open()
    await sink.send(Batch(events))
    await sink.aclose()
    wanted = {event.event_id for event in events}

    def arrived() -> bool:
        records = [*collector.spans(), *collector.logs()]
        return wanted <= {otelcol.attributes(record)[semconv.EVENT_ID] for record in records}

    eventually(arrived, what="the arrival of every event")


async def test_the_collectors_own_words_are_understood(collector: otelcol.Collector) -> None:
    sink = OTLPSink(collector.endpoint, headers={"content-encoding": "gzip"})
    await sink.open()
    with pytest.raises(SinkRejectedError) as caught:
        await sink.send(Batch([prompt_call()]))
    await sink.aclose()
    assert str(caught.value) == "HTTP 400: ***: invalid header"  # our header values are blotted out
