"""What llmobs says of itself quotes nobody: messages of its exceptions, `repr`, log lines, the command line."""

import gc
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import llmobs
from llmobs import AsyncClient, Client, Settings
from llmobs.cli.app import llmobs as command
from llmobs.contrib._tasks import TaskRuns
from llmobs.contrib._wire.ending import error_in
from llmobs.contrib._wire.partial import read_head
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.recorded.printable import brief, redacted
from llmobs.recorded.values import readable, snapshot, texts
from llmobs.runtime.log import own_logger
from llmobs.sentinel import SentinelClient, SentinelConfig, TelemetryEvent
from llmobs.sinks._answer import MAX_WORDS, HTTPAnswer
from llmobs.sinks._refusals import read_refusals
from llmobs.sinks.http import HTTPSink
from llmobs.sinks.kafka import KafkaSink
from llmobs.sinks.otlp import OTLPSink
from llmobs.watchllm import WatchLLMClient
from tests.privacy.canaries import canaries, numbers_in
from tests.privacy.filled import event_with

PASSWORD = "hunter2-is-no-form"
QUIET: dict[str, Any] = {"shutdown_timeout": 0, "flush_interval_seconds": 60}


def url(scheme: str, rest: str = "host.invalid:1/x") -> Callable[[str], str]:
    """Return what makes an address with a secret for its password."""
    return lambda secret: f"{scheme}://user:{secret}@{rest}"


def shown(make: Callable[[str], Any]) -> Callable[[str], str]:
    """Return what makes a thing of a secret, and says what is shown of it, or of the refusal to make it."""

    def show(secret: str) -> str:
        try:
            thing = make(secret)
        except Exception as error:
            return f"{error!r} {error} {error.__cause__!r}"
        said = f"{thing!r} {thing} {getattr(thing, 'name', '')}"
        if isinstance(thing, Client):
            said += repr(thing.statistics())
            thing.close()
        return said

    return show


def command_line(*arguments: str) -> Callable[[str], str]:
    """Return what runs a command with a secret for ``SECRET`` in its arguments."""

    def run(secret: str) -> str:
        words = [argument.replace("SECRET", secret) for argument in arguments]
        return CliRunner().invoke(command, words).output

    return run


SAID: Mapping[str, Callable[[str], str]] = {
    "settings": shown(lambda s: Settings(sink=url("https")(s), api_key=s)),
    "a client": shown(lambda s: Client(sink=url("https")(s), **QUIET)),
    "an async client": shown(lambda s: AsyncClient(sink=url("https")(s))),
    "a wrong scheme": shown(lambda s: Client(sink=url("nosuch")(s))),
    "a wrong port": shown(lambda s: Client(sink=f"https://user:{s}@host.invalid:x/")),
    "no host": shown(lambda s: Client(sink=f"https://user:{s}@/")),
    "Kafka": shown(
        lambda s: KafkaSink(["h.invalid:1"], sasl_plain_password=s, sasl_mechanism="PLAIN")
    ),
    "Kafka's address": shown(lambda s: Client(sink=url("kafka")(s), **QUIET)),
    "HTTP": shown(lambda s: HTTPSink(url("https")(s), s)),
    "OTLP": shown(lambda s: OTLPSink("https://h.invalid", headers={"authorization": s})),
    "OTLP's header": shown(lambda s: OTLPSink("https://h.invalid", headers={"x": f"{s}\n"})),
    "Sentinel": shown(lambda s: SentinelConfig(brokers=["h:1"], sasl_password=s)),
    "Sentinel's client": shown(lambda s: SentinelClient(["h.invalid:1"], sasl_password=s)),
    "WatchLLM": shown(lambda s: WatchLLMClient(s, "project", flush_interval_seconds=60)),
    "the command line: check": command_line("check", "--sink", url("nosuch")("SECRET")),
    "the command line: check, JSON": command_line(
        "check", "--json", "--sink", url("nosuch")("SECRET")
    ),
}
"""What may hold a secret that looks like nothing."""

