"""
Nothing gets round redaction: canaries in every field, through every door, and no byte of them comes out.

The combinations come from tables: fields from `llmobs.redaction.fields`, methods and their arguments
from `tests.hostile.doors`, kinds from `llmobs.redaction.kinds`, doors from `tests.privacy.doors`,
sinks from `tests.privacy.net`. What is new in one of them is tried without another word.
"""

from pathlib import Path
from typing import Any

import pytest

import llmobs
from llmobs.codec import AnyEvent
from llmobs.redaction.fields import every_field
from llmobs.sentinel import PromptInfo, ResponseInfo, SentinelClient, TelemetryEvent
from llmobs.watchllm import WatchLLMClient
from tests.hostile.test_recording import METHODS, arguments, attempt
from tests.privacy.canaries import canaries, every_canary, numbers_in
from tests.privacy.doors import DOORS
from tests.privacy.filled import event_with, value_for
from tests.privacy.net import Net, casting

QUIET: dict[str, Any] = {"flush_interval_seconds": 60}
MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "on disk": {"durability": "disk"},
    "redacted": {"redact_pii": False, "capture_content": "redacted"},
    "metadata": {"redact_pii": False, "capture_content": "metadata"},
}


def leaks(net: Net, names: dict[int, str]) -> list[str]:
    """Return what came out, where, by which way in."""
    found = []
    for where, data in net.look().items():
        for number, kind in sorted(numbers_in(data, names)):
            found.append(f"{kind} of {names[number]} in {where}")
    return found


@pytest.mark.parametrize("mode", MODES)
def test_no_field_of_an_event_comes_out(mode: str, tmp_path: Path) -> None:
    names: dict[int, str] = {}
    with casting(tmp_path, **QUIET, **MODES[mode]) as (net, client):
        for kind in AnyEvent.__args__:
            fields = [name for name in every_field(kind) if value_for(kind, name, "") is not None]
            for name in fields:
                number = len(names)
                names[number] = f"{kind.__name__}.{name}"
                event = event_with(kind, name, every_canary(number))
                client.record(event, None, 500, failed=False)
            number = len(names)
            names[number] = f"{kind.__name__}, a kind alone in every field"
            for text in canaries(number).values():
                event = event_with(kind, "tags", text)
                for name in fields:
                    setattr(event, name, value_for(kind, name, text))
                client.record(event, None, 500, failed=False)
        client.flush(20)
        net.other["statistics"] = repr(client.statistics())
    assert leaks(net, names) == []


def test_the_net_has_no_holes(tmp_path: Path) -> None:
    """Without redaction, what went in is seen in every place that is looked at."""
    with casting(tmp_path, **QUIET, redact_pii=False) as (net, client):
        event = event_with(llmobs.PromptCallEvent, "tags", every_canary(0))
        event.run_id = event.model = every_canary(0)
        client.record(event, None, 500, failed=False)
        with client.run() as run:
            run.log_error(every_canary(0))
        client.flush(20)
        places = {where for where, data in net.look().items() if numbers_in(data, [0])}
        store = net.command_line()
    assert len(numbers_in(store, [0])) > 5
    assert places == {
        "runs.db", "events.jsonl", "console", "native", "watchllm", "otlp", "kafka",
        "tail sampling", "spool",
    }  # fmt: skip


def test_no_door_lets_anything_out(tmp_path: Path) -> None:
    names: dict[int, str] = {}
    with casting(tmp_path, **QUIET) as (net, client):
        for name, door in DOORS.items():
            number = len(names)
            names[number] = name
            before = client.statistics().accepted
            door(client, every_canary(number))
            assert client.statistics().accepted > before, f"{name} recorded nothing"
        client.flush(30)
        net.other["statistics"] = repr(client.statistics())
        net.other["command line"] = net.command_line().decode()
    assert leaks(net, names) == []


def test_no_argument_of_any_method_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_REDACTION", "{}")  # WatchLLM's document names two kinds only
    names: dict[int, str] = {}
    with casting(tmp_path, **QUIET) as (net, client):
        url = f"{net.server.url}/watchllm"
        with WatchLLMClient("key", "project", base_url=url, flush_interval_seconds=60) as watching:
            for owner, name in METHODS:
                number = len(names)
                names[number] = f"{owner.__name__}.{name}"
                mine = watching if owner is WatchLLMClient else client
                for value in (every_canary(number), {"a": [every_canary(number)]}):
                    given = dict.fromkeys(arguments(owner, name), value)
                    attempt(owner, name, mine, given)
            watching.flush(20)
        client.flush(20)
        net.other["statistics"] = repr(client.statistics())
    assert leaks(net, names) == []


def test_sentinels_words_do_not_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_REDACT_PII", "true")  # its document does not speak of redaction
    text = every_canary(0)
    with casting(tmp_path, **QUIET) as (net, _):
        sentinel = SentinelClient(["host.invalid:1"])
        sentinel._connect(net.records)  # type: ignore[arg-type]
        words = (text, {text: text}, [text])
        sentinel.track(text, text, text, text, 1.0, 1, 1, 0.1, text, text, *words, timeout=10)
        event = TelemetryEvent(
            text, text, PromptInfo(text, 1), ResponseInfo(text, 1, text), 1.0, 0.1
        )
        sentinel.send(event, 10)
        sentinel.close()
        assert net.records.data.count(b"[REDACTED_EMAIL]") > 10
    assert leaks(net, {0: "Sentinel"}) == []


def test_what_settings_say_does_not_come_out(tmp_path: Path) -> None:
    text = every_canary(0)
    said = dict.fromkeys(("project_id", "service_name", "environment", "release"), text)
    with casting(tmp_path, **QUIET, **said) as (net, client):
        with client.run() as run:
            run.log_prompt_call("p", "m", "a")
        client.flush(20)
        net.other["client"] = repr(client) + repr(client.settings)
    assert leaks(net, {0: "settings"}) == []
