"""A store as a team has it: through the real client, and through each wire of the collector."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import llmobs
from llmobs.capture.tracker import Tracker
from llmobs.events import Event
from llmobs.recorded.ids import new_id
from tests.senders import replay
from tests.server.collecting import body_of, post
from tests.sinks.examples import every_kind
from tests.support.serving import Serving

__all__ = ["deliver", "fill", "from_now", "served"]

ASSISTANT = "https://assistant.example/picture.png"


@contextmanager
def served(folder: Path) -> Iterator[Serving]:
    """Serve a store that `fill` has filled."""
    with Serving(folder / "llmobs.db") as server:
        fill(server.url)
        yield server


def fill(url: str) -> None:
    """Send a little of everything to the collector at *url*."""
    deliver(url, _of_every_kind())
    for sink in (f"{url}/v1?wire=native", f"{url}/v1?wire=watchllm", f"otlp+{url}"):
        with llmobs.Client(sink=sink, api_key="any", service_name="shop", release="2.1") as client:
            _work(client, sink)
            assert client.flush().complete
    for sender in ("langfuse", "vercel-ai"):
        for _, answer in replay.send(sender, url):
            assert answer.is_success, answer.text


def deliver(url: str, events: Iterable[Event | bytes]) -> None:
    """Send events as they are, on our own wire."""
    answer = post(url, body_of(events))
    assert answer.is_success, answer.text


def from_now(*, seconds: float) -> datetime:
    """Return the time in so many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _of_every_kind() -> list[Event]:
    """One of each, of now, in one run."""
    run_id = new_id()
    events = every_kind()
    for number, event in enumerate(events):
        event.run_id = run_id
        event.timestamp = from_now(seconds=number - 60)
    return events


def _work(client: llmobs.Client, name: str) -> None:
    with client.run(
        name=f"POST /answer {name[:4]}", user_id="ada", session_id="s-1", tags=["beta"]
    ) as run:
        _answer(run)
        with client.run(name="digest", user_id="bilal"):
            pass
    try:
        with (
            client.run(name="POST /fails", user_id="bilal") as run,
            run.prompt_call(model="gpt-4o", prompt="Hi"),
        ):
            raise TimeoutError("the model did not answer\nwithin 30 s")
    except TimeoutError:
        pass
    for number in range(3):
        client.log_prompt_call(
            f"run-{name[:4]}-{number}",
            "Hello",
            "house-llama-8b",
            "Hi!",
            5,
            7,
            latency_ms=120 * number,
        )


def _answer(run: Tracker) -> None:
    asked = [
        {"role": "system", "content": "You help with *orders*."},
        {"role": "user", "content": [
            {"type": "text", "text": "Where is my order?\n\n1. parcel\n2. letter"},
            {"type": "image_url", "image_url": {"url": ASSISTANT}},
        ]},
    ]  # fmt: skip
    calls = [{"id": "c1", "type": "function",
              "function": {"name": "find_order", "arguments": json.dumps({"order": 7})}}]  # fmt: skip
    with run.agent_step("look it up") as step:
        with run.prompt_call(model="gpt-4o-mini", prompt=asked) as call:
            call.finish(
                response=[{"role": "assistant", "content": None, "tool_calls": calls}],
                tokens_input=1200, tokens_output=34,
            )  # fmt: skip
        with run.tool_call("find_order", input={"order": 7}) as tool:
            tool.output = {"state": "shipped", "days": [1, 2]}
        step.output_data = "found"
    told = {"role": "tool", "tool_call_id": "c1", "content": '{"state": "shipped"}'}
    with run.prompt_call(
        model="gpt-4o-mini", prompt=[*asked, {"role": "assistant", "tool_calls": calls}, told]
    ) as call:
        call.finish(
            response="It was **shipped** yesterday. " * 20, tokens_input=1300, tokens_output=90
        )
    run.log_evaluation("helpfulness", score=0.75, explanation="says when", source="user")
