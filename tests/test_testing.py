"""llmobs.testing: what users test their applications with."""

import llmobs
from llmobs import PromptCallEvent
from llmobs.testing import CapturedEvents


def test_the_fixture_collects_prepared_events(llmobs_events: CapturedEvents) -> None:
    client = llmobs.Client(service_name="shop")
    with client.run("run-1") as run:
        run.log_prompt_call("write to ann@example.com", "gpt-4o", "done", 3, 4, 5)
    call = llmobs_events.of(PromptCallEvent)[0]
    assert call.prompt == "write to [REDACTED_EMAIL]"
    assert call.service_name == "shop"
    assert [event.event_type for event in llmobs_events.in_run("run-1")] == ["prompt_call", "run"]
    assert client.statistics().accepted == 0


def test_a_client_that_is_off_records_nothing(llmobs_events: CapturedEvents) -> None:
    assert llmobs.Client(enabled=False).log_error("run-1", "boom")
    assert llmobs_events == []
