"""``llmobs check``."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import click
import msgspec
from rich.text import Text

from llmobs.cli.options import json_option
from llmobs.cli.output import ExitCode, console, notes, write_json
from llmobs.client.async_client import AsyncClient
from llmobs.describe.words import duration, visible
from llmobs.errors import ConfigurationError, DeliveryError, SinkUnavailableError
from llmobs.events import PromptCallEvent
from llmobs.recorded.ids import new_id
from llmobs.settings import Settings
from llmobs.sinks import resolve, safe_url
from llmobs.sinks.jsonl import JSONLSink
from llmobs.sinks.sqlite import SQLiteSink

__all__ = ["check"]


class Verdict(msgspec.Struct):
    """What one sink said to one event."""

    sink: str
    delivered: bool
    latency_ms: float
    event_id: str | None = None
    """The event, where it stays; None where it was taken back, or never came."""
    problem: str | None = None
    advice: str | None = None


@click.command()
@click.option(
    "--sink", metavar="URL", help="Check this sink. Default: those that LLMOBS_SINK names."
)
@click.option(
    "--timeout", type=float, default=10.0, show_default=True, help="Seconds to wait for each sink."
)
@json_option
def check(sink: str | None, timeout: float, json: bool) -> None:
    """Send one event to each sink of the configuration, explain what is wrong, take it back where it can be."""
    settings = Settings() if sink is None else Settings(sink=sink)
    if not settings.enabled:
        raise ConfigurationError("enabled (LLMOBS_ENABLED) is false: nothing is recorded or sent")
    verdicts = []
    with _quiet():
        for url in settings.sink.split():
            with notes().status(Text(f"sending one event to {visible(safe_url(url))}")):
                verdicts.append(anyio.run(_try, settings, url, timeout))
    if json:
        write_json({"sinks": verdicts})
    else:
        for verdict in verdicts:
            console().print(_describe(verdict), soft_wrap=True)
    if not all(verdict.delivered for verdict in verdicts):
        raise click.exceptions.Exit(ExitCode.FAILED)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the pipeline's log lines back: what they would say is printed, once."""
    logger = logging.getLogger("llmobs")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _try(settings: Settings, url: str, timeout: float) -> Verdict:
    latency = 0.0

    def verdict(
        problem: str | None = None, advice: str | None = None, event_id: str | None = None
    ) -> Verdict:
        return Verdict(safe_url(url), problem is None, latency, event_id, problem, advice)

    # The queue's own options do not matter here, and nothing of this may reach the spool.
    values: dict[str, Any] = {
        "spool_dir": None,
        "overflow": "drop_oldest",
        "durability": "memory",
        "shutdown_timeout": 0.1,
        "timeout": timeout,
        # Sampling would leave out this very event; it says nothing about the way.
        "sample_rate": 1.0,
    }
    try:
        [sink] = resolve(url, settings)
        client = AsyncClient(settings, sink=sink, **values)
    except ConfigurationError as error:
        return verdict(str(error), "Correct the setting; nothing was sent.")
    event = _event()
    async with client:
        started = time.perf_counter()
        try:
            await client.send(event, timeout)
        except DeliveryError as error:
            said = client.statistics().last_error or str(error)
            return verdict(said, _ADVICE.get(_reason(client, error)))
        latency = (time.perf_counter() - started) * 1000
        try:
            if isinstance(sink, SQLiteSink | JSONLSink):
                await sink.take_back(event.run_id)
                return verdict()
        except SinkUnavailableError:
            pass  # it stays, and is named
    return verdict(event_id=event.event_id)


def _event() -> PromptCallEvent:
    return PromptCallEvent(
        event_id=new_id(),
        run_id=f"llmobs-check-{new_id()[-12:]}",
        timestamp=datetime.now(UTC),
        tags=("llmobs-check",),
        model="llmobs-check",
        prompt="Is my configuration deliverable?",
        response="If you read this, it is.",
        tokens_input=0,
        tokens_output=0,
        latency_ms=0,
        cost_usd=0,
    )


def _reason(client: AsyncClient, error: DeliveryError) -> str:
    state = client.statistics().state.value
    return state if state == "unauthorized" else error.reason


_ADVICE = {
    "unavailable": (
        "Is the address right (http or https, port, path), and is it running and reachable from here?"
    ),
    "unauthorized": "Check the key (in the URL before the @, or LLMOBS_API_KEY) and LLMOBS_PROJECT_ID.",
    "rejected": "The sink was reached and refuses what we send: is it the server you meant, and its version?",
    "too_large": "The sink takes smaller requests only.",
    "internal": "The sink failed in a way it must not: this is a bug, its own or ours.",
}


def _describe(verdict: Verdict) -> Text:
    if verdict.delivered:
        kept = f"as event {verdict.event_id}" if verdict.event_id else "and taken back"
        took = duration(verdict.latency_ms)
        return Text(f"ok      {visible(verdict.sink)}  delivered in {took} {kept}")
    lines = [f"failed  {visible(verdict.sink)}  {visible(verdict.problem or '')}"]
    if verdict.advice:
        lines.append(f"        {verdict.advice}")
    return Text("\n".join(lines))