QUOTED: Mapping[str, Callable[[str], str]] = {
    "settings of every name": shown(
        lambda s: Settings(
            project_id=s, service_name=s, environment=s, release=s, spool_dir=Path(s)
        )
    ),
    "a wrong value": shown(lambda s: Settings(sample_rate=s)),
    "an unknown name": shown(lambda s: Settings(**{s: 1})),
    "a wrong option": shown(lambda s: Client(sink=f"kafka://h.invalid:1/t?acks={s}")),
    "a wrong content": shown(lambda s: Settings(capture_content=s)),
    "a middleware": shown(lambda s: LLMObsMiddleware(print, header_name=s)),
    "a run": shown(lambda s: _run(s)),
    "the command line: show": command_line("show", "SECRET", "--store", "SECRET"),
    "an error of ours": shown(lambda s: llmobs.SinkRejectedError(s, events={"e": s})),
}
"""What quotes what was wrong."""


def _run(secret: str) -> Any:
    with Client(sink="memory:", **QUIET) as client, client.run(run_id=secret) as run:
        return run


@pytest.mark.parametrize("what", SAID)
def test_passwords_and_keys_are_not_said(what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "llmobs")
    assert PASSWORD not in SAID[what](PASSWORD) + caplog.text


@pytest.mark.parametrize("what", [*SAID, *QUOTED])
def test_what_is_found_is_not_said(what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "llmobs")
    say = SAID.get(what) or QUOTED[what]
    for text in canaries(1).values():
        assert not numbers_in((say(text) + caplog.text).encode(), [1])


def test_lines_are_redacted_whatever_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logger, text = own_logger("llmobs"), canaries(1)["email"]
    logger.warning("to %s", text)
    logger.warning("to %d", text)
    logger.warning({text: text})
    logger.warning("to %(who)s", {"who": text})
    try:
        try:
            raise KeyError(text)
        except KeyError as error:
            raise ValueError("not it") from error
    except ValueError:
        logger.exception("failed")
    assert not numbers_in(caplog.text.encode() + repr(caplog.records).encode(), [1])
    assert "Traceback" in caplog.text and "ValueError: not it" in caplog.text
    assert not any(numbers_in(repr(vars(record)).encode(), [1]) for record in caplog.records)


def test_what_cannot_be_shown_raises_into_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise KeyError("not me")

    own_logger("llmobs").warning(Odd())
    assert "could not be written: <Odd>" in caplog.text
    with pytest.raises(llmobs.ConfigurationError, match="<Odd>"):
        LLMObsMiddleware(print, client=Odd())


def test_a_line_without_anything_is_left_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("plain")
    except ValueError:
        own_logger("llmobs").exception("%s failed", "it")
    [record] = caplog.records
    assert (record.msg, record.args) == ("%s failed", ("it",))
    assert record.exc_info is not None


def test_where_redaction_fails_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> str:
        raise ImportError("the process ends")

    monkeypatch.setattr("llmobs.recorded.printable._redact", fail)
    assert redacted("ann.lee@example.com") == "[REDACTION_FAILED]"


# Of several clients.

BADGE = {"patterns": {"badge": r"EMP-[0-9]{5}"}}


def test_what_any_client_looks_for_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    loose = {"kinds": [], "allow": ["ann.lee*@*"]}
    with Client(sink="memory:", redaction=BADGE), Client(sink="memory:", redaction=loose):
        own_logger("llmobs").warning("no %s for %s", "EMP-12345", canaries(1)["email"])
        with pytest.raises(llmobs.ConfigurationError) as error:
            Client(sink="kafka://h.invalid:1/EMP-12345?acks=EMP-12345")
    own_logger("llmobs").warning("no client looks for EMP-54321 now")
    assert "EMP-1" not in caplog.text + str(error.value) and not numbers_in(
        caplog.text.encode(), [1]
    )
    assert "no [REDACTED_BADGE] for [REDACTED_EMAIL]" in caplog.text


def test_the_rules_of_a_client_that_is_gone_are_forgotten() -> None:
    client = Client(sink="memory:", redaction=BADGE)
    assert redacted("EMP-12345") == "[REDACTED_BADGE]"
    client.close()
    del client
    gc.collect()
    assert redacted("EMP-12345") == "EMP-12345"


