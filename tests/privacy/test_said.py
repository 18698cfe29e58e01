"""What llmobs says of itself quotes nobody: messages of its exceptions, `repr`, log lines, the command line."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import llmobs
from llmobs import AsyncClient, Client, Settings
from llmobs.cli.app import llmobs as command
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.recorded.printable import redacted
from llmobs.runtime.log import own_logger
from llmobs.sentinel import SentinelClient, SentinelConfig
from llmobs.sinks.http import HTTPSink
from llmobs.sinks.kafka import KafkaSink
from llmobs.sinks.otlp import OTLPSink
from llmobs.watchllm import WatchLLMClient
from tests.privacy.canaries import canaries, numbers_in

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