def test_a_client_that_cannot_be_made_says_it_by_its_own_rules() -> None:
    with pytest.raises(llmobs.ConfigurationError) as error:
        Client(sink="nosuch://EMP-12345", redaction=BADGE)
    assert "EMP-1" not in str(error.value)


# Redacted, then cut: half a canary is none that is found.


@pytest.mark.parametrize("limit", [40, 80, 100, 300])
def test_what_is_cut_was_redacted_before(limit: int) -> None:
    for text in canaries(1).values():
        for at in range(limit - len(text), limit, 3):
            shown = brief(f"{'x' * (at - 1)} {text} and more", limit)
            assert len(shown) <= limit and text[:6] not in shown


CUT: Mapping[str, Callable[[str], object]] = {
    "a middleware's client": lambda s: LLMObsMiddleware(print, client=s),
    "a middleware's header": lambda s: LLMObsMiddleware(print, header_name=s),
    "a middleware's paths": lambda s: LLMObsMiddleware(print, exclude=s),
    "a path": lambda s: LLMObsMiddleware(print, exclude=[s]),
    "trust": lambda s: LLMObsMiddleware(print, trust_run_id=s),  # type: ignore[arg-type]
    "a task's client": lambda s: TaskRuns(s),
    "a setting": lambda s: Settings(sample_rate=s),
    "a name of a setting": lambda s: Settings(**{s: 1}),
    "a topic": lambda s: KafkaSink(["h.invalid:1"], topic=s),
    "Sentinel's event": lambda s: TelemetryEvent.from_dict({"event_id": s}),
}


@pytest.mark.parametrize("what", CUT)
def test_no_half_of_a_secret_is_quoted(what: str) -> None:
    key = canaries(1)["secret"]
    for length in (*range(20, 110, 5), *range(280, 300, 5)):
        text = f"{'-' * length} {key}"
        with pytest.raises(Exception) as error:
            CUT[what](text)
        assert key[:8] not in f"{error.value!r} {error.value}"


def test_no_format_cuts_what_nobody_has_redacted() -> None:
    cuts = re.compile(r"!r:\.\d|%\.\d+[rs]|\[:\w+\]!r")
    source = Path(llmobs.__file__).parent
    found = [str(p) for p in source.rglob("*.py") if cuts.search(p.read_text("utf-8"))]
    assert found == []


def test_what_a_server_says_is_redacted_before_it_is_cut() -> None:
    key, event = canaries(1)["secret"], event_with(llmobs.PromptCallEvent, "tags", "a")
    for length in range(MAX_WORDS - len(key) - 20, MAX_WORDS + 5, 7):
        said = (
            b'{"success": false, "total_processed": 0, "error": "%b"}'
            % f"{'-' * length} {key}".encode()
        )
        for status in (200, 400, 401, 500):
            answer = HTTPAnswer(status, {"content-type": "application/json"}, said)
            error = read_refusals(answer, str, [event], lambda event: event.event_id)
            assert error is not None and key[:8] not in str(error) and "----" in str(error)


RECORDED: Mapping[str, tuple[int, Callable[[str], object]]] = {
    "an error in a body": (4_000, lambda s: error_in({"error": s})),
    "an error of many members": (4_000, lambda s: error_in({"error": {"why": s}})),
    "a code": (200, lambda s: error_in({"error": {"message": "m", "code": s}})),
    "what an exception was made of": (200, lambda s: snapshot(ValueError(s))),
    "a text for what is no text": (1_000, lambda s: readable([s])),
    "a key that leads to what stands again": (64, lambda s: texts({s: [1], "b": 2})),
    "a body that is cut": (300, lambda s: read_head(b'{"a": "%b' % s.encode()[:300])),
}


@pytest.mark.parametrize("what", RECORDED)
def test_no_half_of_a_secret_is_recorded(what: str) -> None:
    """Capture cuts what is not redacted yet."""
    key = canaries(1)["secret"]
    limit, record = RECORDED[what]
    for at in range(limit - 60, limit, 7):
        said = repr(record(f"{'word ' * (at // 5)} {key} and more words " + "more " * 20))
        assert key in said or key[:8] not in said
